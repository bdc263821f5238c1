/**
 * Forwarding, the local side: versions that came from a bundle or another device and that the
 * remote may not have. Each is listed until the remote has it, or has a newer one.
 */
import { type Envelope, equalBytes, type LogPosition, type Timestamp } from '@blindcopy/protocol'
import {
  type Entry,
  forwardKey,
  forwardRange,
  parseForwardKey,
  rowKey,
  type Store,
  versionKey,
} from '@blindcopy/secondary'
import type { NamedVersion } from './healing.ts'
import type { LocalState } from './local-state.ts'
import { isLater, parseRow, type Row } from './row.ts'

export type ForwardAnswer = {
  /** The versions that some of them met at the remote, by their place. */
  readonly newerByOp: ReadonlyMap<number, Timestamp>
  /** What the cursor becomes. */
  readonly position: LogPosition
}

export type ForwardedVersion = NamedVersion & { readonly envelope: Envelope }

/** Each may have a megabyte. */
const PAGE = { entriesMax: 32 } as const

export async function hasForwards(store: Store): Promise<boolean> {
  for await (const page of store.keyPages({ ...forwardRange(), limit: 1 })) return page.length > 0
  return false
}

/** What is to be passed on, a page at a time; what a waiting write stands on goes with that. */
export async function* readForwards(store: Store): AsyncGenerator<readonly ForwardedVersion[]> {
  for await (const marks of store.pages(forwardRange(), PAGE)) {
    const recordIds = marks.map(([key]) => parseForwardKey(key))
    const rows = (await store.getMany(recordIds.map(rowKey))).map(parseRow)
    const named = recordIds.flatMap((recordId, i) => {
      const { current, confirmed, pending } = rows[i] as Row
      // A write that stays on this device may stand above what was carried here.
      const isMarked = equalBytes((marks[i] as Entry)[1], current)
      const isDue = pending === 0 && isMarked && isLater(current, confirmed)
      return isDue ? [{ recordId, timestamp: current }] : []
    })
    const versionKeys = named.map(({ recordId, timestamp }) => versionKey(recordId, timestamp))
    const envelopes = await store.getMany(versionKeys)
    yield named.flatMap((version, i) => {
      const envelope = envelopes[i]
      return envelope === undefined ? [] : [{ ...version, envelope: envelope as Envelope }]
    })
  }
}

/**
 * The remote has these now: they are confirmed, in one batch with the cursor. Of a
 * record of which it has a newer version nothing changes: that one arrives, and ends the listing.
 */
export async function settleForwards(
  state: LocalState,
  versions: readonly NamedVersion[],
  answer: ForwardAnswer,
): Promise<void> {
  await state.run(() => settle(state, versions, answer))
}

async function settle(
  state: LocalState,
  versions: readonly NamedVersion[],
  answer: ForwardAnswer,
): Promise<void> {
  const batch = await state.readRows(versions.map(({ recordId }) => recordId))
  versions.forEach(({ recordId, timestamp }, i) => {
    if (answer.newerByOp.has(i)) return
    const slot = batch.slotOf(recordId)
    const before = slot.row
    const isShown = equalBytes(before.current, timestamp)
    if (isShown) batch.ops.push({ type: 'delete', key: forwardKey(recordId) })
    if (!isLater(timestamp, before.confirmed)) return
    batch.confirm(recordId, before.confirmed, timestamp)
    batch.deleteQuarantined(recordId, before.confirmed)
    batch.setRow(slot, { ...before, confirmed: timestamp })
    batch.releaseVersions(slot, [before.confirmed])
  })
  await state.write(batch, { cursor: { ...state.cursor, position: answer.position } })
}
