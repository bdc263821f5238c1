/**
 * Versioned tags: the collections, by tag, that hold or held a record with a schema version. Who
 * declares no version reads what is there before it writes in one of these, so that a record keeps
 * its version; everywhere else a put needs no reading.
 */
import { concat } from '@blindcopy/protocol'
import { COLLECTION_TAG_BYTES, metaKey, type Store, type StoreOp } from '@blindcopy/secondary'
import { idText } from './row-batch.ts'

export type VersionedTags = ReadonlySet<string>

const KEY = metaKey('versioned')

export async function readVersionedTags(store: Store): Promise<VersionedTags> {
  const bytes = (await store.get(KEY)) ?? new Uint8Array(0)
  const tags = new Set<string>()
  for (let offset = 0; offset < bytes.length; offset += COLLECTION_TAG_BYTES) {
    tags.add(idText(bytes.subarray(offset, offset + COLLECTION_TAG_BYTES)))
  }
  return tags
}

export function putVersionedTags(tags: VersionedTags): StoreOp {
  const bytes = [...tags].map((tag) => Uint8Array.from(tag, (byte) => byte.charCodeAt(0)))
  return { type: 'put', key: KEY, value: concat(...bytes) }
}

/** With these tags too; the same set when it holds them all. */
export function withTags(known: VersionedTags, tags: Iterable<Uint8Array>): VersionedTags {
  const added = [...tags].map(idText).filter((tag) => !known.has(tag))
  return added.length === 0 ? known : new Set([...known, ...added])
}
