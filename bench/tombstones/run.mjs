/**
 * Tombstones, measured: what 10,000 deleted records add to the bootstrap of a fresh device that has
 * 10,000 notes to fetch. Each device and the remote have folders of their own; the bootstraps take
 * turns, so that both kinds meet the same machine.
 *
 *   npm run bench:tombstones
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVault, restoreVault } from '@blindcopy/client'
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'
import { keyOf, noteOf } from '../main-job/notes.mjs'

const NOTES = 10_000
const DELETED = 10_000
const TRANSACTION_RECORDS = 1_000
const ROUNDS = 5

const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
const remote = await serveRemote({
  store: await openLevelStore({ path: join(folder, 'remote') }),
  registration: { mode: 'open' },
})

async function inTransactions(vault, count, write) {
  const notes = vault.collection('notes')
  for (let first = 0; first < count; first += TRANSACTION_RECORDS) {
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(notes)
      for (let i = first; i < Math.min(count, first + TRANSACTION_RECORDS); i++) {
        await write(target, i)
      }
    })
  }
}

async function makeVault(name, deleted) {
  const path = join(folder, name)
  const { vault, recoveryPhrase } = await createVault({ path, remote: remote.url })
  await inTransactions(vault, NOTES, (notes, i) => notes.put(keyOf(i), noteOf(i)))
  await inTransactions(vault, deleted, (notes, i) => notes.put(`gone-${i}`, noteOf(i)))
  await vault.sync.once()
  await inTransactions(vault, deleted, (notes, i) => notes.delete(`gone-${i}`))
  await vault.sync.once()
  await vault.close()
  return recoveryPhrase
}

async function bootstrap(name, recoveryPhrase) {
  const path = join(folder, name)
  const vault = await restoreVault({ path, remote: remote.url, recoveryPhrase })
  const startMs = performance.now()
  await vault.sync.once()
  const ms = performance.now() - startMs
  const listed = (await vault.collection('notes').list()).length
  await vault.close()
  if (listed !== NOTES) throw new Error(`listed ${listed} notes of ${NOTES}`)
  return ms
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]

try {
  const plain = await makeVault('plain', 0)
  const pruned = await makeVault('pruned', DELETED)
  const without = []
  const withThem = []
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await bootstrap(`plain-${round}`, plain))
    withThem.push(await bootstrap(`pruned-${round}`, pruned))
  }
  const [before, after] = [median(without), median(withThem)]
  console.log(`bootstrap of ${NOTES} notes              ${before.toFixed(0)} ms`)
  console.log(`the same beside ${DELETED} tombstones     ${after.toFixed(0)} ms`)
  console.log(`what they add                        ${(after - before).toFixed(0)} ms`)
} finally {
  await remote.close()
  await rm(folder, { recursive: true, force: true })
}
