/**
 * Rotation, measured: what new keys and taking a device out cost in a vault of 100,000 notes. Notes
 * that are stored are not sealed again; only what waits to be sent is.
 *
 *   npm run bench:rotation
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVault, restoreVault } from '@blindcopy/client'
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'
import { keyOf, noteOf } from '../main-job/notes.mjs'

const NOTES = Number(process.env.NOTES ?? 100_000)
const WAITING = Math.floor(NOTES / 10)
const TRANSACTION_RECORDS = 1_000

async function write(vault, first, end) {
  const notes = vault.collection('notes')
  for (let from = first; from < end; from += TRANSACTION_RECORDS) {
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(notes)
      for (let i = from; i < Math.min(end, from + TRANSACTION_RECORDS); i++) {
        await target.put(keyOf(i), noteOf(i))
      }
    })
  }
}

async function timed(what, work) {
  const startMs = performance.now()
  const result = await work()
  console.log(`${what.padEnd(64)} ${(performance.now() - startMs).toFixed(0).padStart(7)} ms`)
  return result
}

const folder = await mkdtemp(join(tmpdir(), 'blindcopy-rotation-'))
const remote = await serveRemote({
  store: await openLevelStore({ path: join(folder, 'remote') }),
  registration: { mode: 'open' },
})
try {
  const { vault, recoveryPhrase } = await createVault({
    path: join(folder, 'a'),
    remote: remote.url,
  })
  await write(vault, 0, NOTES)
  await vault.sync.once()
  const other = await restoreVault({ path: join(folder, 'b'), remote: remote.url, recoveryPhrase })
  await other.sync.once()
  await vault.sync.once()
  console.log(`${NOTES} notes at the remote, two devices`)
  await timed('sync with nothing to do', () => vault.sync.once())
  await write(other, NOTES, NOTES + WAITING)
  await timed('rotate the keys', () => vault.keys.rotate())
  await timed('the next sync', () => vault.sync.once())
  await timed(`the other device: ${WAITING} waiting notes sealed again and sent`, () =>
    other.sync.once(),
  )
  await timed('the first device receives them', () => vault.sync.once())
  await timed('take the other device out', () => vault.keys.revoke([other.deviceId]))
  await other.close()
  await vault.close()
} finally {
  await remote.close()
  await rm(folder, { recursive: true, force: true })
}
