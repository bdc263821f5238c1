/**
 * Lineage: what stands in the place of versions that are no more, while unsent transactions are put
 * on top of others (rebase.ts): of those that were rewritten, and of those that the remote refused.
 */
import type { RecordId, Timestamp } from '@blindcopy/protocol'
import type { Store } from '@blindcopy/secondary'
import { readAttentions } from './attention.ts'
import { type OutboxEntry, type OutboxOp, tryParseEntry } from './outbox.ts'
import type { Renamed } from './rewrite.ts'
import { idText } from './row-batch.ts'

/** Of one version to what stands in its place. */
const HOPS_MAX = 1_000

export class Lineage {
  readonly #renamed = new Map<string, Timestamp>()
  /** Of those, what says the same as before: whatever was written on it stands as it is. */
  readonly #same = new Map<string, Timestamp>()
  /** What the refused versions had replaced. */
  readonly #refused = new Map<string, Timestamp>()

  /** Reads what waits for the person. */
  async readRefused(store: Store): Promise<void> {
    for await (const page of readAttentions(store)) {
      for (const { entry } of page) {
        const parsed = tryParseEntry(entry)
        if (parsed !== undefined) this.noteRefused(parsed)
      }
    }
  }

  noteRefused({ timestamp, ops }: OutboxEntry): void {
    for (const { recordId, replaced } of ops) {
      this.#refused.set(versionText(recordId, timestamp), replaced)
    }
  }

  noteRenamed(before: Timestamp, { recordId, timestamp, isSame }: Renamed): void {
    const text = versionText(recordId, before)
    this.#renamed.set(text, timestamp)
    if (isSame) this.#same.set(text, timestamp)
  }

  /** The new timestamp of a version that was rewritten. */
  renamed(recordId: RecordId, timestamp: Timestamp): Timestamp | undefined {
    return this.#renamed.get(versionText(recordId, timestamp))
  }

  /**
   * What has become of the version that an op replaced. A mutation stands on what it has read, and
   * not on what that was written on.
   */
  underOf({ recordId, replaced }: OutboxOp, { intent }: Pick<OutboxEntry, 'intent'>): Timestamp {
    let now = replaced
    for (let hops = 0; hops < HOPS_MAX; hops++) {
      const text = versionText(recordId, now)
      const refused = intent === null ? this.#refused.get(text) : undefined
      const next = this.#same.get(text) ?? refused
      if (next === undefined) break
      now = next
    }
    return now
  }
}

/** A version of a record as the key of a Map. */
export const versionText = (recordId: Uint8Array, timestamp: Uint8Array): string =>
  idText(recordId) + idText(timestamp)
