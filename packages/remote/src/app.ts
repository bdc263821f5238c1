/**
 * App: the routes of the remote (design 9), what goes before each and after all.
 *
 *   every request    protocol version → route → the remote's time, CORS, one line for the log
 *   strangers        capabilities, challenge, session, vaults, health, mailboxes
 *   members          keychain: token
 *   data             push, changes, records, history, reconcile, checkpoints: token, SyncId, cursor
 *
 * A token is checked before a body is read. No cookies are used, so any web origin may call.
 * Neither the log nor a URL holds anything that names a vault, a device or an address.
 */
import {
  Capabilities,
  CHECKPOINT_BYTES_MAX,
  ChallengeAnswer,
  ChallengeRequest,
  CheckpointAnswer,
  CheckpointsAnswer,
  CONTENT_TYPE_CBOR,
  CreateAnswer,
  CreateRequest,
  formatHex,
  HEADER_CURSOR,
  HEADER_MAILBOX_ID,
  HEADER_PROTOCOL,
  HEADER_SYNC_ID,
  HEADER_TIME,
  HistoryAnswer,
  HistoryRequest,
  KEYCHAIN_APPEND_BYTES_MAX,
  KEYCHAIN_BYTES_MAX,
  KeychainAnswer,
  KeychainAppendAnswer,
  KeychainAppendRequest,
  LIMITS,
  LOGIN_BYTES_MAX,
  PAGE_BYTES_MAX,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  ProtocolError,
  PUSH_BYTES_MAX,
  PushAnswer,
  parseMessage,
  RECONCILE_BYTES_MAX,
  REQUEST_BYTES_MAX,
  ReconcileAnswer,
  ReconcileRequest,
  RecordsAnswer,
  RecordsRequest,
  SessionAnswer,
  SessionRequest,
} from '@blindcopy/protocol'
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { matchedRoutes } from 'hono/route'
import { requestAddress } from './address.ts'
import { type BodyBounds, type BodyBudget, createBodyBudget, withBody } from './body.ts'
import { streamChanges } from './changes.ts'
import { putCheckpoint, readCheckpoints } from './checkpoints.ts'
import { createVault } from './creation.ts'
import { readHistory } from './history.ts'
import { appendToKeychain } from './keychain-append.ts'
import { entriesFrom } from './keychain-log.ts'
import { routeMailboxes } from './mailbox-routes.ts'
import type { Observation } from './observe/observe.ts'
import { routeObservation } from './observe/routes.ts'
import type { Parts } from './parts.ts'
import { checkPosition } from './position.ts'
import { goingDown, isFault, problemResponse, refusalCodeOf } from './problem.ts'
import { push } from './push.ts'
import { reconcile } from './reconcile.ts'
import { readRecords } from './records.ts'
import { cborResponse, checkProtocolHeader, parseCount, parsePosition } from './request.ts'
import { createRequestIds, HEADER_REQUEST_ID } from './request-id.ts'
import { authorize, beginChallenge, beginSession, type Caller } from './session.ts'

/** What is told of each request: nothing that names anybody, but where it comes from. */
export type RequestLine = {
  /** Of our making, and in the answer too, so that what a person was told is found again. */
  readonly requestId: string
  readonly method: string
  /** The pattern of the route, never the path that was asked for. */
  readonly route: string
  readonly status: number
  /** Of a refusal. */
  readonly code: string | undefined
  /** Until the answer began. */
  readonly ms: number
  /** Who asks, where it is known. A log holds it only where its owner wants that. */
  readonly address: string | undefined
  /** What the body is said to have. The same holds for it. */
  readonly bodyBytes: number
}

export type AppParts = Parts &
  Observation & {
    readonly log: (line: RequestLine) => void
    readonly onFault: (error: unknown, requestId?: string) => void
    /** No new work is begun then. */
    readonly isGoingDown: () => boolean
  }

/**
 * Bodies that may be held at once, beside those of members, which have a limit of their own: so
 * that strangers crowd out no member. Those of logins are apart from keychains, of which three that
 * never end would fill all room.
 */
const KEYCHAIN_BODIES_BYTES_MAX = 192 * 1024 * 1024
const LOGIN_BODIES_BYTES_MAX = 16 * 1024 * 1024

export function createApp(parts: AppParts): Hono {
  const app = new Hono()
  const nextRequestId = createRequestIds(parts.random)
  app.use('*', async function answerTime(context, next) {
    const startMs = parts.nowMs()
    const startUptimeMs = parts.uptimeMs()
    const requestId = nextRequestId()
    await next()
    const nowMs = parts.nowMs()
    context.res.headers.set(HEADER_TIME, String(nowMs))
    context.res.headers.set(HEADER_REQUEST_ID, requestId)
    if (context.error !== undefined && isFault(context.error)) {
      parts.onFault(context.error, requestId)
    }
    const line = { requestId, ...factsOf(context), ms: nowMs - startMs }
    parts.metrics.requested({ ...line, ms: parts.uptimeMs() - startUptimeMs })
    parts.log(line)
  })
  routeObservation(app, parts)
  app.use(
    '*',
    cors({
      origin: '*',
      allowHeaders: [
        'Authorization',
        'Content-Type',
        HEADER_SYNC_ID,
        HEADER_CURSOR,
        HEADER_MAILBOX_ID,
        HEADER_PROTOCOL,
      ],
      exposeHeaders: [HEADER_TIME, HEADER_REQUEST_ID, 'Retry-After'],
      maxAge: 86_400,
    }),
  )
  app.use('*', async function refuseNewWork(_context, next) {
    if (parts.isGoingDown()) throw goingDown()
    await next()
  })
  app.use('/v1/*', async function checkVersion(context, next) {
    checkProtocolHeader(context.req.raw.headers)
    await next()
  })
  const budgets = createBudgets(parts)
  routeStrangers(app, parts, budgets)
  routeMembers(app, parts, budgets)
  routeMailboxes(app, parts)
  app.notFound(() => problemResponse(new ProtocolError('not-found', 'there is no such route')))
  app.onError(problemResponse)
  return app
}

function factsOf(context: Context): Omit<RequestLine, 'requestId' | 'ms'> {
  const { error, req, res } = context
  return {
    method: req.method,
    route: routeOf(context),
    status: res.status,
    code: refusalCodeOf(error, res.status),
    address: requestAddress(context.env),
    bodyBytes: Number(req.raw.headers.get('Content-Length') ?? 0) || 0,
  }
}

/** Of a request that no route took, only that. */
function routeOf(context: Context): string {
  const own = matchedRoutes(context).findLast(({ path }) => !path.includes('*'))
  return own?.path ?? '*'
}

type Budgets = { readonly [Of in 'members' | 'keychains' | 'logins']: BodyBudget }

function createBudgets({ limits, metrics }: AppParts): Budgets {
  const members = createBodyBudget(limits.bodyBytesMax)
  const keychains = createBodyBudget(KEYCHAIN_BODIES_BYTES_MAX)
  const logins = createBodyBudget(LOGIN_BODIES_BYTES_MAX)
  metrics.watch({ bodyBytes: () => members.held() + keychains.held() + logins.held() })
  return { members, keychains, logins }
}

function routeStrangers(app: Hono, parts: AppParts, { keychains, logins }: Budgets): void {
  const login: BodyBounds = { bytesMax: LOGIN_BYTES_MAX, budget: logins }
  const chain: BodyBounds = { bytesMax: KEYCHAIN_BYTES_MAX + REQUEST_BYTES_MAX, budget: keychains }

  app.get('/v1/capabilities', () =>
    cborResponse(Capabilities, {
      protocol: { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION },
      limits: LIMITS,
      registration: parts.registration.mode,
      origins: [...parts.origins],
    }),
  )
  /** Before a body is read, so that whoever asks too often costs nothing. */
  const asStranger = (
    context: Context,
    bounds: BodyBounds,
    job: (body: Uint8Array) => Promise<Response>,
  ): Promise<Response> =>
    parts.strangers.logIn(requestAddress(context.env), () => withBody(context, bounds, job))
  app.post('/v1/challenge', (context) =>
    asStranger(context, login, async (body) => {
      const request = parseMessage(ChallengeRequest, body)
      return cborResponse(ChallengeAnswer, await beginChallenge(parts, request))
    }),
  )
  app.post('/v1/session', (context) =>
    asStranger(context, login, async (body) => {
      const request = parseMessage(SessionRequest, body)
      return cborResponse(SessionAnswer, await countLogin(parts, beginSession(parts, request)))
    }),
  )
  app.post('/v1/vaults', (context) =>
    asStranger(context, chain, async (body) => {
      const request = parseMessage(CreateRequest, body)
      const offer = {
        token: request.registrationToken,
        job: () => createVault(parts, request),
      }
      const answer = await parts.strangers.register(requestAddress(context.env), offer)
      return cborResponse(CreateAnswer, answer)
    }),
  )
}

const callerOf = (parts: AppParts, { req }: Context): Promise<Caller> =>
  authorize(parts, req.raw.headers.get('Authorization') ?? undefined)

/** A login that fails for a reason of ours, or that waits for its turn, is neither. */
async function countLogin<T>({ metrics }: AppParts, login: Promise<T>): Promise<T> {
  try {
    const answer = await login
    metrics.loggedIn(true)
    return answer
  } catch (error) {
    if (error instanceof ProtocolError && error.code !== 'busy') metrics.loggedIn(false)
    throw error
  }
}

function routeMembers(app: Hono, parts: AppParts, { members: budget }: Budgets): void {
  const append: BodyBounds = { bytesMax: KEYCHAIN_APPEND_BYTES_MAX, budget }
  const large: BodyBounds = { bytesMax: PUSH_BYTES_MAX, budget }

  app.get('/v1/keychain', async (context) => {
    const { vault } = await callerOf(parts, context)
    const from = parseCount(context.req.query('from'), 0)
    return cborResponse(KeychainAnswer, { entries: entriesFrom(vault, from) })
  })
  app.post('/v1/keychain', async (context) => {
    const { session } = await callerOf(parts, context)
    return withBody(context, append, async (body) => {
      const request = parseMessage(KeychainAppendRequest, body)
      return cborResponse(KeychainAppendAnswer, await appendToKeychain(parts, session, request))
    })
  })
  app.post('/v1/push', async (context) => {
    const { session } = await callerOf(parts, context)
    const position = parsePosition(context.req.raw.headers)
    const vault = formatHex(session.vaultId)
    parts.pushedBytes.check(vault)
    chargeWrite(parts, session)
    return withBody(context, large, async (body) => {
      parts.pushedBytes.charge(vault, body.length)
      return cborResponse(PushAnswer, await push(parts, { session, position, body }))
    })
  })
  app.get('/v1/changes', async (context) => {
    const caller = await callerOf(parts, context)
    const position = parsePosition(context.req.raw.headers)
    await checkPosition(parts, caller, position)
    const stream = streamChanges(parts.store, {
      vault: caller.vault,
      after: parseCount(context.req.query('since'), position.cursor.seq),
      bytesMax: parseCount(context.req.query('limit'), PAGE_BYTES_MAX),
      digestsOnly: context.req.query('digests') === '1',
      onFault: parts.onFault,
    })
    return new Response(stream, { headers: { 'Content-Type': CONTENT_TYPE_CBOR } })
  })
  routeReads(app, parts, budget)
  routeCheckpoints(app, parts, budget)
  app.get('/v1/live', () => {
    throw new ProtocolError('malformed', 'the live route speaks WebSocket')
  })
}

/** A checkpoint costs a disk sync as a push does. Throws `too-many-requests`. */
function chargeWrite({ pushes }: AppParts, { vaultId }: Caller['session']): void {
  const vault = formatHex(vaultId)
  pushes.check(vault)
  pushes.charge(vault, 1)
}

function routeReads(app: Hono, parts: AppParts, budget: BodyBudget): void {
  const small: BodyBounds = { bytesMax: REQUEST_BYTES_MAX, budget }
  const round: BodyBounds = { bytesMax: RECONCILE_BYTES_MAX, budget }

  app.post('/v1/records', async (context) => {
    const caller = await callerOf(parts, context)
    await checkPosition(parts, caller, parsePosition(context.req.raw.headers))
    return withBody(context, small, async (body) => {
      const { ids } = parseMessage(RecordsRequest, body)
      // Asked again: a body may take minutes, and its sender be revoked meanwhile.
      const { vault } = await callerOf(parts, context)
      return cborResponse(RecordsAnswer, await readRecords(parts, vault, ids))
    })
  })
  app.post('/v1/history', async (context) => {
    const caller = await callerOf(parts, context)
    await checkPosition(parts, caller, parsePosition(context.req.raw.headers))
    return withBody(context, small, async (body) => {
      const request = parseMessage(HistoryRequest, body)
      const { vault } = await callerOf(parts, context)
      return cborResponse(HistoryAnswer, await readHistory(parts, vault, request))
    })
  })
  app.post('/v1/reconcile', async (context) => {
    const caller = await callerOf(parts, context)
    await checkPosition(parts, caller, parsePosition(context.req.raw.headers))
    return withBody(context, round, async (body) => {
      const request = parseMessage(ReconcileRequest, body)
      const { vaultId } = (await callerOf(parts, context)).vault
      return cborResponse(ReconcileAnswer, await reconcile(parts, vaultId, request))
    })
  })
}

function routeCheckpoints(app: Hono, parts: AppParts, budget: BodyBudget): void {
  app.get('/v1/checkpoints', async (context) => {
    const caller = await callerOf(parts, context)
    await checkPosition(parts, caller, parsePosition(context.req.raw.headers))
    return cborResponse(CheckpointsAnswer, await readCheckpoints(parts, caller.vault))
  })
  app.put('/v1/checkpoints', async (context) => {
    const { session } = await callerOf(parts, context)
    const position = parsePosition(context.req.raw.headers)
    chargeWrite(parts, session)
    return withBody(context, { bytesMax: CHECKPOINT_BYTES_MAX, budget }, async (body) => {
      const answer = await putCheckpoint(parts, { session, position, body })
      parts.metrics.checkpointed()
      return cborResponse(CheckpointAnswer, answer)
    })
  })
}
