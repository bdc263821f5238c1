/**
 * Leftovers: keys under the id of a vault that is not there.
 *
 * A vault is there when its state is. Whoever removes one takes the state first, whoever brings one
 * writes it last: so one that was interrupted has left keys that belong to nothing, and they are
 * cleared away before a vault of that id begins.
 */
import type { VaultId } from '@blindcopy/protocol'
import { remoteKeyspace, type Store } from '@blindcopy/secondary'

const KEYS_AT_ONCE = 4096

/** Deletes every key of a vault, in batches. Returns how many there were. */
export async function clearVaultKeys(store: Store, vaultId: VaultId): Promise<number> {
  let count = 0
  const { all } = remoteKeyspace(vaultId)
  for await (const page of store.keyPages(all, { entriesMax: KEYS_AT_ONCE })) {
    // What stands under such a key is no part of a vault: it leads to one, by a recovery key.
    const keys = page.filter((key) => !isMemberIndexKey(key))
    count += keys.length
    const batch = keys.map((key) => ({ type: 'delete', key }) as const)
    if (batch.length > 0) await store.write(batch, { sync: true })
  }
  return count
}

const INDEX_KEY_BYTES = 33
const INDEX_LETTER = 'i'.charCodeAt(0)

/** Whether a key is that under which a recovery key leads to its vault. */
export const isMemberIndexKey = (key: Uint8Array): boolean =>
  key.length === INDEX_KEY_BYTES && key[INDEX_KEY_BYTES - 1] === INDEX_LETTER
