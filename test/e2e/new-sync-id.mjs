/**
 * Gives every vault of a stopped remote a new SyncId, as an administrator's reset does who keeps
 * log, seqs and chain (design 11): `node new-sync-id.mjs FOLDER`. Reads and writes the state by the
 * remote's own functions; the place of a state is the vault id and the letter of its section.
 */
import { randomBytes } from 'node:crypto'
import { openLevelStore, remoteKeyspace } from '@blindcopy/secondary'
import { decodeVaultState, encodeVaultState } from '../../packages/remote/dist/vault-state.js'

const VAULT_ID_BYTES = 32
const store = await openLevelStore({ path: process.argv[2] })
const puts = []
for await (const page of store.pages({})) {
  for (const [key, value] of page) {
    const { state } = remoteKeyspace(key.slice(0, VAULT_ID_BYTES))
    if (Buffer.compare(key, state) !== 0) continue
    const renewed = { ...decodeVaultState(value), syncId: new Uint8Array(randomBytes(16)) }
    puts.push({ type: 'put', key: state, value: encodeVaultState(renewed) })
  }
}
await store.write(puts, { sync: true })
await store.close()
process.stdout.write(`${puts.length}\n`)
