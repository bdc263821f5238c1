/**
 * Image check: goes through the parts of a vault as they come, and finds what contradicts itself.
 *
 * Nothing is opened, and nothing is needed but the parts: the keychain proves itself from the vault
 * id, the chain is computed over the log again, every live envelope must be what the log says
 * stands in its place, and all that is counted is counted again. A backup is checked so while it is
 * written, when it is verified and when it is restored, and so is what stands in the store.
 */
import {
  chainNext,
  chainStart,
  checkpointSignedBytes,
  checkSignature,
  type Envelope,
  envelopePair,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  Fingerprint,
  findMember,
  findRevoked,
  type Hash,
  type Keychain,
  keychainDigest,
  type LogPosition,
  PAIR_BYTES,
  parseCheckpoint,
  parseEnvelope,
  parseKeychainEntry,
  type RecordId,
  replayKeychain,
  type Timestamp,
  timestampMilliseconds,
  transactionDigest,
  type VerifySignature,
} from '@blindcopy/protocol'
import {
  type AppendEntry,
  decodeLogEntry,
  joinPairs,
  type LogEntry,
  type TransactionEntry,
} from '../log-entry.ts'
import type { Defects } from './defects.ts'
import type { Manifest } from './manifest.ts'
import type { FilePart, LogItem } from './remote-file.ts'

export type LiveVersion = {
  readonly opIndex: number
  readonly envelope: Envelope
  readonly recordId: RecordId
  readonly timestamp: Timestamp
}

export type SoundVersion = Omit<LiveVersion, 'opIndex'> & { readonly supersededMs: number }

/** What of a part is sound. */
export type SoundPart =
  | {
      readonly type: 'keychain'
      readonly entries: readonly { readonly seq: number; readonly entry: Uint8Array }[]
    }
  | { readonly type: 'log'; readonly items: readonly SoundItem[] }
  | { readonly type: 'checkpoints'; readonly checkpoints: readonly Uint8Array[] }
  | { readonly type: 'history'; readonly versions: readonly SoundVersion[] }

export type SoundItem = {
  readonly seq: number
  readonly bytes: Uint8Array
  readonly entry: LogEntry
  readonly live: readonly LiveVersion[]
}

/** What the parts came to, beside what the manifest said of them. */
export type Found = {
  readonly keychain: Keychain | undefined
  readonly head: LogPosition
  readonly count: number
  readonly fingerprint: Uint8Array
  readonly greatestMs: number
  readonly keychainLength: number
  readonly keychainBytes: number
  readonly bytes: number
  readonly historyCount: number
  readonly historyBytes: number
}

export class ImageCheck {
  readonly #manifest: Manifest
  readonly #verify: VerifySignature
  readonly #defects: Defects
  readonly #entries: { readonly seq: number; readonly entry: Uint8Array; readonly hash: Hash }[] =
    []
  readonly #fingerprint = new Fingerprint()
  #keychain: Keychain | undefined
  #isReplayed = false
  #keychainBytes = 0
  #coveredEntries = 0
  #seq = 0
  #chain: Hash
  #count = 0
  #bytes = 0
  #greatestMs = 0
  #historyCount = 0
  #historyBytes = 0

  constructor(manifest: Manifest, verify: VerifySignature, defects: Defects) {
    this.#manifest = manifest
    this.#verify = verify
    this.#defects = defects
    this.#chain = chainStart(manifest.vaultId)
  }

  /** The seqs and the chain so far. */
  get head(): LogPosition {
    return { seq: this.#seq, chain: this.#chain }
  }

  take(part: FilePart): SoundPart | undefined {
    if (part.type === 'keychain') return this.#takeEntries(part)
    this.#replay()
    if (part.type === 'log') return { type: 'log', items: part.items.flatMap((i) => this.#item(i)) }
    if (part.type === 'checkpoints') {
      const checkpoints = part.checkpoints.filter((bytes) => this.#isCheckpoint(bytes))
      return { type: 'checkpoints', checkpoints }
    }
    if (part.type !== 'history') return undefined
    return { type: 'history', versions: part.versions.flatMap((one) => this.#version(one)) }
  }

  /** Compares with the manifest. */
  finish(): Found {
    this.#replay()
    const found: Found = {
      keychain: this.#keychain,
      head: this.head,
      count: this.#count,
      fingerprint: this.#fingerprint.toBytes(),
      greatestMs: this.#greatestMs,
      keychainLength: this.#entries.length,
      keychainBytes: this.#keychainBytes,
      bytes: this.#bytes,
      historyCount: this.#historyCount,
      historyBytes: this.#historyBytes,
    }
    if (this.#coveredEntries !== this.#entries.length) {
      this.#defects.add('log-damaged', 'the log does not speak of each entry of the keychain')
    }
    compare(this.#manifest, found, this.#defects)
    return found
  }

  #takeEntries(part: Extract<FilePart, { type: 'keychain' }>): SoundPart {
    for (const { seq, entry } of part.entries) {
      // A copy: it outlives the frame that it came in.
      const own = entry.slice()
      this.#entries.push({ seq, entry: own, hash: hashOf(own) })
      this.#keychainBytes += own.length
    }
    return part
  }

  #replay(): void {
    if (this.#isReplayed) return
    this.#isReplayed = true
    const entries = this.#entries.map(({ entry }) => entry)
    try {
      this.#keychain = replayKeychain(this.#manifest.vaultId, entries, this.#verify)
    } catch (error) {
      this.#defects.add('keychain-damaged', sentenceOf(error))
    }
  }

  #item({ seq, entry: bytes, live }: LogItem): SoundItem[] {
    if (seq !== this.#seq + 1) {
      this.#defects.add('log-gap', `the log goes from ${this.#seq} to ${seq}`)
    }
    this.#seq = seq
    this.#bytes += bytes.length
    try {
      const entry = decodeLogEntry(bytes)
      const pairs = entry.type === 'append' ? [] : this.#pairsOf(entry)
      const digest =
        entry.type === 'append' ? this.#appendDigest(entry, seq) : transactionDigest(pairs)
      const chain = chainNext(this.#chain, digest)
      if (!equalBytes(chain, entry.chain)) {
        this.#defects.add('chain-differs', `at ${seq} the log is not what its chain says`)
      }
      // From what is written on: one place that differs is one defect.
      this.#chain = entry.chain.slice() as Hash
      return [{ seq, bytes, entry, live: live.flatMap((one) => this.#live(one, seq, pairs)) }]
    } catch (error) {
      this.#defects.add(
        'log-damaged',
        `entry ${seq} of the log cannot be read: ${sentenceOf(error)}`,
      )
      return []
    }
  }

  #pairsOf(entry: TransactionEntry): Uint8Array[] {
    const joined = joinPairs(entry, [])
    const pairs: Uint8Array[] = []
    for (let at = 0; at < joined.length; at += PAIR_BYTES) {
      const pair = joined.subarray(at, at + PAIR_BYTES)
      this.#seeTime(pair.subarray(-(PAIR_BYTES / 2)) as Timestamp)
      pairs.push(pair)
    }
    return pairs
  }

  #appendDigest({ firstEntry, endEntry }: AppendEntry, seq: number): Hash {
    const appended = this.#entries.slice(firstEntry, endEntry)
    const isNext = firstEntry === this.#coveredEntries && appended.length === endEntry - firstEntry
    if (!isNext || appended.length === 0) {
      this.#defects.add('log-damaged', `at ${seq} stand other entries of the keychain than follow`)
    }
    this.#coveredEntries = endEntry
    if (appended.some((one) => one.seq !== seq)) {
      this.#defects.add(
        'keychain-place-differs',
        `entries of seq ${seq} say that they are of another`,
      )
    }
    return keychainDigest(appended.map(({ hash }) => hash))
  }

  #live(
    { opIndex, envelope: bytes }: LogItem['live'][number],
    seq: number,
    pairs: readonly Uint8Array[],
  ): LiveVersion[] {
    const pair = pairs[opIndex]
    const envelope = envelopeOf(bytes)
    if (envelope === undefined || pair === undefined || !equalBytes(pair, envelopePair(envelope))) {
      this.#defects.add('envelope-misplaced', `at ${seq} stands what the log does not name there`)
      return []
    }
    this.#count++
    this.#bytes += envelope.length
    this.#fingerprint.add(pair)
    const recordId = envelopeRecordId(envelope)
    return [{ opIndex, envelope, recordId, timestamp: envelopeTimestamp(envelope) }]
  }

  #isCheckpoint(bytes: Uint8Array): boolean {
    try {
      const { vaultId, memberId, body, signature } = parseCheckpoint(bytes)
      const keychain = this.#keychain
      if (keychain === undefined) return true
      const signer = findMember(keychain, memberId) ?? findRevoked(keychain, memberId)
      const signed = checkpointSignedBytes(vaultId, body)
      // Of a replaced branch's device nothing is known any more: then there is nothing to check.
      const isSigned =
        signer === undefined || checkSignature(this.#verify, signed, signature, signer.signingKey)
      if (isSigned && equalBytes(vaultId, this.#manifest.vaultId)) return true
      this.#defects.add('checkpoint-damaged', 'a checkpoint is not what its device has signed')
    } catch (error) {
      this.#defects.add('checkpoint-damaged', sentenceOf(error))
    }
    return false
  }

  #version(one: { readonly supersededMs: number; readonly envelope: Uint8Array }): SoundVersion[] {
    const envelope = envelopeOf(one.envelope)
    if (envelope === undefined) {
      this.#defects.add('history-damaged', 'a superseded version is no envelope')
      return []
    }
    this.#historyCount++
    this.#historyBytes += envelope.length
    const timestamp = envelopeTimestamp(envelope)
    this.#seeTime(timestamp)
    const recordId = envelopeRecordId(envelope)
    return [{ supersededMs: one.supersededMs, envelope, recordId, timestamp }]
  }

  #seeTime(timestamp: Timestamp): void {
    this.#greatestMs = Math.max(this.#greatestMs, timestampMilliseconds(timestamp))
  }
}

function compare(stated: Manifest, found: Found, defects: Defects): void {
  if (found.head.seq !== stated.head.seq || !equalBytes(found.head.chain, stated.head.chain)) {
    const what = `the log ends at ${found.head.seq}, and the state says ${stated.head.seq}`
    defects.add('head-differs', found.head.seq === stated.head.seq ? OTHER_CHAIN : what)
  }
  if (
    found.keychainLength !== stated.keychainLength ||
    found.keychainBytes !== stated.keychainBytes
  ) {
    const what = `${found.keychainLength} entries, and the state says ${stated.keychainLength}`
    defects.add('keychain-count-differs', what)
  }
  if (found.count !== stated.count) {
    defects.add('count-differs', `${found.count} records, and the state says ${stated.count}`)
  }
  if (!equalBytes(found.fingerprint, stated.fingerprint)) {
    defects.add('fingerprint-differs', 'the fingerprint of the records is not that of the state')
  }
  if (found.bytes !== stated.bytes) {
    defects.add('bytes-differ', `${found.bytes} bytes, and the state says ${stated.bytes}`)
  }
  if (found.historyCount !== stated.historyCount || found.historyBytes !== stated.historyBytes) {
    const [versions, bytes] = [found.historyCount, found.historyBytes]
    const said = `${stated.historyCount} of ${stated.historyBytes}`
    const what = `${versions} versions of ${bytes} bytes, and the state says ${said}`
    defects.add('history-count-differs', what)
  }
  if (found.greatestMs > stated.greatestMs) {
    defects.add('greatest-time-low', 'a version is of a later time than the state says')
  }
}

const OTHER_CHAIN = 'the chain of the log does not end as the state says'

function envelopeOf(bytes: Uint8Array): Envelope | undefined {
  try {
    return parseEnvelope(bytes)
  } catch {
    return undefined
  }
}

/** Of an entry that cannot be read the replay says so. */
function hashOf(entry: Uint8Array): Hash {
  try {
    return parseKeychainEntry(entry).hash
  } catch {
    return new Uint8Array(32) as Hash
  }
}

export const sentenceOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
