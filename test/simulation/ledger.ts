/**
 * Ledger: the model. It is told of every version that reaches any disk, opens it with keys of its
 * own, and knows what must be left in the end.
 *
 *   lww      of each record the version with the greatest timestamp
 *   merge    of each field the value with the greatest clock
 *   ids      every number that was ever written, each once
 *   manual   every number that was written: as what the record holds, below it (its writer, or the
 *            writer of what is above it, had seen it), or in the list of conflicts
 *
 * among all that was ever on a disk, but for what a fault took from every disk there is, and for
 * what its own author rewrote before anybody else had it. It knows nothing of outboxes, cursors or
 * verdicts: it cannot make the same mistake as the engine.
 */
import {
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  type Fields,
  formatHex,
} from '@blindcopy/protocol'
import { type Keyring, openEnvelope } from '@blindcopy/vault'
import { groupOf, kindOf, type PolicyKind, writesIn } from './collections.ts'
import type { Hex } from './lens.ts'

export type Version = {
  readonly timestamp: Hex
  readonly collection: string
  readonly key: string
  /** Null for a deletion. */
  readonly fields: Fields | null
  /** Of the fields that carry one of their own. */
  readonly clocks: ReadonlyMap<string, Hex>
  readonly envelope: Envelope
  /** It has reached the remote: others may have it. */
  isPublic: boolean
  /** Nobody has to have it: it was on no disk after a fault, or its author rewrote it. */
  isGone: boolean
}

/** Whoever still holds something: the versions of a record, and those in its log of conflicts. */
export type Holder = {
  held(recordId: Hex): Iterable<Hex>
  logged(recordId: Hex): Iterable<Hex>
}

/** Where a version was seen. */
export type Sighting = { readonly batch: object; readonly at: 'author' | 'other' | 'remote' }

export class Ledger {
  /** The records that are always written together. */
  readonly groups: Map<string, Set<Hex>> = new Map()
  readonly versionsById: Map<Hex, Map<Hex, Version>> = new Map()
  readonly #keyring: Keyring
  readonly #fail: (what: string) => void
  /** The batch in which a transaction was first seen at its author's. */
  readonly #batchByTimestamp = new Map<Hex, object>()
  readonly #writes = new Set<number>()
  /** Of records where each write counts: those that a fault took. */
  readonly #lostWrites = new Set<number>()

  constructor(keyring: Keyring, fail: (what: string) => void) {
    this.#keyring = keyring
    this.#fail = fail
  }

  /** A version has reached a disk. */
  observe(envelope: Envelope, { batch, at }: Sighting): void {
    const recordId = formatHex(envelopeRecordId(envelope))
    const timestamp = formatHex(envelopeTimestamp(envelope))
    const versions = this.#versionsOf(recordId)
    const known = versions.get(timestamp)
    const version = known ?? this.#open(envelope, timestamp)
    if (known !== undefined && !equalBytes(known.envelope, envelope)) {
      this.#fail(`${known.key} has two contents under the timestamp ${timestamp}`)
    }
    version.isGone = false
    version.isPublic ||= at === 'remote'
    const { collection, fields, key } = version
    for (const write of writesIn(collection, fields)) {
      this.#writes.add(write)
      this.#lostWrites.delete(write)
    }
    if (known !== undefined) return
    versions.set(timestamp, version)
    const group = groupOf(key)
    if (group !== undefined) {
      this.groups.set(group, (this.groups.get(group) ?? new Set()).add(recordId))
    }
    if (at === 'author') this.#checkTimestamp(version, batch)
  }

  /**
   * The author has put another version in the place of one that nobody else can have: stamped anew,
   * or merged with what came meanwhile. What it said must be in the new one.
   */
  rewrite(recordId: Hex, before: Hex, after: readonly Hex[]): void {
    const versions = this.#versionsOf(recordId)
    const old = versions.get(before)
    if (old === undefined || old.isPublic) return
    const next = after.flatMap((timestamp) => versions.get(timestamp) ?? [])
    old.isGone ||= next.some((one) => isCarried(old, one))
  }

  /**
   * The author has taken back a version that nobody else can have, and lists it. Its time was
   * wrong: set right, it was older than what had come meanwhile.
   */
  takeBack(recordId: Hex, timestamp: Hex): void {
    const version = this.versionsById.get(recordId)?.get(timestamp)
    if (version !== undefined && !version.isPublic) version.isGone = true
  }

  /**
   * A fault took something from a disk: what no one holds any more, no one has to have. With clocks
   * that are wrong, what stands above it now may be set back below it later, so it counts for gone
   * even where it has lost.
   */
  forget(holders: readonly Holder[], { mayBeSetBack }: { mayBeSetBack: boolean }): void {
    for (const [recordId, versions] of this.versionsById) {
      const held = holders.flatMap((holder) => [...holder.held(recordId)])
      const logged = holders.flatMap((holder) => [...holder.logged(recordId)])
      const versionsOf = (timestamps: readonly Hex[]): Version[] =>
        timestamps.flatMap((timestamp) => versions.get(timestamp) ?? [])
      const heldVersions = versionsOf(held)
      const readable = [...heldVersions, ...versionsOf(logged)]
      const greatest = held.sort().at(-1) ?? ''
      const isKept = keeperOf(heldVersions)
      // A batch that rewrote it may be lost, and not what it rewrote.
      for (const version of heldVersions) version.isGone = false
      for (const version of versions.values()) {
        const isLww = kindOf(version.collection) === 'lww'
        const isAbove = mayBeSetBack || version.timestamp > greatest
        const isHeld = held.includes(version.timestamp)
        version.isGone ||= isLww ? isAbove && !isHeld : !isKept(version)
        for (const write of writesIn(version.collection, version.fields)) {
          if (!readable.some((one) => holds(one, write))) this.#lostWrites.add(write)
        }
      }
    }
  }

  /** The version with the greatest timestamp that has to be there. */
  winner(recordId: Hex): Version | undefined {
    const kept = [...this.#versionsOf(recordId).values()].filter(({ isGone }) => !isGone)
    return kept.sort((a, b) => (a.timestamp < b.timestamp ? 1 : -1))[0]
  }

  /** The versions of a record that somebody has to have. */
  kept(recordId: Hex): readonly Version[] {
    return [...this.#versionsOf(recordId).values()].filter(({ isGone }) => !isGone)
  }

  /** The writes of a record that must be found in the end, where each counts. */
  keptWrites(recordId: Hex): ReadonlySet<number> {
    const writes = new Set<number>()
    for (const { collection, fields } of this.#versionsOf(recordId).values()) {
      for (const write of writesIn(collection, fields)) {
        if (!this.#lostWrites.has(write)) writes.add(write)
      }
    }
    return writes
  }

  kindOf(recordId: Hex): PolicyKind {
    const [version] = this.#versionsOf(recordId).values()
    return kindOf(version?.collection ?? '')
  }

  /** Whether a write was ever seen on a disk. */
  knowsWrite(write: number): boolean {
    return this.#writes.has(write)
  }

  #versionsOf(recordId: Hex): Map<Hex, Version> {
    const versions = this.versionsById.get(recordId) ?? new Map<Hex, Version>()
    this.versionsById.set(recordId, versions)
    return versions
  }

  #open(envelope: Envelope, timestamp: Hex): Version {
    const opened = openEnvelope(this.#keyring, envelope)
    if (opened.type !== 'opened') throw new Error('the ledger lacks a key')
    const { collection, key, fields, fieldClocks } = opened.record
    const clocks = new Map<string, Hex>()
    for (const [clock, names] of fieldClocks?.groups ?? []) {
      if (clock !== null) for (const name of names) clocks.set(name, formatHex(clock))
    }
    const flags = { isPublic: false, isGone: false }
    return { timestamp, collection, key, fields, clocks, envelope, ...flags }
  }

  /** A transaction is written in one batch, and its timestamp is never that of another. */
  #checkTimestamp({ timestamp, key }: Version, batch: object): void {
    const first = this.#batchByTimestamp.get(timestamp)
    if (first === undefined) this.#batchByTimestamp.set(timestamp, batch)
    else if (first !== batch) this.#fail(`the timestamp ${timestamp} of ${key} was used before`)
  }
}

/** When a field of a version was written. */
export const clockOf = ({ clocks, timestamp }: Version, field: string): Hex =>
  clocks.get(field) ?? timestamp

/** Whether a version says all that another says, or newer. */
function isCarried(old: Version, next: Version): boolean {
  if (kindOf(old.collection) === 'lww') {
    const isSame = JSON.stringify(old.fields) === JSON.stringify(next.fields)
    return isSame || next.timestamp > old.timestamp
  }
  return Object.entries(old.fields ?? {}).every(
    ([field, value]) =>
      next.fields?.[field] === value || clockOf(next, field) > clockOf(old, field),
  )
}

const holds = ({ collection, fields }: Version, write: number): boolean =>
  writesIn(collection, fields).includes(write)

/** Of a record that is merged: whether what a version says of any field is still held, or older. */
function keeperOf(held: readonly Version[]): (version: Version) => boolean {
  const greatest = new Map<string, Hex>()
  for (const version of held) {
    for (const field of Object.keys(version.fields ?? {})) {
      const clock = clockOf(version, field)
      if (clock > (greatest.get(field) ?? '')) greatest.set(field, clock)
    }
  }
  return (version) =>
    Object.keys(version.fields ?? {}).every(
      (field) => clockOf(version, field) <= (greatest.get(field) ?? ''),
    )
}
