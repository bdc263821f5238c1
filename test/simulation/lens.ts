/**
 * Lenses: what stands on the disks of a simulation, read from the batches that are written, so that
 * nothing has to ask the shipped code what it believes. The layouts are those of the two keyspaces,
 * of row.ts and local-meta.ts of the client, and of vault-state.ts and log-entry.ts of the remote.
 */
import { decodeUint64, type Envelope, formatHex } from '@blindcopy/protocol'
import { type Entry, parseVersionKey, type StoreOp } from '@blindcopy/secondary'
import type { DiskObserver } from './crash-disk.ts'

/** A record id or a timestamp as text; timestamps of one length compare as they count. */
export type Hex = string

export type Row = { readonly current: Hex; readonly confirmed: Hex }
export type Position = { readonly syncId: Hex; readonly seq: number; readonly chain: Hex }

const letter = (key: Uint8Array, at = 0): string => String.fromCharCode(key[at] as number)
const NOTHING = new Uint8Array(0)

/** Told of each version in the order in which it reaches the disk. */
export type VersionListener = (envelope: Envelope, batch: readonly StoreOp[]) => void

/** Told of a version that was deleted in the batch that brought others of its record. */
export type RewriteListener = (recordId: Hex, before: Hex, after: readonly Hex[]) => void

export class DeviceLens implements DiskObserver {
  readonly rows = new Map<Hex, Row>()
  readonly versions = new Map<Hex, Set<Hex>>()
  /** Versions in the log of conflicts. */
  readonly lost = new Map<Hex, Set<Hex>>()
  readonly outbox = new Set<Hex>()
  readonly attention = new Set<Hex>()
  readonly quarantine = new Set<Hex>()
  cursor: Position | undefined
  isSynced = false
  onVersion: VersionListener = () => undefined
  onRewrite: RewriteListener = () => undefined
  /** A version went from what is shown to the log of conflicts. */
  onLogged: (recordId: Hex, timestamp: Hex) => void = () => undefined
  onCursor: (before: Position | undefined, after: Position) => void = () => undefined
  onSynced: () => void = () => undefined
  /** After each batch. */
  onWrote: () => void = () => undefined

  wrote(batch: readonly StoreOp[]): void {
    const before = { cursor: this.cursor, isSynced: this.isSynced }
    for (const op of batch) this.#take(op.key, op.type === 'put' ? op.value : undefined)
    for (const op of batch) {
      if (op.type === 'put' && letter(op.key) === 'v') this.onVersion(op.value as Envelope, batch)
    }
    this.#tellRewrites(batch)
    if (this.cursor !== undefined && this.cursor !== before.cursor) {
      this.onCursor(before.cursor, this.cursor)
    }
    if (this.isSynced && !before.isSynced) this.onSynced()
    this.onWrote()
  }

  replaced(entries: readonly Entry[]): void {
    for (const part of [
      this.rows,
      this.versions,
      this.lost,
      this.outbox,
      this.attention,
      this.quarantine,
    ]) {
      part.clear()
    }
    this.cursor = undefined
    this.isSynced = false
    for (const [key, value] of entries) this.#take(key, value)
  }

  /** The versions of a record that are held here. */
  held(recordId: Hex): Iterable<Hex> {
    return this.versions.get(recordId) ?? []
  }

  /** Those in the log of conflicts. */
  logged(recordId: Hex): Iterable<Hex> {
    return this.lost.get(recordId) ?? []
  }

  #tellRewrites(batch: readonly StoreOp[]): void {
    const puts = new Map<Hex, Hex[]>()
    const logged = batch.filter(({ type, key }) => type === 'put' && letter(key) === 'x')
    for (const { key } of logged) {
      const { recordId, timestamp } = parseVersionKey(key)
      this.onLogged(formatHex(recordId), formatHex(timestamp))
    }
    const versions = batch.filter(({ key }) => letter(key) === 'v')
    for (const { type, key } of versions) {
      const { recordId, timestamp } = parseVersionKey(key)
      if (type === 'delete') continue
      const id = formatHex(recordId)
      puts.set(id, [...(puts.get(id) ?? []), formatHex(timestamp)])
    }
    for (const { type, key } of versions) {
      const { recordId, timestamp } = parseVersionKey(key)
      const after = puts.get(formatHex(recordId))
      if (type === 'put' || after === undefined) continue
      this.onRewrite(formatHex(recordId), formatHex(timestamp), after)
    }
  }

  #take(key: Uint8Array, value: Uint8Array | undefined): void {
    switch (letter(key)) {
      case 'r':
        this.#takeRow(formatHex(key.subarray(1)), value)
        break
      case 'v':
        takeVersion(this.versions, key, value !== undefined)
        break
      case 'x':
        takeVersion(this.lost, key, value !== undefined)
        break
      case 'o':
        mark(this.outbox, key, value)
        break
      case 'a':
        mark(this.attention, key, value)
        break
      case 'q':
        mark(this.quarantine, key, value)
        break
      case 'm':
        if (value !== undefined) this.#takeMeta(new TextDecoder().decode(key.subarray(1)), value)
    }
  }

  #takeRow(recordId: Hex, value: Uint8Array | undefined): void {
    if (value === undefined) {
      this.rows.delete(recordId)
      return
    }
    const current = formatHex(value.subarray(0, 16))
    this.rows.set(recordId, { current, confirmed: formatHex(value.subarray(16, 32)) })
  }

  #takeMeta(name: string, value: Uint8Array): void {
    if (name === 'synced') this.isSynced = true
    if (name === 'cursor') this.cursor = positionOf(value)
  }
}

function takeVersion(map: Map<Hex, Set<Hex>>, key: Uint8Array, isThere: boolean): void {
  const { recordId, timestamp } = parseVersionKey(key)
  const id = formatHex(recordId)
  const held = map.get(id) ?? new Set()
  map.set(id, held)
  if (isThere) held.add(formatHex(timestamp))
  else held.delete(formatHex(timestamp))
}

function mark(set: Set<Hex>, key: Uint8Array, value: Uint8Array | undefined): void {
  if (value === undefined) set.delete(formatHex(key))
  else set.add(formatHex(key))
}

const positionOf = (value: Uint8Array): Position => ({
  syncId: formatHex(value.subarray(0, 16)),
  seq: decodeUint64(value, 16),
  chain: formatHex(value.subarray(24, 56)),
})

export class RemoteLens implements DiskObserver {
  readonly records = new Map<Hex, { readonly timestamp: Hex; readonly seq: number }>()
  /** The chain after each seq of the log. */
  readonly chains = new Map<number, Hex>()
  head: Position | undefined
  onVersion: VersionListener = () => undefined
  /** Told of all bytes that reach the disk. */
  onBytes: (bytes: Uint8Array) => void = () => undefined

  wrote(batch: readonly StoreOp[]): void {
    for (const op of batch) {
      this.onBytes(op.key)
      if (op.type === 'put') this.onBytes(op.value)
      this.#take(op.key, op.type === 'put' ? op.value : undefined)
    }
    for (const op of batch) {
      if (op.type === 'put' && letter(op.key, 32) === 'e')
        this.onVersion(op.value as Envelope, batch)
    }
  }

  replaced(entries: readonly Entry[]): void {
    this.records.clear()
    this.chains.clear()
    this.head = undefined
    for (const [key, value] of entries) this.#take(key, value)
  }

  held(recordId: Hex): Iterable<Hex> {
    const version = this.records.get(recordId)
    return version === undefined ? [] : [version.timestamp]
  }

  /** A remote has none. */
  logged(): Iterable<Hex> {
    return []
  }

  #take(key: Uint8Array, value: Uint8Array = NOTHING): void {
    const name = key.subarray(33)
    switch (letter(key, 32)) {
      case 's':
        this.head = value.length === 0 ? undefined : positionOf(value.subarray(1))
        break
      case 'r':
        if (value.length === 0) this.records.delete(formatHex(name))
        else this.records.set(formatHex(name), placeOf(value))
        break
      case 'l':
        if (value.length === 0) this.chains.delete(decodeUint64(name))
        else this.chains.set(decodeUint64(name), formatHex(value.subarray(1, 33)))
    }
  }
}

const placeOf = (value: Uint8Array): { timestamp: Hex; seq: number } => ({
  timestamp: formatHex(value.subarray(0, 16)),
  seq: decodeUint64(value, 16),
})
