/**
 * Admin app: the administration of a remote, as requests that only whoever runs it can make.
 *
 *   GET    /vaults                    the vaults, a line of JSON each
 *   GET    /vaults/:id                one
 *   PUT    /vaults/:id/quota          its own quota, or null for the configured one
 *   GET    /vaults/:id/backup         a remote file of it; 304 if If-None-Match names what it is
 *   POST   /vaults/:id/reset?keep=1   a new SyncId; without `keep` its records go
 *   DELETE /vaults/:id
 *   GET    /backup                    a remote file of all
 *   POST   /restore?only=…&replace=…  takes a remote file
 *   POST   /check?vault=…             lines of JSON, a vault each, as they are done
 *   POST   /repair?vault=…
 *
 * It is served on a socket of the data folder beside a remote (node-admin.ts), and asked in the
 * same process where none runs: one path for both (decision 0033). It is never mounted on the app
 * that devices reach.
 */
import { formatHex, ProtocolError, STATUS_BY_CODE, type VaultId } from '@blindcopy/protocol'
import { StoreError } from '@blindcopy/secondary'
import { type Context, Hono } from 'hono'
import { AdminError, type AdminErrorCode } from '../error.ts'
import { walkVaults } from '../vault-list.ts'
import type { AdminParts } from './admin-parts.ts'
import { backupAll, backupTag, backupVault } from './backup-vaults.ts'
import { checkVault } from './check-vault.ts'
import { parseQuota, setQuota } from './own-quota.ts'
import { readState } from './read-vault.ts'
import { deleteVault, resetVault } from './removal.ts'
import { repairVault } from './repair-vault.ts'
import { type RestoredVault, restoreVaults } from './restore-vaults.ts'
import { dropStrayWays, findStrayWays } from './store-ways.ts'
import { describeVault, findVault, summarizeVaults } from './vault-summary.ts'

export const CONTENT_TYPE_REMOTE_FILE = 'application/vnd.blindcopy.remote'

export function createAdmin(parts: AdminParts): Hono {
  const app = new Hono()
  routeVaults(app, parts)
  routeFiles(app, parts)
  routeChecks(app, parts)
  app.notFound(() => problemOf(new ProtocolError('not-found', 'there is no such route')))
  app.onError((error) => problemOf(error))
  return app
}

const vaultOf = (parts: AdminParts, { req }: Context): Promise<VaultId> =>
  findVault(parts, req.param('id') ?? '')

function routeVaults(app: Hono, parts: AdminParts): void {
  app.get('/vaults', () => linesOf(summarizeVaults(parts)))
  app.get('/vaults/:id', async (context) =>
    context.json(await describeVault(parts, await vaultOf(parts, context))),
  )
  app.put('/vaults/:id/quota', async (context) => {
    const vaultId = await vaultOf(parts, context)
    await setQuota(parts, vaultId, parseQuota(await context.req.json().catch(() => undefined)))
    return context.json(await describeVault(parts, vaultId))
  })
  app.post('/vaults/:id/reset', async (context) => {
    const vaultId = await vaultOf(parts, context)
    await resetVault(parts, vaultId, { keepRecords: context.req.query('keep') === '1' })
    return context.json(await describeVault(parts, vaultId))
  })
  app.delete('/vaults/:id', async (context) => {
    const vaultId = await vaultOf(parts, context)
    await deleteVault(parts, vaultId)
    return context.json({ id: formatHex(vaultId) })
  })
}

function routeFiles(app: Hono, parts: AdminParts): void {
  app.get('/vaults/:id/backup', async (context) => {
    const vaultId = await vaultOf(parts, context)
    const state = await readState(parts, vaultId)
    const known = context.req.header('If-None-Match')
    if (known !== undefined && known === `"${backupTag(state)}"`) {
      return new Response(null, { status: 304 })
    }
    return fileOf(await backupVault(parts, vaultId))
  })
  app.get('/backup', () => fileOf(backupAll(parts)))
  app.post('/restore', async (context) => {
    const body = context.req.raw.body
    if (body === null) throw new ProtocolError('malformed', 'a restore needs a file')
    const only = context.req.query('only')?.split(',')
    const restored = await restoreVaults(parts, chunksOf(body), {
      only: only === undefined ? undefined : new Set(only),
      replace: parseReplace(context.req.query('replace')),
    })
    return context.json({ vaults: restored.map(restoredRow) })
  })
}

const restoredRow = ({ vaultId, ...report }: RestoredVault) => ({
  id: formatHex(vaultId),
  ...report,
  why: report.why ?? null,
})

/** `id:seq,id:seq…`; without a seq, however far it has come. */
function parseReplace(text: string | undefined): Map<string, number | undefined> {
  const replace = new Map<string, number | undefined>()
  for (const one of text === undefined || text === '' ? [] : text.split(',')) {
    const [id = '', seq] = one.split(':')
    replace.set(id, seq === undefined ? undefined : Number(seq))
  }
  return replace
}

function routeChecks(app: Hono, parts: AdminParts): void {
  app.post('/check', async (context) => {
    const prefix = context.req.query('vault')
    const only = prefix === undefined ? undefined : await findVault(parts, prefix)
    return linesOf(judgeEach(parts, only, (vaultId) => checkVault(parts, vaultId)))
  })
  app.post('/repair', async (context) => {
    const prefix = context.req.query('vault')
    const only = prefix === undefined ? undefined : await findVault(parts, prefix)
    return linesOf(judgeEach(parts, only, (vaultId) => repairVault(parts, vaultId), true))
  })
}

/** Of each vault what `judge` says; of all vaults, the ways that lead to none too. */
async function* judgeEach(
  parts: AdminParts,
  only: VaultId | undefined,
  judge: (vaultId: VaultId) => Promise<{ readonly vaultId: VaultId } | undefined>,
  isMending = false,
): AsyncGenerator<object> {
  if (only !== undefined) return yield* judged(only, judge)
  for await (const page of walkVaults(parts.store, PAGE_VAULTS)) {
    for (const { vaultId } of page) yield* judged(vaultId, judge)
  }
  const stray = await findStrayWays(parts.store)
  if (isMending) await dropStrayWays(parts, stray)
  const what = 'a recovery key leads to a vault that is not here'
  const defects = stray.length === 0 ? [] : [{ name: STRAY, count: stray.length, what }]
  yield { id: null, defects, left: [] }
}

const STRAY = 'recovery-index-stray'
const PAGE_VAULTS = 64

async function* judged(
  vaultId: VaultId,
  judge: (vaultId: VaultId) => Promise<{ readonly vaultId: VaultId } | undefined>,
): AsyncGenerator<object> {
  const report = await judge(vaultId)
  if (report === undefined) return
  const { vaultId: _, ...rest } = report
  yield { id: formatHex(vaultId), ...rest }
}

/** A body that is cut when its making fails: no end of it is ever made up. */
function fileOf(
  file:
    | AsyncGenerator<Uint8Array>
    | { readonly tag: string; readonly bytes: AsyncGenerator<Uint8Array> },
): Response {
  const headers = new Headers({ 'Content-Type': CONTENT_TYPE_REMOTE_FILE })
  const bytes = 'bytes' in file ? file.bytes : file
  if ('bytes' in file) headers.set('ETag', `"${file.tag}"`)
  return new Response(streamOf(bytes), { headers })
}

/** Lines of JSON. A failure on the way is the last line, since the status has left by then. */
function linesOf(objects: AsyncGenerator<object>): Response {
  const encoder = new TextEncoder()
  async function* lines(): AsyncGenerator<Uint8Array> {
    try {
      for await (const one of objects) yield encoder.encode(`${JSON.stringify(one)}\n`)
    } catch (error) {
      const { code, detail } = problemFields(error)
      yield encoder.encode(`${JSON.stringify({ problem: { code, detail } })}\n`)
    }
  }
  return new Response(streamOf(lines()), { headers: { 'Content-Type': 'application/x-ndjson' } })
}

function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next()
          if (done === true) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          controller.error(error)
        }
      },
      async cancel() {
        await chunks.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

export async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

const STATUS_BY_ADMIN_CODE: Readonly<Record<AdminErrorCode, number>> = {
  'no-such-vault': 404,
  'vault-ambiguous': 400,
  'vault-there': 409,
  'backup-damaged': 422,
  'backup-cut': 422,
  unmendable: 409,
  'admin-socket-refused': 500,
  'admin-socket-in-use': 500,
}

/** Whoever runs the remote is told everything, the failures of its disk included. */
function problemFields(error: unknown): { status: number; code: string; detail: string } {
  const detail = error instanceof Error ? error.message : String(error)
  if (error instanceof AdminError) {
    return { status: STATUS_BY_ADMIN_CODE[error.code], code: error.code, detail }
  }
  if (error instanceof ProtocolError) {
    return { status: STATUS_BY_CODE[error.code], code: error.code, detail }
  }
  return { status: 500, code: error instanceof StoreError ? error.code : 'internal', detail }
}

function problemOf(error: unknown): Response {
  const { status, code, detail } = problemFields(error)
  const problem = { type: `urn:blindcopy:problem:${code}`, title: code, status, code, detail }
  const headers = { 'Content-Type': 'application/problem+json' }
  return new Response(JSON.stringify(problem), { status, headers })
}
