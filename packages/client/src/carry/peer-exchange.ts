/**
 * Peer exchange: two devices of one vault bring each other to the same versions, without a remote.
 *
 *   asker                                             answerer
 *   reconcile, until no difference is left   ──▶  ◀── answer
 *   get: what differs or is missing here     ──▶  ◀── envelopes, in batches
 *   (takes them: what merges is merged)
 *   offer: what is newer here by now         ──▶      (takes them)  ◀── taken
 *   done                                     ──▶  ◀── done
 *
 * The asker takes before it offers, so that two versions are merged once, on one side. Each batch
 * is whole on the disk before the next is asked for: a stream may be cut anywhere, and running it
 * again goes on with what is missing.
 */
import {
  answerReconcile,
  type Difference,
  type Envelope,
  PEER_BATCH_BYTES_MAX,
  PEER_BATCH_RECORDS_MAX,
  type PeerMessage,
  ProtocolError,
  Reconciliation,
  type RecordId,
  type Timestamp,
} from '@blindcopy/protocol'
import { isLater } from '../local/row.ts'
import { idText } from '../local/row-batch.ts'
import type { CarriedIntake } from './carried.ts'
import { type HeldVersion, readEnvelopes, readHeld, scanHeld } from './carried-source.ts'
import { type CarriedReport, type Carrier, withIntake } from './carrier.ts'
import { greet } from './peer-greeting.ts'
import { PeerLine, type PeerStream } from './peer-line.ts'

export type ExchangeOptions = {
  /** Ends the exchange; what was taken stays. */
  readonly signal: AbortSignal
  readonly onProgress?: ((progress: ExchangeProgress) => void) | undefined
}

/** Versions given and got so far. */
export type ExchangeProgress = { readonly sent: number; readonly received: number }

/** Differences that are worked off at once. */
const DIFFERENCES_AT_ONCE = 500

/**
 * Brings this device and the one at the other end of `stream` to the same versions. Rejects with
 * `wrong-vault`, `not-a-member` or `keychain-forked` before anything is taken; with `network` when
 * the stream ends early, and `malformed` when the other end breaks the rules: what came until then
 * is whole and kept.
 */
export async function exchangeWithPeer(
  carrier: Carrier,
  stream: PeerStream,
  options: ExchangeOptions,
): Promise<CarriedReport> {
  const line = new PeerLine(stream, { signal: options.signal, setTimer: carrier.setTimer })
  try {
    const { isAsker } = await greet(line, carrier)
    const report = await withIntake(carrier, async (intake) => {
      const exchange = new Exchange(line, carrier, { intake, onProgress: options.onProgress })
      await (isAsker ? exchange.ask() : exchange.answer())
      return { sent: exchange.sentCount }
    })
    await line.end()
    return report
  } catch (error) {
    line.fail(error)
    throw error
  }
}

class Exchange {
  sentCount = 0
  readonly #line: PeerLine
  readonly #carrier: Carrier
  readonly #intake: CarriedIntake
  readonly #onProgress: ExchangeOptions['onProgress']

  constructor(
    line: PeerLine,
    carrier: Carrier,
    options: { intake: CarriedIntake; onProgress: ExchangeOptions['onProgress'] },
  ) {
    this.#line = line
    this.#carrier = carrier
    this.#intake = options.intake
    this.#onProgress = options.onProgress
  }

  async ask(): Promise<void> {
    const { source } = await scanHeld(this.#carrier.local.state)
    const reconciliation = new Reconciliation(source)
    for (;;) {
      const request = reconciliation.next()
      if (request === null) break
      await this.#line.send('reconcile', request)
      const [answer] = await this.#line.expect('answer')
      for await (const differences of reconciliation.take(answer)) {
        for (let first = 0; first < differences.length; first += DIFFERENCES_AT_ONCE) {
          await this.#workOff(differences.slice(first, first + DIFFERENCES_AT_ONCE))
        }
      }
    }
    await this.#line.send('done')
    await this.#line.expect('done')
  }

  async answer(): Promise<void> {
    const { source } = await scanHeld(this.#carrier.local.state)
    for (;;) {
      const message = await this.#line.receive()
      if (message.kind === 'reconcile') {
        await this.#line.send('answer', await answerReconcile(source, message.content[0]))
      } else if (message.kind === 'get') {
        await this.#giveAsked(message.content[0])
      } else if (message.kind === 'offer') {
        await this.#take(message.content[0])
        await this.#line.send('taken')
      } else if (message.kind === 'done') {
        await this.#line.send('done')
        return
      } else {
        throw misplaced(message)
      }
    }
  }

  async #workOff(differences: readonly Difference[]): Promise<void> {
    const theirs = new Map<string, Timestamp>()
    const wanted: RecordId[] = []
    for (const { recordId, theirs: timestamp } of differences) {
      if (timestamp === null) continue
      theirs.set(idText(recordId), timestamp)
      wanted.push(recordId)
    }
    if (wanted.length > 0) await this.#fetch(wanted)
    const ids = differences.map(({ recordId }) => recordId)
    const held = await readHeld(this.#carrier.local.state.store, ids)
    // An older one of mine is kept from them: here it lost, and there it would only be logged.
    const newer = held.filter(({ recordId, timestamp }) => {
      const other = theirs.get(idText(recordId))
      return other === undefined || isLater(timestamp, other)
    })
    await this.#offer(newer)
  }

  async #fetch(wanted: readonly RecordId[]): Promise<void> {
    await this.#line.send('get', [...wanted])
    let count = 0
    for (let isLast = false; !isLast; ) {
      const [envelopes, wasLast] = await this.#line.expect('envelopes')
      count += envelopes.length
      if (count > wanted.length || (envelopes.length === 0 && !wasLast)) {
        throw new ProtocolError('malformed', 'the other device sent more than was asked for')
      }
      await this.#take(envelopes)
      isLast = wasLast
    }
  }

  async #offer(versions: readonly HeldVersion[]): Promise<void> {
    for await (const batch of this.#batches(versions)) {
      await this.#line.send('offer', batch)
      await this.#line.expect('taken')
      this.#tellProgress()
    }
  }

  async #giveAsked(recordIds: readonly RecordId[]): Promise<void> {
    const held = await readHeld(this.#carrier.local.state.store, recordIds)
    for await (const batch of this.#batches(held)) await this.#line.send('envelopes', batch, false)
    await this.#line.send('envelopes', [], true)
    this.#tellProgress()
  }

  async *#batches(versions: readonly HeldVersion[]): AsyncGenerator<Uint8Array[]> {
    const { store } = this.#carrier.local.state
    for await (const batch of envelopeBatches(readEnvelopes(store, versions))) {
      this.sentCount += batch.length
      yield batch
    }
  }

  async #take(envelopes: readonly Uint8Array[]): Promise<void> {
    await this.#intake.take(envelopes)
    this.#tellProgress()
  }

  #tellProgress(): void {
    this.#onProgress?.({ sent: this.sentCount, received: this.#intake.counts.news })
  }
}

/** Batches within the bounds of a message, none empty. */
export async function* envelopeBatches(
  envelopes: AsyncIterable<Envelope>,
  bytesMax: number = PEER_BATCH_BYTES_MAX,
): AsyncGenerator<Uint8Array[]> {
  let batch: Uint8Array[] = []
  let sizeBytes = 0
  for await (const envelope of envelopes) {
    const isFull = batch.length >= PEER_BATCH_RECORDS_MAX
    if (isFull || (batch.length > 0 && sizeBytes + envelope.length > bytesMax)) {
      yield batch
      batch = []
      sizeBytes = 0
    }
    batch.push(envelope)
    sizeBytes += envelope.length
  }
  if (batch.length > 0) yield batch
}

function misplaced({ kind }: PeerMessage): ProtocolError {
  return new ProtocolError('malformed', `the other device sent ${kind} where it has no place`)
}
