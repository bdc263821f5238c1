/**
 * Version push: versions that are pushed by themselves and not as a transaction of this device:
 * what heals a remote, and what a bundle brought. Plain last-write-wins, so that a repeat does
 * nothing.
 *
 * They travel in batches without an id, of up to 1,000 records and 4 MiB, several a request. A
 * batch that the remote refuses is halved until the version that it does not take stands alone: one
 * such holds up no other.
 */
import {
  chainNext,
  compareTimestamps,
  type Envelope,
  encodePair,
  encodePushedOps,
  encodePushHead,
  equalBytes,
  type LogPosition,
  ProtocolError,
  type ProtocolErrorCode,
  type RecordId,
  STATUS_BY_CODE,
  type Timestamp,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_RECORDS_MAX,
  transactionDigest,
  type Verdict,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { isPassing } from './failure.ts'
import { REQUEST_BYTES } from './push.ts'
import type { DataRequest, Transport } from './transport.ts'

export type PushedVersion = {
  readonly recordId: RecordId
  readonly timestamp: Timestamp
  readonly envelope: Envelope
}

export type VersionPushOptions = {
  readonly transport: Transport
  readonly data: () => DataRequest
  /** What the remote takes in one request. */
  readonly bytesMax: number
  /** The same version under the newest epoch: itself if it is. */
  readonly reseal: (envelope: Envelope) => Envelope
  /** Fetches keychain entries that this device lacks. */
  readonly renewKeychain: () => Promise<void>
  /** Stored at the remote now, or superseded there by what `newerByOp` names. */
  readonly onStored: (
    versions: readonly PushedVersion[],
    answer: { position: LogPosition; newerByOp: ReadonlyMap<number, Timestamp> },
  ) => Promise<void>
  readonly onRefused: (version: PushedVersion, code: string) => Promise<void>
}

type Applied = Extract<Verdict, { type: 'applied' }>

/** An op's place beside its envelope: heads of CBOR. */
const OP_BYTES = 6
const EPOCH_RENEWALS_MAX = 3

export class VersionPush {
  readonly #options: VersionPushOptions
  #batches: PushedVersion[][] = []
  #batchBytes = 0
  #requestBytes = 0
  #renewals = 0

  constructor(options: VersionPushOptions) {
    this.#options = options
  }

  async add(version: PushedVersion): Promise<void> {
    const sizeBytes = version.envelope.length + OP_BYTES
    const requestBytesMax = Math.min(REQUEST_BYTES, this.#options.bytesMax)
    if (this.#requestBytes > 0 && this.#requestBytes + sizeBytes > requestBytesMax) {
      await this.flush()
    }
    const last = this.#batches[this.#batches.length - 1]
    const fits =
      last !== undefined &&
      last.length < TRANSACTION_RECORDS_MAX &&
      this.#batchBytes + sizeBytes <= TRANSACTION_BYTES_MAX
    if (fits) last.push(version)
    else this.#batches.push([version])
    this.#batchBytes = (fits ? this.#batchBytes : 0) + sizeBytes
    this.#requestBytes += sizeBytes
  }

  /** Sends what is left, until all of it is stored or refused. */
  async flush(): Promise<void> {
    let batches: readonly (readonly PushedVersion[])[] = this.#batches
    this.#batches = []
    this.#batchBytes = 0
    this.#requestBytes = 0
    // Each time a batch comes back it is half as long, or the keychain is newer.
    while (batches.length > 0) batches = await this.#send(batches)
  }

  /** Returns what must be sent again. */
  async #send(
    batches: readonly (readonly PushedVersion[])[],
  ): Promise<readonly (readonly PushedVersion[])[]> {
    const { transport, data, reseal } = this.#options
    const { verdicts } = await transport.push(
      data(),
      batches.map((batch) => [
        encodePushHead(null, batch.length),
        encodePushedOps(batch.map(({ envelope }) => ({ envelope: reseal(envelope), base: null }))),
      ]),
    )
    if (verdicts.length !== batches.length) {
      throw new ProtocolError('malformed', 'the remote answered another number of verdicts')
    }
    const again: (readonly PushedVersion[])[] = []
    let isEpochOld = false
    for (const [i, batch] of batches.entries()) {
      const verdict = verdicts[i] as Verdict
      if (verdict.type === 'applied') {
        await this.#options.onStored(batch, storedOf(batch, verdict))
      } else if (verdict.type === 'refused' && verdict.code === 'epoch-old') {
        isEpochOld = true
        again.push(batch)
      } else {
        again.push(...(await this.#divide(batch, verdict)))
      }
    }
    if (isEpochOld) await this.#renewKeychain()
    return again
  }

  async #renewKeychain(): Promise<void> {
    if (++this.#renewals > EPOCH_RENEWALS_MAX) {
      throw new ClientError('integrity', 'the remote refuses the newest epoch that it shows')
    }
    await this.#options.renewKeychain()
  }

  async #divide(
    batch: readonly PushedVersion[],
    verdict: Exclude<Verdict, Applied>,
  ): Promise<readonly (readonly PushedVersion[])[]> {
    if (verdict.type === 'conflict') {
      throw new ProtocolError('malformed', 'the remote found a conflict where there is no base')
    }
    const refusal = refusalOf(verdict)
    // Full, busy or broken: that is no fault of what was sent.
    if (isPassing(refusal)) throw refusal
    const [first] = batch
    if (first === undefined) return []
    if (batch.length === 1) {
      await this.#options.onRefused(first, refusal.code)
      return []
    }
    const half = batch.length >> 1
    return [batch.slice(0, half), batch.slice(half)]
  }
}

function refusalOf({ code, message }: Extract<Verdict, { type: 'refused' }>): ProtocolError {
  const known = Object.hasOwn(STATUS_BY_CODE, code) ? (code as ProtocolErrorCode) : 'internal'
  return new ProtocolError(known, message)
}

/** Throws `integrity` when a version is said to have lost to an older one. */
function storedOf(
  batch: readonly PushedVersion[],
  { seq, chain, stale }: Applied,
): { position: LogPosition; newerByOp: ReadonlyMap<number, Timestamp> } {
  const newerByOp = new Map<number, Timestamp>()
  for (const [op, winner] of stale) {
    const version = batch[op]
    const order = version === undefined ? -1 : compareTimestamps(winner, version.timestamp)
    if (order < 0) {
      throw new ClientError('integrity', 'the remote says that a version lost to an older one')
    }
    if (order > 0) newerByOp.set(op, winner)
  }
  return { position: { seq, chain }, newerByOp }
}

/** The log position after a batch, when it follows `position` and fits what is stated. */
export function followBatch(
  position: LogPosition,
  batch: readonly PushedVersion[],
  stated: LogPosition,
): LogPosition | undefined {
  if (stated.seq !== position.seq + 1) return undefined
  const pairs = batch.map(({ recordId, timestamp }) => encodePair(recordId, timestamp))
  const chain = chainNext(position.chain, transactionDigest(pairs))
  return equalBytes(chain, stated.chain) ? { seq: stated.seq, chain } : undefined
}
