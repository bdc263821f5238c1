/**
 * Repair: confirmed versions that this disk no longer holds as they were sealed. A reader finds
 * one, and the remote, or another device, still has it: it is fetched again and put in its place.
 */
import {
  type Envelope,
  envelopeEpoch,
  envelopeTimestamp,
  equalBytes,
  type RecordId,
} from '@blindcopy/protocol'
import { type OpenArrival, openArrivals } from './arrival.ts'
import type { LocalState } from './local-state.ts'
import { idText } from './row-batch.ts'

const REPAIRED = 'a record that the disk had spoiled was fetched again from the remote'

/** What readers found spoiled since the vault was opened. */
export class DamagedRecords {
  readonly #idsByText = new Map<string, RecordId>()

  add(recordId: RecordId): void {
    this.#idsByText.set(idText(recordId), recordId)
  }

  list(): readonly RecordId[] {
    return [...this.#idsByText.values()]
  }

  remove(recordId: RecordId): void {
    this.#idsByText.delete(idText(recordId))
  }
}

/**
 * Puts fetched versions in place of the spoiled ones, where they are exactly those that the remote
 * is known to hold; a newer one comes by the log. Returns how many.
 */
export function repairRecords(
  state: LocalState,
  damaged: DamagedRecords,
  fetched: { readonly envelopes: readonly Uint8Array[]; readonly open: OpenArrival },
): Promise<number> {
  return state.run(async () => {
    const arrivals = openArrivals(fetched.envelopes, fetched.open)
    const batch = await state.readRows(arrivals.map(({ recordId }) => recordId))
    let count = 0
    for (const { recordId, opening, envelope } of arrivals) {
      const { row } = batch.slotOf(recordId)
      const timestamp = envelopeTimestamp(envelope as Envelope)
      const isThatVersion =
        equalBytes(row.confirmed, timestamp) && equalBytes(row.current, timestamp)
      // Under an epoch that is over, anybody who was revoked since could have made another of it.
      const isTrusted = envelopeEpoch(envelope as Envelope) >= state.closedBelow
      if (opening.type === 'opened' && isThatVersion && isTrusted) {
        batch.putVersion(recordId, timestamp, envelope as Envelope)
        batch.changes.push({ recordId, tag: opening.tag, timestamp })
        count++
      }
      damaged.remove(recordId)
    }
    if (count === 0) return 0
    const notices = state.withNotice({ code: 'record-repaired', message: REPAIRED })
    await state.write(batch, { notices })
    return count
  })
}
