/**
 * Person: who uses one device. Writes, deletes, looks, turns sync on and off, closes and opens the
 * app, at moments of its own, and takes note when the app says something that is not so.
 */
import { type Collection, codeOf, type Vault } from '@blindcopy/client'
import type { Chance } from './chance.ts'
import type { Tally } from './faults.ts'
import { FEATURES } from './faults.ts'
import type { Ledger, Note } from './ledger.ts'
import type { Machine } from './machine.ts'
import type { Scheduler } from './scheduler.ts'
import { CANARY, type Fail } from './truth.ts'

const KEYS = 12
const GROUPS = 3
const GROUP_SIZE = 4
const NOTES = `${CANARY} notes`
const BUNDLES = `${CANARY} groups`
const PAUSE_MS = 12_000
const TEXT_MAX = 20_000

/** What an honest app is told when the network, the remote or the disk fails. */
const SYNC_CODES = new Set([
  'network',
  'not-a-remote',
  'challenge-failed',
  'session-required',
  'internal',
  'storage-full',
  'too-many-requests',
  'busy',
  'closed',
  'sync-stopped',
])
/** Live frames may come twice or in another order here, which no honest network does. */
const WRITE_CODES = new Set(['store-full', 'closed', 'transaction-conflict'])

export type PersonParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly tally: Tally
  readonly fail: Fail
  readonly ledger: () => Ledger
  /** The number of the next write, of all persons. */
  readonly nextWrite: () => number
  /** Whether a transaction may be seen in part now. */
  readonly mayBeTorn: () => boolean
}

export class Person {
  readonly machine: Machine
  readonly #parts: PersonParts
  readonly #chance: Chance
  #isActive = true

  constructor(machine: Machine, parts: PersonParts) {
    this.machine = machine
    this.#parts = parts
    this.#chance = parts.chance.fork(`person ${machine.name}`)
    this.#plan()
  }

  /** Goes away; the device stays. */
  leave(): void {
    this.#isActive = false
  }

  #plan(): void {
    this.#parts.scheduler.after(100 + this.#chance.below(PAUSE_MS), () => {
      if (!this.#isActive) return
      this.#act()
      this.#plan()
    })
  }

  #act(): void {
    const { vault } = this.machine
    if (vault === undefined) return
    const acts: readonly (() => void)[] = [
      ...Array<() => void>(6).fill(() => this.#put(vault)),
      ...Array<() => void>(2).fill(() => this.#update(vault)),
      ...Array<() => void>(2).fill(() => this.#delete(vault)),
      ...Array<() => void>(3).fill(() => this.#writeGroup(vault)),
      ...Array<() => void>(2).fill(() => this.#burst(vault)),
      ...Array<() => void>(2).fill(() => this.#once(vault)),
      () => this.#look(vault),
      () => this.#toggle(vault),
      () => this.#reopen(),
    ]
    this.#chance.pick(acts)()
  }

  #notes(vault: Vault): Collection<Note> {
    return vault.collection<Note>(NOTES)
  }

  #put(vault: Vault): void {
    const key = this.#key()
    const note = this.#note()
    this.#write(`put ${key} as ${note.w}`, note, () => this.#notes(vault).put(key, note))
  }

  /** Several at once, none awaited before the next. */
  #burst(vault: Vault): void {
    for (let count = 2 + this.#chance.below(5); count > 0; count--) this.#put(vault)
  }

  #update(vault: Vault): void {
    const key = this.#key()
    const { w, by, text } = this.#note()
    const note = { w, by, text }
    this.#write(`update ${key} as ${w}`, note, () => this.#notes(vault).update(key, note), [
      'not-found',
    ])
  }

  #delete(vault: Vault): void {
    const key = this.#key()
    this.#write(`delete ${key}`, null, () => this.#notes(vault).delete(key))
  }

  /** All records of a group, always: so they must be equal wherever a transaction is whole. */
  #writeGroup(vault: Vault): void {
    const keys = keysOf(this.#chance.below(GROUPS))
    const note = this.#chance.oneIn(5) ? null : this.#note()
    const name = note === null ? 'delete' : `as ${note.w}`
    this.#write(`transaction ${keys[0]} ${name}`, null, () =>
      vault.transaction(async (transaction) => {
        const groups = transaction.collection(vault.collection<Note>(BUNDLES))
        const first = await groups.get(keys[0] as string)
        for (const key of keys) {
          if (note !== null) await groups.put(key, note)
          else if (first !== undefined) await groups.delete(key)
        }
      }),
    )
  }

  /** Reads of one transaction are of one moment. */
  #look(vault: Vault): void {
    const keys = keysOf(this.#chance.below(GROUPS))
    this.#parts.tally.count('op: look')
    const looked = vault.transaction(async (transaction) => {
      const groups = transaction.collection(vault.collection<Note>(BUNDLES))
      const held: (number | null)[] = []
      for (const key of keys) held.push((await groups.get(key))?.w ?? null)
      return held
    })
    const { initialSyncComplete } = vault.sync.status
    this.#follow('look', looked, WRITE_CODES, (held) => {
      const isWhole = held.every((w) => w === held[0])
      if (isWhole || !initialSyncComplete || this.#parts.mayBeTorn()) return
      if (FEATURES.parking) this.#parts.fail(`${this.machine.name} sees a torn group: ${held}`)
    })
  }

  #once(vault: Vault): void {
    this.#parts.tally.count('op: sync once')
    const { lens } = this.machine
    const waiting = [...lens.outbox]
    this.#follow('sync once', vault.sync.once(), SYNC_CODES, () => {
      const left = waiting.filter((number) => lens.outbox.has(number))
      if (left.length === 0) return
      this.#parts.fail(`${this.machine.name} has synced, and ${left.length} writes still wait`)
    })
  }

  #toggle(vault: Vault): void {
    const { machine } = this
    machine.wantsLive = !machine.wantsLive
    this.#parts.tally.count(machine.wantsLive ? 'op: sync start' : 'op: sync stop')
    machine.note(machine.wantsLive ? 'sync on' : 'sync off')
    if (machine.wantsLive) vault.sync.start()
    else this.#follow('sync stop', vault.sync.stop(), new Set(), () => undefined)
  }

  #reopen(): void {
    const { machine } = this
    this.#parts.tally.count('op: reopen')
    this.#follow('close', machine.close(), new Set(), () => machine.start())
  }

  #write(
    what: string,
    note: Note | null,
    write: () => Promise<unknown>,
    codes: readonly string[] = [],
  ): void {
    const { tally, ledger, fail } = this.#parts
    tally.count(`op: ${what.split(' ')[0]}`)
    this.#follow(what, write(), new Set([...WRITE_CODES, ...codes]), () => {
      if (note === null || ledger().knowsWrite(note.w)) return
      fail(`${this.machine.name} was told that ${what} is stored, and no disk has it`)
    })
  }

  /** Notes what an act comes to; a device that dies meanwhile tells nobody. */
  #follow<T>(
    what: string,
    act: Promise<T>,
    codes: ReadonlySet<string>,
    check: (value: T) => void,
  ): void {
    const { machine } = this
    machine.note(what)
    act.then(
      (value) => {
        machine.note(`${what}: done`)
        check(value)
      },
      (error: unknown) => {
        const code = codeOf(error) ?? ''
        machine.note(`${what}: ${code} ${String(error)}`)
        if (codes.has(code)) return
        const text = error instanceof Error ? error.stack : String(error)
        this.#parts.fail(`${machine.name}: ${what} was refused: ${text}`)
      },
    )
  }

  #key(): string {
    return `${CANARY} k${this.#chance.below(KEYS)}`
  }

  #note(): Note {
    const size = this.#chance.oneIn(10) ? this.#chance.below(TEXT_MAX) : this.#chance.below(40)
    const text = `${CANARY} ${'x'.repeat(size)}`
    return { w: this.#parts.nextWrite(), by: this.machine.name, text }
  }
}

const keysOf = (group: number): string[] =>
  Array.from({ length: GROUP_SIZE }, (_, i) => `${CANARY} g${group}-${i}`)
