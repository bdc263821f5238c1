/**
 * Carried: what becomes of versions that another device or a bundle brings, and no remote.
 *
 *   it does not open           counted, and nothing else
 *   too far ahead of the clock put aside, listed, tried again
 *   newer, nothing waits       shown, and marked to be passed on to the remote
 *   older                      to the conflict log, unless it is the other's base, of the same
 *                              author, or was seen before
 *   either merges              what both say together is written by this device
 *   writes wait for a verdict  the same, except where custom, manual or a mutation must answer for
 *                              them: it waits aside until the remote has them
 *
 * It is never confirmed: `confirmed` says what the remote holds. A version shown above writes that
 * wait is their base as well, so that whatever rewrites them finds them superseded. What has to be
 * compared and set is not put on top of it: the remote would refuse a base that it does not hold,
 * and two devices would resolve one conflict twice.
 */
import {
  concat,
  ENVELOPE_BYTES_MAX,
  ENVELOPE_HEADER_BYTES,
  type Envelope,
  equalBytes,
  formatHex,
  isTombstone,
  type RecordId,
  type Timestamp,
  timestampAuthor,
} from '@blindcopy/protocol'
import { forwardKey, versionKey } from '@blindcopy/secondary'
import {
  type Arrival,
  type ArrivalContext,
  type OpenArrival,
  openArrivals,
  releaseArrival,
} from '../local/arrival.ts'
import { type FileMeetings, finishArrivals } from '../local/arrival-batch.ts'
import { judgeEpochs } from '../local/closed-epoch.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { LocalState } from '../local/local-state.ts'
import { contextOf } from '../local/pulled-log.ts'
import type { QuarantineReason } from '../local/quarantine.ts'
import { isLater, isNone, type Row } from '../local/row.ts'
import { idText, type RowBatch, type Slot } from '../local/row-batch.ts'

export type CarriedCounts = {
  /** Versions that came. */
  received: number
  /** Of them, those that were not known here. */
  news: number
  /** Does not open with the keys of this device, or is no envelope. */
  unopened: number
  /** Put aside: too far ahead of the clock, or until the remote has the writes that wait here. */
  aside: number
}

export const noCounts = (): CarriedCounts => ({ received: 0, news: 0, unopened: 0, aside: 0 })

type Opened = Arrival & { readonly opening: Extract<Arrival['opening'], { type: 'opened' }> }

type Taking = {
  readonly state: LocalState
  readonly batch: RowBatch
  readonly context: ArrivalContext
  /** The envelopes of what was shown, by record. */
  readonly shown: ReadonlyMap<string, Envelope>
  readonly open: OpenArrival
}

/** Takes what other devices bring, for one exchange or one bundle. */
export class CarriedIntake {
  readonly counts: CarriedCounts = noCounts()
  readonly #local: LocalSecondary
  readonly #open: OpenArrival
  readonly #fileMeetings: FileMeetings
  readonly #isRestore: boolean
  /** The greatest version of each author that was taken; it counts once all of it came. */
  readonly #seen = new Map<string, Timestamp>()

  constructor(options: {
    readonly local: LocalSecondary
    readonly open: OpenArrival
    readonly fileMeetings: FileMeetings
    /** What it brings is what the vault is made of: nothing of it comes too late. */
    readonly isRestore?: boolean
  }) {
    this.#isRestore = options.isRestore ?? false
    this.#local = options.local
    this.#open = options.open
    this.#fileMeetings = options.fileMeetings
  }

  /** Takes versions, in any order. Each time it returns, what it took is stored as a whole. */
  async take(envelopes: readonly Uint8Array[]): Promise<void> {
    const arrivals = this.#openAll(envelopes)
    for (const round of inRounds(arrivals)) {
      await this.#state.run(() => this.#takeBatch(round, false))
    }
    for (const { timestamp } of arrivals) {
      if (!this.#state.clock.isAhead(timestamp)) this.#note(timestamp)
    }
  }

  /** Everything came: what is older from now on is history. */
  async finish(): Promise<void> {
    await this.#state.run(async () => {
      const seen = new Map(this.#state.seen)
      let isChanged = false
      for (const [author, timestamp] of this.#seen) {
        const known = seen.get(author)
        if (known !== undefined && !isLater(timestamp, known)) continue
        seen.set(author, timestamp)
        isChanged = true
      }
      if (isChanged) await this.#state.writeOps([], { seen })
    })
  }

  /** Tries again what was put aside. */
  async retryAside(): Promise<void> {
    for await (const page of this.#local.quarantinePages()) {
      const carried = page.filter(
        ({ reason }) => reason === 'clock-ahead' || reason === 'writes-wait',
      )
      const due = carried.filter(({ timestamp }) => !this.#state.clock.isAhead(timestamp))
      const arrivals = openArrivals(
        due.map(({ envelope }) => envelope),
        this.#open,
      ).filter(isOpened)
      for (const round of inRounds(arrivals)) {
        await this.#state.run(() => this.#takeBatch(round, true))
      }
    }
  }

  get #state(): LocalState {
    return this.#local.state
  }

  #openAll(envelopes: readonly Uint8Array[]): Opened[] {
    const whole = envelopes.filter(
      ({ length }) => length > ENVELOPE_HEADER_BYTES && length <= ENVELOPE_BYTES_MAX,
    )
    const arrivals = openArrivals(whole, this.#open).filter(isOpened)
    this.counts.received += envelopes.length
    this.counts.unopened += envelopes.length - arrivals.length
    return arrivals
  }

  #note(timestamp: Timestamp): void {
    const author = formatHex(timestampAuthor(timestamp))
    const greatest = this.#seen.get(author)
    if (greatest !== undefined && !isLater(timestamp, greatest)) return
    this.#seen.set(author, timestamp.slice() as Timestamp)
  }

  async #takeBatch(brought: readonly Opened[], isAside: boolean): Promise<void> {
    const state = this.#state
    const batch = await state.readRows(brought.map(({ recordId }) => recordId))
    // Who wrote them honestly seals them again and sends them.
    const arrivals = judgeEpochs(batch, {
      arrivals: brought,
      closedBelow: this.#isRestore && !isAside ? 0 : state.closedBelow,
    }).filter(isOpened)
    this.counts.unopened += brought.length - arrivals.length
    const context = await contextOf(state, batch, arrivals)
    const shown = await readShown(state, batch, arrivals)
    const taking = { state, batch, context, shown, open: this.#open }
    const met: { readonly slot: Slot; readonly before: Timestamp }[] = []
    for (const arrival of arrivals) {
      const outcome = takeOne(taking, arrival)
      if (outcome === 'met') {
        const slot = batch.slotOf(arrival.recordId)
        met.push({ slot, before: slot.row.current })
      }
      if (outcome === 'news') this.counts.news++
      if (outcome === 'aside' && !isAside) this.counts.aside++
      if (outcome !== 'aside' && isAside) {
        batch.deleteQuarantined(arrival.recordId, arrival.timestamp)
      }
    }
    const { seen: _later, ...next } = finishArrivals(state, { arrivals, context, isTorn: false })
    const { added, ...meetings } = this.#fileMeetings(batch, context.meetings, next.clock)
    this.counts.news += met.filter(({ slot, before }) => slot.row.current !== before).length
    if (batch.ops.length === 0) return
    await state.write(batch, { ...next, ...meetings })
    for (const number of added) state.outbox.added(number)
    await state.evictConflicts()
  }
}

/** One version of each record at a time: what comes of the first is what the second meets. */
function inRounds(arrivals: readonly Opened[]): Opened[][] {
  const rounds: Opened[][] = []
  const countById = new Map<string, number>()
  for (const arrival of arrivals) {
    const id = idText(arrival.recordId)
    const round = countById.get(id) ?? 0
    countById.set(id, round + 1)
    const held = rounds[round]
    if (held === undefined) rounds.push([arrival])
    else held.push(arrival)
  }
  return rounds
}

const isOpened = (arrival: Arrival): arrival is Opened => arrival.opening.type === 'opened'

/** Shown in any of the records that come, where it differs from what comes. */
async function readShown(
  state: LocalState,
  batch: RowBatch,
  arrivals: readonly Opened[],
): Promise<Map<string, Envelope>> {
  const met = arrivals.flatMap(({ recordId, timestamp }) => {
    const { current } = batch.slotOf(recordId).row
    const isMet = !isNone(current) && !equalBytes(current, timestamp)
    return isMet ? [{ recordId, key: versionKey(recordId, current) }] : []
  })
  const envelopes = met.length === 0 ? [] : await state.store.getMany(met.map(({ key }) => key))
  const shown = new Map<string, Envelope>()
  met.forEach(({ recordId }, i) => {
    const envelope = envelopes[i]
    if (envelope !== undefined) shown.set(idText(recordId), envelope as Envelope)
  })
  return shown
}

/** `met`: news if merging the two has made anything of it. */
type Outcome = 'known' | 'news' | 'met' | 'aside'

function takeOne(taking: Taking, arrival: Opened): Outcome {
  const { state, batch, context } = taking
  const { recordId, timestamp } = arrival
  const slot = batch.slotOf(recordId)
  const { row } = slot
  if (equalBytes(timestamp, row.confirmed) && isLater(timestamp, row.current)) {
    // The remote served it, and it opens only now, or only as it came here.
    if (row.pending === 0) releaseArrival(batch, slot, { arrival, context })
    return 'known'
  }
  if (isKnown(taking, row, arrival)) return 'known'
  if (state.clock.isAhead(timestamp)) return putAside(batch, arrival, 'clock-ahead')
  if (isLater(timestamp, row.current)) return takeNewer(taking, slot, arrival)
  return takeOlder(taking, slot, arrival)
}

function isKnown({ batch, context }: Taking, row: Row, { recordId, timestamp }: Opened): boolean {
  if (equalBytes(timestamp, row.current) || equalBytes(timestamp, row.confirmed)) return true
  if (row.pending > 0 && equalBytes(timestamp, row.base)) return true
  if (!batch.isOwn(timestamp)) return false
  // Of what this device once wrote itself, what is older is its own past.
  return context.holdsOwn(recordId, timestamp) || !isLater(timestamp, row.current)
}

function putAside(batch: RowBatch, arrival: Opened, reason: QuarantineReason): Outcome {
  batch.putAside(arrival, reason)
  return 'aside'
}

function takeNewer(taking: Taking, slot: Slot, arrival: Opened): Outcome {
  const { batch, context, shown } = taking
  const { recordId, timestamp, opening, envelope } = arrival
  const { row } = slot
  const mine = shown.get(idText(recordId))
  if (mustAnswer(row, opening)) return putAside(batch, arrival, 'writes-wait')
  const isMet = mine !== undefined && !isBaseOf(opening, row.current)
  if (isMet && opening.merges === true && row.pending > 0) {
    context.meetings.push({ slot, older: mine, newer: envelope as Envelope })
    return 'met'
  }
  if (batch.isOwn(timestamp)) context.isCopied = true
  if (isMet) judgeShown(taking, slot, { arrival, mine })
  showCarried(batch, slot, arrival)
  return 'news'
}

/** Writes that wait, and that only a policy may bring together with another version. */
const mustAnswer = ({ pending, policy }: Row, { merges }: Opened['opening']): boolean =>
  pending > 0 && policy !== 0 && merges !== true

/** What was shown meets what takes its place. */
function judgeShown(
  taking: Taking,
  slot: Slot,
  { arrival, mine }: { arrival: Opened; mine: Envelope },
): void {
  const { batch, context } = taking
  const { recordId, timestamp, opening, envelope } = arrival
  const { current, confirmed } = slot.row
  if (opening.merges === true) {
    context.meetings.push({ slot, older: mine, newer: envelope as Envelope })
    return
  }
  // Who writes again has what it wrote before; only a copied folder has not.
  const isPast = !batch.isOwn(timestamp) || equalBytes(current, confirmed)
  if (isPast && isSameAuthor(current, timestamp)) return
  logLost(taking, recordId, { loser: current, winner: timestamp, envelope: mine })
}

function showCarried(batch: RowBatch, slot: Slot, arrival: Opened): void {
  const { recordId, timestamp, opening, envelope } = arrival
  const { row: before } = slot
  const tombstone = isTombstone(envelope as Envelope)
  batch.putVersion(recordId, timestamp, envelope as Envelope)
  batch.show(recordId, { tag: opening.tag, timestamp, tombstone })
  const base = before.pending > 0 ? timestamp : before.base
  batch.setRow(slot, { ...before, current: timestamp, base })
  if (isLater(timestamp, before.confirmed)) {
    batch.ops.push({ type: 'put', key: forwardKey(recordId), value: concat(timestamp) })
  }
  if (before.pending === 0) batch.releaseVersions(slot, [before.current])
}

function takeOlder(taking: Taking, slot: Slot, arrival: Opened): Outcome {
  const { batch, context, shown, open } = taking
  const { recordId, timestamp, opening } = arrival
  const { row } = slot
  const mine = shown.get(idText(recordId))
  if (mine === undefined || isBaseOf(open(mine), timestamp)) return 'known'
  const envelope = arrival.envelope as Envelope
  const isPast = context.wasSeen(timestamp) || isSameAuthor(timestamp, row.current)
  if (opening.merges !== true && isPast) return 'known'
  const isUnderWrites = isLater(timestamp, row.base) && isLater(timestamp, row.confirmed)
  if (isUnderWrites && mustAnswer(row, opening)) return putAside(batch, arrival, 'writes-wait')
  if (opening.merges === true) {
    context.meetings.push({ slot, older: envelope, newer: mine })
    return 'met'
  }
  logLost(taking, recordId, { loser: timestamp, winner: row.current, envelope })
  return 'news'
}

const isBaseOf = (opening: Arrival['opening'], timestamp: Timestamp): boolean =>
  opening.type === 'opened' &&
  opening.base !== null &&
  opening.base !== undefined &&
  equalBytes(opening.base, timestamp)

const isSameAuthor = (a: Timestamp, b: Timestamp): boolean =>
  equalBytes(timestampAuthor(a), timestampAuthor(b))

function logLost(
  { batch, context }: Taking,
  recordId: RecordId,
  lost: { readonly loser: Timestamp; readonly winner: Timestamp; readonly envelope: Envelope },
): void {
  batch.logConflict({
    recordId,
    timestamp: lost.loser,
    kind: 'overwritten',
    notedMs: context.nowMs,
    winner: lost.winner,
    note: null,
    envelope: lost.envelope,
  })
}
