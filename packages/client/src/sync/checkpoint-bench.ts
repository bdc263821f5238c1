/**
 * Checkpoint bench: one round of judging (checkpoint-desk.ts says when). Works through what was
 * served, told and remembered, stores what each has come to, and tells of the worst at the end.
 */
import {
  type Checkpoint,
  equalBytes,
  findMember,
  formatHex,
  type Hash,
  type MemberId,
} from '@blindcopy/protocol'
import type { StoreOp } from '@blindcopy/secondary'
import {
  deleteExpected,
  type Heard,
  type HeardState,
  isSettling,
  type OwnCheckpoint,
  putHeard,
  readExpected,
  readHeard,
  sameCheckpoint,
} from '../local/checkpoint-store.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import {
  historyDiffers,
  historyForked,
  keychainForked,
  keychainPlaceOf,
  nameOf,
  placeOf,
  provenanceOf,
  sameSet,
  tellsOfSet,
} from './checkpoint-judge.ts'
import type { CheckpointIdentity } from './identity.ts'
import type { DataRequest, Transport } from './transport.ts'

export type BenchOptions = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly checkpoints: CheckpointIdentity
  readonly data: DataRequest
  readonly own: OwnCheckpoint
  /** All that was fetched came before a pull that has reached the head. */
  readonly isAtHead: boolean
  /** The set here is the one that the remote states at this head. */
  readonly agreed: boolean
  readonly known: Map<number, Hash>
  readonly nowMs: number
  readonly renewKeychain: () => Promise<void>
}

/** `null`: nothing was fetched. */
export type Brought = {
  readonly served: readonly Checkpoint[] | null
  readonly told: readonly Checkpoint[]
}

type Candidate = {
  readonly checkpoint: Checkpoint
  readonly from: 'served' | 'told' | 'kept' | 'expected'
}

export class CheckpointBench {
  own: OwnCheckpoint
  readonly #options: BenchOptions
  #heard = new Map<string, Heard>()
  readonly #ops: StoreOp[] = []
  readonly #lost: Checkpoint[] = []
  #mustPull = false
  #hasLinked = false
  #isSettling = false
  #mustHeal = false
  #stop: Error | undefined

  constructor(options: BenchOptions) {
    this.#options = options
    this.own = options.own
  }

  async judge({ served, told }: Brought): Promise<{ mustPull: boolean; mustHeal: boolean }> {
    const { local } = this.#options
    const { store } = local.state
    this.#heard = await readHeard(store)
    this.#isSettling = await isSettling(store)
    if (served !== null) this.#noteMissed(served.filter((one) => this.#counts(one)))
    const candidates = await this.#candidates({ served, told })
    const wanted = new Set(candidates.map(({ checkpoint }) => checkpoint.position.seq))
    for (const candidate of candidates) await this.#judgeOne(candidate, wanted)
    await this.#store()
    if (this.#stop !== undefined) throw this.#stop
    return { mustPull: this.#mustPull, mustHeal: this.#mustHeal }
  }

  /** Signed by an active device of the vault. */
  #counts(checkpoint: Checkpoint): boolean {
    return provenanceOf(checkpoint, this.#options.checkpoints) === 'signed'
  }

  /** In the order of the log: a walk from the first passes the others. */
  async #candidates({ served, told }: Brought): Promise<Candidate[]> {
    const byMember = new Map<string, Candidate>()
    const add = (checkpoint: Checkpoint, from: Candidate['from']): void => {
      if (!this.#counts(checkpoint)) return
      const id = formatHex(checkpoint.memberId)
      const known = byMember.get(id)?.checkpoint
      if (known === undefined || checkpoint.number > known.number) {
        byMember.set(id, { checkpoint, from })
      }
    }
    for (const checkpoint of served ?? []) add(checkpoint, 'served')
    for (const checkpoint of told) add(checkpoint, 'told')
    for (const { state, checkpoint } of this.#heard.values()) {
      if (state === 'ahead') add(checkpoint, 'kept')
    }
    const candidates = [...byMember.values()]
    const expected = await readExpected(this.#options.local.state.store)
    if (expected !== undefined) {
      if (this.#counts(expected)) candidates.push({ checkpoint: expected, from: 'expected' })
      else this.#ops.push(deleteExpected())
    }
    return candidates.sort((a, b) => a.checkpoint.position.seq - b.checkpoint.position.seq)
  }

  /** What the remote served once and no longer does: it was put back, or lets it go. */
  #noteMissed(served: readonly Checkpoint[]): void {
    const isServed = (checkpoint: Checkpoint): boolean =>
      served.some(
        (one) => equalBytes(one.memberId, checkpoint.memberId) && one.number >= checkpoint.number,
      )
    const last = this.own.checkpoint
    if (last !== null && this.#isPresent(last) && !isServed(last)) {
      this.#lost.push(last)
      // It is made again.
      this.own = { ...this.own, checkpoint: null }
    }
    for (const heard of this.#heard.values()) {
      const { checkpoint, state, isMissed } = heard
      const isActive = findMember(this.#keychain, checkpoint.memberId) !== undefined
      if (isMissed || state === 'void' || !isActive || !this.#isPresent(checkpoint)) continue
      if (isServed(checkpoint)) continue
      this.#lost.push(checkpoint)
      this.#keep({ ...heard, isMissed: true, state: state === 'ahead' ? 'void' : state })
    }
  }

  get #keychain(): ReturnType<CheckpointIdentity['keychain']> {
    return this.#options.checkpoints.keychain()
  }

  #isPresent({ syncId }: Checkpoint): boolean {
    const present = this.#options.local.cursor.syncId
    return present !== null && equalBytes(syncId, present)
  }

  async #judgeOne({ checkpoint, from }: Candidate, wanted: ReadonlySet<number>): Promise<void> {
    const before = this.#heard.get(formatHex(checkpoint.memberId))
    if (from !== 'expected' && !this.#isNews(checkpoint, before)) return
    if (!this.#isPresent(checkpoint)) {
      // Of before the remote was reset or restored: it tells when its device was last here.
      if (from === 'expected') this.#lose(checkpoint)
      if (from === 'expected') this.#ops.push(deleteExpected())
      else this.#hear(checkpoint, before, 'void')
      return
    }
    if (from !== 'expected' && sameCheckpoint(before?.checkpoint, checkpoint)) {
      if (before?.state === 'differs') return this.#halt(checkpoint, before, 'differs')
    }
    const keychain = await this.#keychainPlace(checkpoint)
    if (keychain === 'forked') throw keychainForked(checkpoint.memberId)
    if (keychain === 'ahead') this.#lose(checkpoint)
    const { transport, data, known } = this.#options
    const place = await placeOf(checkpoint, { transport, data, known, wanted })
    if (place === 'ahead') return this.#leaveAhead(checkpoint, before, from)
    if (place === 'parted') return this.#judgeParted(checkpoint, before, from)
    const isComparable = keychain === 'held'
    if (isComparable && !(await this.#tellsOfSets(checkpoint))) {
      return this.#halt(checkpoint, before, 'differs')
    }
    if (from === 'expected') this.#ops.push(deleteExpected())
    this.#hear(checkpoint, before, 'linked')
  }

  /** What was judged for good is not judged again; nor what this device itself has made. */
  #isNews(checkpoint: Checkpoint, before: Heard | undefined): boolean {
    if (this.#isOwnMember(checkpoint.memberId)) {
      if (sameCheckpoint(this.own.checkpoint, checkpoint)) return false
      // A copy of this folder has made it, or this folder before it was put back.
      const number = Math.max(this.own.number, checkpoint.number)
      if (number !== this.own.number) this.own = { ...this.own, number }
    }
    if (before === undefined) return true
    if (sameCheckpoint(before.checkpoint, checkpoint)) {
      return before.state !== 'linked' && before.state !== 'settled' && this.#isPresent(checkpoint)
    }
    const isOlder = checkpoint.number < before.checkpoint.number
    return !isOlder || !this.#isPresent(before.checkpoint)
  }

  #isOwnMember(memberId: MemberId): boolean {
    return equalBytes(memberId, this.#options.local.state.clock.identity.deviceId)
  }

  async #keychainPlace(checkpoint: Checkpoint): Promise<ReturnType<typeof keychainPlaceOf>> {
    const place = keychainPlaceOf(checkpoint, this.#keychain)
    if (place === 'held' || place === 'replaced') return place
    // Entries may have come since: the remote has them, or shows less than that device has seen.
    await this.#options.renewKeychain()
    return keychainPlaceOf(checkpoint, this.#keychain)
  }

  #leaveAhead(checkpoint: Checkpoint, before: Heard | undefined, from: Candidate['from']): void {
    const isOver = this.#options.isAtHead && from !== 'told'
    if (!isOver) {
      this.#mustPull = true
      if (from !== 'expected') this.#hear(checkpoint, before, 'ahead')
      return
    }
    // The pull that followed has reached the head, and the head is before it.
    if (from === 'expected') {
      this.#halt(checkpoint, before, 'parted', from)
      return
    }
    if (before?.state !== 'void') this.#lose(checkpoint)
    this.#hear(checkpoint, before, 'void')
  }

  async #judgeParted(
    checkpoint: Checkpoint,
    before: Heard | undefined,
    from: Candidate['from'],
  ): Promise<void> {
    if (from === 'expected') return this.#halt(checkpoint, before, 'parted', from)
    // What was fetched or told before may be gone with an image since.
    const { transport, data } = this.#options
    const served = await transport.checkpoints(data)
    if (served.some((bytes) => equalBytes(bytes, checkpoint.bytes))) {
      return this.#halt(checkpoint, before, 'parted')
    }
    this.#lose(checkpoint)
    this.#hear(checkpoint, before, 'void')
  }

  /** Whether it names the set that is held here, where both stand or stood at one place. */
  async #tellsOfSets(checkpoint: Checkpoint): Promise<boolean> {
    const { local, agreed } = this.#options
    const { position } = checkpoint
    const last = this.own.checkpoint
    // One that the disk has spoiled is no longer signed.
    const isAtLast =
      last !== null &&
      this.#isPresent(last) &&
      last.position.seq === position.seq &&
      this.#counts(last)
    if (isAtLast && !sameSet(checkpoint, last)) return false
    if (!agreed || position.seq !== local.cursor.position.seq) return true
    return tellsOfSet(checkpoint, local.state)
  }

  #halt(
    checkpoint: Checkpoint,
    before: Heard | undefined,
    state: 'parted' | 'differs',
    from?: Candidate['from'],
  ): void {
    if (this.#isSettling) {
      this.#mustHeal = true
      if (from === 'expected') this.#ops.push(deleteExpected())
      this.#hear(checkpoint, before, 'settled')
      return
    }
    if (from !== 'expected') this.#hear(checkpoint, before, state)
    if (state === 'parted') this.#stop = historyForked(checkpoint.memberId)
    else this.#stop ??= historyDiffers(checkpoint.memberId)
  }

  #lose(checkpoint: Checkpoint): void {
    this.#lost.push(checkpoint)
  }

  #hear(checkpoint: Checkpoint, before: Heard | undefined, state: HeardState): void {
    const isSame = sameCheckpoint(before?.checkpoint, checkpoint)
    if (isSame && before?.state === state) return
    const seenMs = isSame && before !== undefined ? before.seenMs : this.#options.nowMs
    const linked = state === 'linked' ? checkpoint : (before?.linked ?? null)
    if (state === 'linked') this.#hasLinked = true
    this.#keep({ state, checkpoint, seenMs, isMissed: false, linked })
  }

  #keep(heard: Heard): void {
    this.#heard.set(formatHex(heard.checkpoint.memberId), heard)
    this.#ops.push(putHeard(heard))
  }

  async #store(): Promise<void> {
    const { local, nowMs } = this.#options
    const { state } = local
    if (this.#ops.length === 0 && this.#lost.length === 0) return
    await state.run(async () => {
      if (this.#lost.length === 0) return state.writeOps([...this.#ops])
      const message = rolledBack(this.#lost)
      const notices = state.withNotice({ code: 'remote-rolled-back', message })
      return state.writeOps([...this.#ops], { notices })
    })
    if (this.#hasLinked) state.lastCheckedMs = nowMs
  }
}

function rolledBack(lost: readonly Checkpoint[]): string {
  const names = [...new Set(lost.map(nameOf))].join(', ')
  return `${ROLLED_BACK}: ${names}`
}

const ROLLED_BACK =
  'the remote was put back, or shows less than it did; each device brings back what it holds at its next sync. It no longer has what these devices have signed'
