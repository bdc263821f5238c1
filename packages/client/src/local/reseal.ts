/**
 * Reseal: transactions that wait and were sealed under an epoch that is over. What a device pushes
 * is sealed under the newest epoch; record, time and base stay as they are (design 14). Also what
 * was sent and not answered: the remote knows a repeat by its id, and what it did not get the first
 * time must not come to it under a key that somebody who was revoked has.
 */
import type { Envelope } from '@blindcopy/protocol'
import { numberedRange, type StoreOp, versionKey } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'
import { parseOutboxEntry } from './outbox.ts'

const BATCH_BYTES = 4_194_304

/** Inside `run`. A version that the disk has spoiled stays as it is: the push sets it aside. */
export async function resealWaiting(
  state: LocalState,
  reseal: (envelope: Envelope) => Envelope,
): Promise<void> {
  let ops: StoreOp[] = []
  let sizeBytes = 0
  const range = numberedRange('outbox')
  for await (const page of state.store.pages(range, { entriesMax: 16 })) {
    for (const [, value] of page) {
      const { timestamp, ops: written } = parseOutboxEntry(value)
      const keys = written.map(({ recordId }) => versionKey(recordId, timestamp))
      const envelopes = await state.store.getMany(keys)
      for (const [i, envelope] of envelopes.entries()) {
        const renewed = envelope === undefined ? undefined : tryReseal(envelope as Envelope, reseal)
        if (renewed === undefined || renewed === envelope) continue
        ops.push({ type: 'put', key: keys[i] as Uint8Array, value: renewed })
        sizeBytes += renewed.length
      }
    }
    if (sizeBytes < BATCH_BYTES) continue
    await state.writeOps(ops)
    ops = []
    sizeBytes = 0
  }
  if (ops.length > 0) await state.writeOps(ops)
}

function tryReseal(
  envelope: Envelope,
  reseal: (envelope: Envelope) => Envelope,
): Envelope | undefined {
  try {
    return reseal(envelope)
  } catch {
    return undefined
  }
}
