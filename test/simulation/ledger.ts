/**
 * Ledger: the model. It is told of every version that reaches any disk, opens it with keys of its
 * own, and knows what each record must be in the end: the greatest timestamp wins among all that
 * was ever on a disk, but for what a fault took from every disk there is.
 *
 * It knows nothing of outboxes, cursors or verdicts: it cannot make the same mistake as the engine.
 */
import {
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  formatHex,
} from '@blindcopy/protocol'
import { type Keyring, openEnvelope } from '@blindcopy/vault'
import type { Hex } from './lens.ts'

/** What every record of the simulation holds; `w` numbers the writes, none is used twice. */
export type Note = { readonly w: number; readonly by: string; readonly text: string }

export type Version = {
  readonly timestamp: Hex
  readonly place: string
  /** Null for a deletion. */
  readonly note: Note | null
  readonly envelope: Envelope
  /** It was on no disk any more after a fault, and nobody has to have it. */
  isLost: boolean
}

/** Whoever still holds something: for each record the greatest version. */
export type Holder = (recordId: Hex) => Hex | undefined

export const RESERVED = '$'

export class Ledger {
  readonly #keyring: Keyring
  readonly #fail: (what: string) => void
  readonly #versionsById = new Map<Hex, Map<Hex, Version>>()
  /** Who wrote the transaction of a timestamp: the batch in which it was first seen at its author's. */
  readonly #batchByTimestamp = new Map<Hex, object>()
  /** The writes that are known, by their number. */
  readonly #timestampByWrite = new Map<number, Hex>()

  constructor(keyring: Keyring, fail: (what: string) => void) {
    this.#keyring = keyring
    this.#fail = fail
  }

  /** A version has reached a disk. Answers it when it is new. */
  observe(envelope: Envelope, options: { batch: object; isAuthors: boolean }): Version | undefined {
    const recordId = formatHex(envelopeRecordId(envelope))
    const timestamp = formatHex(envelopeTimestamp(envelope))
    const versions = this.#versionsById.get(recordId) ?? new Map<Hex, Version>()
    this.#versionsById.set(recordId, versions)
    const known = versions.get(timestamp)
    if (known !== undefined) {
      known.isLost = false
      if (!equalBytes(known.envelope, envelope)) {
        this.#fail(`${known.place} has two contents under the timestamp ${timestamp}`)
      }
      return undefined
    }
    const version = this.#open(envelope, timestamp)
    versions.set(timestamp, version)
    this.#checkTimestamp(version, options)
    return version
  }

  /** A fault took something from a disk: what no one holds any more, no one has to have. */
  forget(holders: readonly Holder[]): number {
    let lostCount = 0
    for (const [recordId, versions] of this.#versionsById) {
      const greatest = greatestOf(holders.map((holder) => holder(recordId) ?? ''))
      for (const version of versions.values()) {
        if (version.isLost || version.timestamp <= greatest) continue
        version.isLost = true
        lostCount++
      }
    }
    return lostCount
  }

  /** The version that must be everywhere in the end. */
  winner(recordId: Hex): Version | undefined {
    const versions = this.#versionsById.get(recordId)
    const kept = [...(versions?.values() ?? [])].filter(({ isLost }) => !isLost)
    const greatest = greatestOf(kept.map(({ timestamp }) => timestamp))
    return versions?.get(greatest)
  }

  get recordIds(): Iterable<Hex> {
    return this.#versionsById.keys()
  }

  /** Every record as one text, as `exportOf` of world.ts writes them; deleted ones left out. */
  export(): string {
    const lines: string[] = []
    for (const recordId of this.recordIds) {
      const version = this.winner(recordId)
      if (version === undefined || version.note === null) continue
      if (version.place.startsWith(RESERVED)) continue
      lines.push(lineOf(version.place, version.note))
    }
    return lines.sort().join('\n')
  }

  /** Whether a write was ever seen on a disk. */
  knowsWrite(write: number): boolean {
    return this.#timestampByWrite.has(write)
  }

  #open(envelope: Envelope, timestamp: Hex): Version {
    const opened = openEnvelope(this.#keyring, envelope)
    if (opened.type !== 'opened') throw new Error('the ledger lacks a key')
    const { collection, key, fields } = opened.record
    const note = fields as Note | null
    return { timestamp, place: `${collection}/${key}`, note, envelope, isLost: false }
  }

  /** A transaction is written in one batch, and its timestamp is never that of another. */
  #checkTimestamp(
    { timestamp, note, place }: Version,
    { batch, isAuthors }: { batch: object; isAuthors: boolean },
  ): void {
    if (isAuthors) {
      const first = this.#batchByTimestamp.get(timestamp)
      if (first === undefined) this.#batchByTimestamp.set(timestamp, batch)
      else if (first !== batch) this.#fail(`the timestamp ${timestamp} of ${place} was used before`)
    }
    if (note === null || place.startsWith(RESERVED)) return
    const other = this.#timestampByWrite.get(note.w)
    if (other !== undefined && other !== timestamp) {
      this.#fail(`write ${note.w} (${place}) has two timestamps: ${other} and ${timestamp}`)
    }
    this.#timestampByWrite.set(note.w, timestamp)
  }
}

export const lineOf = (place: string, note: unknown): string => {
  const [collection, key] = place.split('/')
  return JSON.stringify([collection, key, note])
}

const greatestOf = (timestamps: readonly Hex[]): Hex => [...timestamps].sort().at(-1) ?? ''
