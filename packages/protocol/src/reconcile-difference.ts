/**
 * Differences: what two ascending lists of pairs do not share, by record id. Mine is read a page at
 * a time and may be of any length; theirs came in one message.
 */
import { compareBytes } from './bytes.ts'
import type { Timestamp } from './hlc.ts'
import { RECORD_ID_BYTES, type RecordId } from './ids.ts'

/** Of one record: the version on either end, null where it is not; never equal. */
export type Difference = {
  readonly recordId: RecordId
  readonly mine: Timestamp | null
  readonly theirs: Timestamp | null
}

/** Ascending pairs, a page at a time. */
export type PairPages = AsyncIterable<readonly Uint8Array[]> | Iterable<readonly Uint8Array[]>

/** Pages of them, none empty, ascending. */
export async function* compareLists(
  mine: PairPages,
  theirs: readonly Uint8Array[],
): AsyncGenerator<readonly Difference[], void> {
  let next = 0
  for await (const page of mine) {
    const found: Difference[] = []
    for (const own of page) {
      for (; next < theirs.length; next++) {
        const other = theirs[next] as Uint8Array
        if (compareBytes(idOf(other), idOf(own)) >= 0) break
        found.push(differenceOf(undefined, other))
      }
      const other = theirs[next]
      const isHeld = other !== undefined && compareBytes(idOf(other), idOf(own)) === 0
      if (isHeld) next++
      if (!isHeld) found.push(differenceOf(own, undefined))
      else if (compareBytes(other, own) !== 0) found.push(differenceOf(own, other))
    }
    if (found.length > 0) yield found
  }
  const rest = theirs.slice(next).map((other) => differenceOf(undefined, other))
  if (rest.length > 0) yield rest
}

/** Copies: a difference may outlive the message or the page it was read from. */
function differenceOf(mine: Uint8Array | undefined, theirs: Uint8Array | undefined): Difference {
  return {
    recordId: idOf((mine ?? theirs) as Uint8Array).slice() as RecordId,
    mine: mine === undefined ? null : timestampOf(mine),
    theirs: theirs === undefined ? null : timestampOf(theirs),
  }
}

const idOf = (pair: Uint8Array): RecordId => pair.subarray(0, RECORD_ID_BYTES) as RecordId

const timestampOf = (pair: Uint8Array): Timestamp => pair.slice(RECORD_ID_BYTES) as Timestamp
