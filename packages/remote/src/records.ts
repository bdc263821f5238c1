/**
 * Records: the newest envelopes of named records.
 *
 * As many as fit a page are answered, in the order asked, and always one: who gets fewer envelopes
 * than it named ids asks again for the rest.
 */
import { PAGE_BYTES_MAX, type RecordId, type RecordsAnswer } from '@blindcopy/protocol'
import type { RecordVersion } from '@blindcopy/secondary'
import type { Parts } from './parts.ts'
import type { Vault } from './vaults.ts'

/** Envelopes are up to 1 MiB each, so only a few are read before the room is looked at again. */
const READ_AT_ONCE = 8
/** More pushes than this do not come between two reads: then the store is damaged. */
const READ_ATTEMPTS_MAX = 10

export async function readRecords(
  parts: Pick<Parts, 'store'>,
  vault: Vault,
  ids: readonly RecordId[],
): Promise<RecordsAnswer> {
  const envelopes: RecordsAnswer['envelopes'] = []
  let bytes = 0
  for (let first = 0; first < ids.length; first += READ_AT_ONCE) {
    for (const envelope of await readNewest(parts, vault, ids.slice(first, first + READ_AT_ONCE))) {
      bytes += envelope?.length ?? 0
      if (envelopes.length > 0 && bytes > PAGE_BYTES_MAX) return { envelopes }
      envelopes.push(envelope ?? null)
    }
  }
  return { envelopes }
}

/**
 * A push may supersede a version between the two reads, and then its place is empty: read again.
 */
async function readNewest(
  { store }: Pick<Parts, 'store'>,
  { keys }: Vault,
  ids: readonly RecordId[],
): Promise<(Uint8Array | undefined)[]> {
  for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
    const versions = await store.getMany(ids.map((id) => keys.record(id)))
    const known = versions.filter((version) => version !== undefined) as RecordVersion[]
    const envelopes = await store.getMany(known.map((version) => keys.envelope(version)))
    if (envelopes.includes(undefined)) continue
    let next = 0
    return versions.map((version) => (version === undefined ? undefined : envelopes[next++]))
  }
  throw new Error('a record without its envelope')
}
