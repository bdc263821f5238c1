/**
 * Truth: what must hold at every moment of a run, whatever the faults.
 *
 *   cursor    moves forward only, under one SyncId; everything of the log up to it is here
 *   status    pending and attention are what waits on the disk; `live` means nothing waits;
 *             `initialSyncComplete` only after the head, as it was when the pull began, was reached
 *   shown     the version that a record shows is on the disk
 *   whole     what one transaction wrote is shown whole
 *   canary    no plaintext on a wire or on the remote's disk
 */
import { CANARY } from './collections.ts'
import { FEATURES } from './faults.ts'
import type { RemoteHost } from './host.ts'
import type { Hex, Position } from './lens.ts'
import type { Machine } from './machine.ts'

const CANARY_BYTES = Buffer.from(CANARY)

const NONE = '0'.repeat(32)

export type Fail = (what: string) => void

/** Anything readable in bytes that leave a device. */
export function checkBlind(bytes: Uint8Array, where: string, fail: Fail): void {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(CANARY_BYTES)
  if (found) fail(`plaintext was found ${where}`)
}

/** Watches one device; to be made before its first process starts. */
export class DeviceTruth {
  readonly #machine: Machine
  readonly #host: RemoteHost
  readonly #fail: Fail
  /** The head of the remote when this device's process last began to ask. */
  #headBefore: Position | undefined
  #isReconciling = false
  readonly #groups: () => ReadonlyMap<string, ReadonlySet<Hex>>

  constructor(
    machine: Machine,
    host: RemoteHost,
    { fail, groups }: { fail: Fail; groups: () => ReadonlyMap<string, ReadonlySet<Hex>> },
  ) {
    this.#machine = machine
    this.#groups = groups
    this.#host = host
    this.#fail = fail
    machine.lens.onCursor = (before, after) => this.#checkCursor(before, after)
    machine.lens.onSynced = () => this.#checkSynced()
    machine.lens.onWrote = () => {
      this.#checkShown()
      this.#checkWhole()
    }
  }

  /** A pull of this device has reached the remote. */
  noteAsked(): void {
    this.#headBefore = this.#host.lens.head
  }

  /** After each event: what the status says against what the disk holds. */
  checkStatus(): void {
    const { vault, lens, disk, name } = this.#machine
    if (vault === undefined || disk.isBusy) return
    const { pending, attention, phase } = vault.sync.status
    if (pending !== lens.outbox.size) {
      this.#fail(`${name} says ${pending} pending, and ${lens.outbox.size} wait on its disk`)
    }
    if (attention !== lens.attention.size) {
      this.#fail(`${name} says ${attention} in attention; its disk has ${lens.attention.size}`)
    }
    if (phase === 'live' && pending > 0) this.#fail(`${name} says live with ${pending} pending`)
  }

  #checkCursor(before: Position | undefined, after: Position): void {
    const { name, lens } = this.#machine
    if (before?.syncId === after.syncId && after.seq < before.seq) {
      this.#fail(`the cursor of ${name} went back from ${before.seq} to ${after.seq}`)
    }
    if (before !== undefined && before.syncId !== after.syncId) this.#isReconciling = true
    const remote = this.#host.lens
    // A remote that was put back may have another history: the cursor is not in it.
    const isInLog =
      remote.head?.syncId === after.syncId && remote.chains.get(after.seq) === after.chain
    if (!isInLog) return
    for (const [recordId, { timestamp, seq }] of remote.records) {
      const confirmed = lens.rows.get(recordId)?.confirmed ?? ''
      if (seq > after.seq || confirmed >= timestamp) continue
      this.#fail(
        `the cursor of ${name} is at ${after.seq} and skipped version ${timestamp} of ${recordId} at ${seq}`,
      )
    }
  }

  #checkShown(): void {
    const { name, lens } = this.#machine
    for (const [recordId, { current }] of lens.rows) {
      if (current === NONE || lens.versions.get(recordId)?.has(current) === true) continue
      this.#fail(`${name} shows version ${current} of ${recordId}, which its disk does not hold`)
    }
  }

  /**
   * What was written together is shown together; but in the first pull and while a device brings
   * itself and another SyncId in step, it is shown as it comes.
   */
  #checkWhole(): void {
    const { name, lens } = this.#machine
    if (lens.cursor?.seq === this.#host.lens.head?.seq) this.#isReconciling = false
    if (!FEATURES.parking || !lens.isSynced || this.#isReconciling) return
    for (const [group, recordIds] of this.#groups()) {
      const shown = new Set([...recordIds].map((id) => lens.rows.get(id)?.current ?? ''))
      if (shown.size > 1) this.#fail(`${name} shows ${group} torn: ${[...shown].join(', ')}`)
    }
  }

  #checkSynced(): void {
    const { name, lens } = this.#machine
    const head = this.#headBefore
    const isReached =
      head !== undefined && lens.cursor?.syncId === head.syncId && lens.cursor.seq >= head.seq
    if (isReached) return
    this.#fail(
      `${name} says that its first sync is complete at ${lens.cursor?.seq}; the head was ${head?.seq}`,
    )
  }
}

/** What is left to hold when the world is well again and everything has come to rest. */
export function isAtRest(machine: Machine, host: RemoteHost): boolean {
  const { vault, lens, disk, wire } = machine
  if (vault === undefined || disk.isBusy || wire.isBusy) return false
  const { phase, pending } = vault.sync.status
  const { head } = host.lens
  const isAtHead =
    head !== undefined && lens.cursor?.seq === head.seq && lens.cursor.chain === head.chain
  return phase === 'live' && pending === 0 && isAtHead
}
