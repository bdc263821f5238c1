/**
 * Late by name: versions that another active device lists as of a closed epoch, and that are shown
 * here. A device that was there when the epoch ended knows that they came too late; one that joined
 * afterwards took them in good faith, for in what it was shown they may stand before the end. So it
 * puts them aside as well, and all devices show the same. Whoever wrote one, if it is still a
 * member, writes it again (rewrite-named.ts).
 */
import {
  type Envelope,
  envelopeEpoch,
  equalBytes,
  type Keychain,
  TIMESTAMP_NONE,
} from '@blindcopy/protocol'
import { versionKey } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'
import type { RewriteKeys } from './rewrite.ts'
import { isOwnPair, readNamed, recordIdOf, timestampOf } from './rewrite-named.ts'

const SET_ASIDE =
  'a record is not shown any more: another device knows that it was written under a key that was over by then, as by a device that was removed'

/** Returns how many versions were put aside. */
export async function putLateAside(
  state: LocalState,
  keys: RewriteKeys | undefined,
  keychain: Keychain,
): Promise<number> {
  const { syncId } = state.cursor
  if (keys === undefined || syncId === null) return 0
  const { late } = await readNamed(state, keychain, syncId)
  const pairs = [...late.values()].filter((pair) => !isOwnPair(state, pair))
  if (pairs.length === 0) return 0
  return state.run(() => putAside(state, keys, pairs))
}

/** Inside `run`. What a write of this device stands on, or has taken the place of, stays. */
async function putAside(
  state: LocalState,
  keys: RewriteKeys,
  pairs: readonly Uint8Array[],
): Promise<number> {
  const batch = await state.readRows(pairs.map(recordIdOf))
  let count = 0
  for (const pair of pairs) {
    const [recordId, timestamp] = [recordIdOf(pair), timestampOf(pair)]
    const slot = batch.slotOf(recordId)
    const { row } = slot
    const isShown = equalBytes(row.confirmed, timestamp) && equalBytes(row.current, timestamp)
    if (!isShown || row.pending > 0) continue
    const envelope = (await state.store.get(versionKey(recordId, timestamp))) as
      | Envelope
      | undefined
    const tag = envelope === undefined ? undefined : keys.tagOf(envelope)
    if (envelope === undefined || tag === undefined) continue
    // Nobody can call what is of the newest epoch late.
    if (envelopeEpoch(envelope) >= state.closedBelow) continue
    batch.putAside({ recordId, timestamp, envelope }, 'late-old-epoch')
    batch.hide(recordId, tag)
    batch.deleteVersion(recordId, timestamp)
    batch.setRow(slot, { ...row, current: TIMESTAMP_NONE })
    count++
  }
  if (count === 0) return 0
  const notices = state.withNotice({ code: 'record-set-aside', message: SET_ASIDE })
  await state.write(batch, { notices })
  return count
}
