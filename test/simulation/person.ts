/**
 * Person: who uses one device. Writes, deletes, looks, turns sync on and off, closes and opens the
 * app, at moments of its own, and takes note when the app says something that is not so.
 */
import { codeOf, type Vault } from '@blindcopy/client'
import type { Chance } from './chance.ts'
import {
  CANARY,
  cardsOf,
  choicesOf,
  groupsOf,
  INCREMENT,
  type Note,
  notesOf,
  setsOf,
} from './collections.ts'
import { FEATURES, type Tally } from './faults.ts'
import type { Ledger } from './ledger.ts'
import type { Machine } from './machine.ts'
import type { Scheduler } from './scheduler.ts'
import type { Fail } from './truth.ts'

const KEYS = 12
/** Few, so that devices meet in them. */
const SHARED_KEYS = 3
const GROUP_COUNT = 3
const GROUP_SIZE = 4
const CARD_FIELDS = 4
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
const WRITE_CODES = new Set(['store-full', 'closed', 'transaction-conflict', 'not-found'])

export type PersonParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly tally: Tally
  readonly fail: Fail
  /** How long the person rests between two acts, at most. */
  readonly pauseMs: number
  readonly ledger: () => Ledger
  /** The number of the next write, of all persons. */
  readonly nextWrite: () => number
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
    this.#parts.scheduler.after(100 + this.#chance.below(this.#parts.pauseMs), () => {
      if (!this.#isActive) return
      this.#act()
      this.#plan()
    })
  }

  #act(): void {
    const { vault } = this.machine
    if (vault === undefined) return
    const shared = FEATURES.policies
      ? [this.#edit, this.#edit, this.#choose, this.#collect, this.#increment, this.#increment]
      : []
    const acts: readonly ((vault: Vault) => void)[] = [
      ...[this.#put, this.#put, this.#put, this.#put, this.#update, this.#update, this.#delete],
      ...[this.#writeGroup, this.#writeGroup, this.#burst, this.#once, this.#once],
      ...[this.#look, this.#toggle, this.#reopen],
      ...shared,
    ]
    this.#chance.pick(acts).call(this, vault)
  }

  #put(vault: Vault): void {
    const key = this.#key(KEYS)
    const note = this.#note()
    this.#write(`put ${key} as ${note.w}`, note.w, () => notesOf(vault).put(key, note))
  }

  /** Several at once, none awaited before the next. */
  #burst(vault: Vault): void {
    for (let count = 2 + this.#chance.below(5); count > 0; count--) this.#put(vault)
  }

  #update(vault: Vault): void {
    const key = this.#key(KEYS)
    const note = this.#note()
    this.#write(`update ${key} as ${note.w}`, note.w, () => notesOf(vault).update(key, note))
  }

  #delete(vault: Vault): void {
    const key = this.#key(KEYS)
    this.#write(`delete ${key}`, null, () => notesOf(vault).delete(key))
  }

  /** All records of a group, always: so they must be equal wherever a transaction is whole. */
  #writeGroup(vault: Vault): void {
    const keys = keysOf(this.#chance.below(GROUP_COUNT))
    const note = this.#chance.oneIn(5) ? null : this.#note()
    const name = note === null ? 'delete' : `as ${note.w}`
    this.#write(`transaction ${keys[0]} ${name}`, note?.w ?? null, () =>
      vault.transaction(async (transaction) => {
        const groups = transaction.collection(groupsOf(vault))
        const first = await groups.get(keys[0] as string)
        for (const key of keys) {
          if (note !== null) await groups.put(key, note)
          else if (first !== undefined) await groups.delete(key)
        }
      }),
    )
  }

  // --- the policies of conflicts ---

  /** One field of a card that others edit too. */
  #edit(vault: Vault): void {
    const key = this.#key(SHARED_KEYS)
    const w = this.#parts.nextWrite()
    const field = `f${this.#chance.below(CARD_FIELDS)}`
    this.#write(`edit ${key} ${field} as ${w}`, w, () => cardsOf(vault).update(key, { [field]: w }))
  }

  #choose(vault: Vault): void {
    const key = this.#key(SHARED_KEYS)
    const w = this.#parts.nextWrite()
    this.#write(`choose ${key} as ${w}`, w, () =>
      vault.transaction(async (transaction) => {
        const choices = transaction.collection(choicesOf(vault))
        const over = (await choices.get(key))?.w ?? null
        await choices.put(key, { w, over })
      }),
    )
  }

  #collect(vault: Vault): void {
    const key = this.#key(SHARED_KEYS)
    const w = this.#parts.nextWrite()
    this.#write(`collect ${key} ${w}`, w, () =>
      vault.transaction(async (transaction) => {
        const sets = transaction.collection(setsOf(vault))
        const ids = (await sets.get(key))?.ids ?? []
        await sets.put(key, { ids: [...ids, w] })
      }),
    )
  }

  #increment(vault: Vault): void {
    const key = this.#key(SHARED_KEYS)
    const id = this.#parts.nextWrite()
    this.#write(`mutate ${key} ${id}`, id, () => vault.mutate(INCREMENT, { key, id }))
  }

  // --- the rest ---

  /** Reads of one transaction are of one moment. */
  #look(vault: Vault): void {
    const keys = keysOf(this.#chance.below(GROUP_COUNT))
    this.#parts.tally.count('op: look')
    const looked = vault.transaction(async (transaction) => {
      const groups = transaction.collection(groupsOf(vault))
      const held: (number | null)[] = []
      for (const key of keys) held.push((await groups.get(key))?.w ?? null)
      return held
    })
    this.#follow('look', looked, WRITE_CODES, (held) => {
      this.machine.note(`sees ${held.join(' ')}`)
    })
  }

  #once(vault: Vault): void {
    this.#parts.tally.count('op: sync once')
    const { lens } = this.machine
    const waiting = [...lens.outbox]
    const { counts } = this.#parts.tally
    // No honest network brings frames twice or in another order: such a line ends as a liar's would.
    const isOdd = counts.has('frame duplicated') || counts.has('frame overtaken')
    const codes = isOdd ? new Set([...SYNC_CODES, 'integrity']) : SYNC_CODES
    this.#follow('sync once', vault.sync.once(), codes, () => {
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

  #write(what: string, write: number | null, act: () => Promise<unknown>): void {
    const { tally, ledger, fail } = this.#parts
    tally.count(`op: ${what.split(' ')[0]}`)
    this.#follow(what, act(), WRITE_CODES, () => {
      if (write === null || ledger().knowsWrite(write)) return
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

  #key(count: number): string {
    return `${CANARY} k${this.#chance.below(count)}`
  }

  #note(): Note {
    const size = this.#chance.oneIn(10) ? this.#chance.below(TEXT_MAX) : this.#chance.below(40)
    const text = `${CANARY} ${'x'.repeat(size)}`
    return { w: this.#parts.nextWrite(), by: this.machine.name, text }
  }
}

const keysOf = (group: number): string[] =>
  Array.from({ length: GROUP_SIZE }, (_, i) => `${CANARY} g${group}-${i}`)
