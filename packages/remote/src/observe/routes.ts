/**
 * Observation routes: health, for whoever runs or balances the remote; numbers and the admin page,
 * behind the admin token.
 *
 *   GET /healthz   200 while the process answers
 *   GET /readyz    200 while the store answers and nothing goes down; else 503 with the reason
 *   GET /metrics   the text of Prometheus; 404 without an admin token
 *   GET /admin     the admin page; 404 without an admin token
 *
 * They stand before what devices use, so that they answer while the remote goes down, and no other
 * origin of a browser may read them.
 */
import { encodeUtf8, formatHex, ProtocolError, sha256 } from '@blindcopy/protocol'
import type { Context, Hono } from 'hono'
import { addressBlock, requestAddress } from '../address.ts'
import type { Parts } from '../parts.ts'
import { createPenalties, type Penalties } from '../penalties.ts'
import { goingDown, problemResponse } from '../problem.ts'
import { judgeAdmission } from './admin-gate.ts'
import { renderAdminPage } from './admin-page.ts'
import { ADMIN_STYLE } from './admin-style.ts'
import { gatherAdminView, parseAdminQuery } from './admin-view.ts'
import type { Observation } from './observe.ts'

export type ObservedParts = Observation &
  Pick<Parts, 'store' | 'vaults' | 'live' | 'metrics' | 'registration' | 'origins' | 'nowMs'> & {
    readonly isGoingDown: () => boolean
  }

export function routeObservation(app: Hono, parts: ObservedParts): void {
  const penalties = createPenalties(parts)
  app.get('/healthz', (context) => context.json({ status: 'ok' }))
  app.get('/readyz', async (context) => {
    const why = await findUnreadiness(parts)
    return why === undefined ? context.json({ status: 'ready' }) : problemResponse(why)
  })
  app.get('/metrics', (context) =>
    behindToken({ ...parts, penalties }, context, async () => {
      if (!parts.shows.metrics) return context.notFound()
      const exposition = await parts.metrics.render()
      if (exposition === undefined) return context.notFound()
      const { text, contentType } = exposition
      return new Response(text, { headers: { ...PRIVATE, 'Content-Type': contentType } })
    }),
  )
  app.get('/admin', (context) =>
    behindToken({ ...parts, penalties }, context, async () => {
      if (!parts.shows.adminPage) return context.notFound()
      const query = parseAdminQuery(context.req.query('page'), context.req.query('sort'))
      const isReady = async () => (await findUnreadiness(parts)) === undefined
      const view = await gatherAdminView({ ...parts, isReady }, query)
      return new Response(renderAdminPage(view), { headers: { ...PRIVATE, ...PAGE } })
    }),
  )
}

async function findUnreadiness({
  store,
  isGoingDown,
}: Pick<ObservedParts, 'store' | 'isGoingDown'>): Promise<ProtocolError | undefined> {
  if (isGoingDown()) return goingDown()
  try {
    await store.get(new Uint8Array(1))
    return undefined
  } catch {
    return new ProtocolError('busy', 'the store does not answer', {
      details: { retryAfterSeconds: 5 },
    })
  }
}

/** Throws `too-many-requests` when wrong tokens came from this address again and again. */
async function behindToken(
  parts: ObservedParts & { readonly penalties: Penalties },
  context: Context,
  answer: () => Promise<Response>,
): Promise<Response> {
  const authorization = context.req.header('Authorization')
  const admission = judgeAdmission(parts.adminToken, authorization)
  if (admission === 'off') return context.notFound()
  const address = requestAddress(context.env)
  const key = address === undefined ? undefined : addressBlock(address)
  // The right token waits too: whoever guesses must not learn which one it was.
  if (key !== undefined) parts.penalties.check(key)
  if (admission === 'admitted') return answer()
  // A browser asks without one at first.
  if (authorization !== undefined) {
    parts.metrics.adminRefused()
    // One that was left with an old token, Prometheus mostly, keeps nobody else out.
    const guess = formatHex(sha256(encodeUtf8(authorization)))
    if (key !== undefined) parts.penalties.fail(key, guess)
  }
  return new Response('The admin token is needed, as a bearer token or as the password.\n', {
    status: 401,
    headers: {
      ...PRIVATE,
      'Content-Type': 'text/plain; charset=utf-8',
      'WWW-Authenticate': 'Basic realm="Blindcopy admin", charset="UTF-8"',
    },
  })
}

/** Kept by nobody on the way, framed by nobody, and read by no other origin. */
const PRIVATE = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

const PAGE = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': [
    "default-src 'none'",
    `style-src 'sha256-${btoa(String.fromCharCode(...sha256(encodeUtf8(ADMIN_STYLE))))}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
} as const
