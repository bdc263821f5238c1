/**
 * Run: one simulation, from one seed. A world is made, a storm goes over it while its people work,
 * then everything is mended and left alone until it has come to rest; what is left then must be
 * what the ledger says, on every device and at the remote.
 */

import type { Vault } from '@blindcopy/client'
import { parseVaultIdText, validateKeychain } from '@blindcopy/protocol'
import { deriveRoot, openKeyring, parsePhrase, verifySignature } from '@blindcopy/vault'
import { chanceOf } from './chance.ts'
import { CANARY, cardsOf, declare } from './collections.ts'
import { type Fault, FEATURES, Tally } from './faults.ts'
import { RemoteHost } from './host.ts'
import { judge, type Listed, listConflicts, recordsOf } from './judge.ts'
import './parts.ts'
import { Ledger } from './ledger.ts'
import { Machine, type MachineParts } from './machine.ts'
import { Person } from './person.ts'
import { Scheduler } from './scheduler.ts'
import { Storm } from './storm.ts'
import { Trace } from './trace.ts'
import { checkBlind, DeviceTruth, isAtRest } from './truth.ts'

export type RunOptions = {
  /** How long the storm lasts, in virtual time. */
  readonly stormMs?: number
  /** For the proof that one turn is enough. */
  readonly turnsPerEvent?: number
}

export type RunResult = {
  readonly hash: string
  readonly trace: Trace
  readonly tally: Tally
  /** What was violated, first of all; undefined when all held. */
  readonly failure: string | undefined
  readonly virtualMs: number
  readonly eventCount: number
}

/** Some worlds are busy and some are slow; both have about as much to do. */
const PACES = [
  { stormMs: 100_000, pauseMs: 4_000 },
  { stormMs: 240_000, pauseMs: 12_000 },
] as const
const WRONG_CLOCKS: readonly Fault[] = ['clock skewed', 'clock frozen', 'remote clock jumped']
const REST_MS_MAX = 15 * 60_000
/** How long nothing may change before it counts as rest. */
const STILL_MS = 3_000

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(seed, options)
  await run
    .go()
    .catch((error: unknown) => run.fail(`${error instanceof Error ? error.stack : error}`))
  return run.result()
}

class Run {
  readonly #scheduler: Scheduler
  readonly #trace: Trace
  readonly #tally = new Tally()
  readonly #chance: ReturnType<typeof chanceOf>
  readonly #host: RemoteHost
  readonly #machines: Machine[] = []
  readonly #truths: DeviceTruth[] = []
  readonly #persons: Person[] = []
  readonly #pace: { readonly stormMs: number; readonly pauseMs: number }
  #recoveryPhrase = ''
  #listed: Listed = new Set()
  #ledger: Ledger | undefined
  #failure: string | undefined
  #writes = 0
  #stillSinceMs = 0
  readonly fail = (what: string): void => {
    this.#trace.note('world', `✗ ${what}`)
    this.#failure ??= what
  }

  constructor(seed: number, { stormMs, turnsPerEvent = 1 }: RunOptions) {
    this.#scheduler = new Scheduler({ turnsPerEvent })
    this.#trace = new Trace(() => this.#scheduler.nowMs)
    this.#chance = chanceOf(seed)
    const pace = this.#chance.fork('pace').pick(PACES)
    this.#pace = { ...pace, stormMs: stormMs ?? pace.stormMs }
    this.#host = new RemoteHost({
      scheduler: this.#scheduler,
      chance: this.#chance.fork('host'),
      trace: this.#trace,
    })
  }

  result(): RunResult {
    return {
      hash: this.#trace.hash(),
      trace: this.#trace,
      tally: this.#tally,
      failure: this.#failure,
      virtualMs: this.#scheduler.nowMs,
      eventCount: this.#scheduler.eventCount,
    }
  }

  async go(): Promise<void> {
    await this.#begin()
    for (const machine of this.#machines) this.#addPerson(machine)
    const storm = new Storm({
      scheduler: this.#scheduler,
      chance: this.#chance,
      tally: this.#tally,
      trace: this.#trace,
      host: this.#host,
      machines: this.#machines,
      onLoss: () => this.#forget(),
      copy: (machine) => this.#copy(machine),
    })
    await this.#pass(() => false, this.#pace.stormMs)
    for (const person of this.#persons) person.leave()
    storm.end()
    for (const machine of this.#machines) this.#wantLive(machine)
    const isAtRest = await this.#pass(() => this.#isStill(), REST_MS_MAX)
    if (this.#failure !== undefined) return
    if (!isAtRest)
      return this.fail(`it does not come to rest: ${this.#machines.map(stateOf).join('; ')}`)
    if (!FEATURES.parking) await this.#syncAgain()
    await this.#checkEnd()
    if (this.#chance.fork('newcomer').oneIn(4)) await this.#checkNewcomer()
  }

  // --- phases ---

  async #begin(): Promise<void> {
    this.#host.start()
    const count = 2 + this.#chance.below(3)
    for (let i = 0; i < count; i++) this.#addMachine(String.fromCharCode(65 + i))
    const [first, ...others] = this.#machines as [Machine, ...Machine[]]
    const created = first.create()
    created.then(
      async (phrase) => {
        this.#recoveryPhrase = phrase
        this.#ledger = await this.#openLedger(first)
        if (first.vault !== undefined) await this.#beginWith(first.vault)
        for (const machine of this.#machines) machine.wantsLive = this.#chance.oneIn(2)
        if (first.wantsLive) first.vault?.sync.start()
        for (const machine of others) {
          this.#scheduler.after(this.#chance.below(30_000), () => machine.start())
        }
        isBegun = true
      },
      (error: unknown) => this.fail(`the vault was not made: ${String(error)}`),
    )
    let isBegun = false
    await this.#pass(() => isBegun, 60_000)
  }

  /** Cards are there from the beginning: a put would set all of their fields. */
  async #beginWith(vault: Vault): Promise<void> {
    declare(vault)
    for (let card = 0; FEATURES.policies && card < 3; card++) {
      await cardsOf(vault).put(`${CANARY} k${card}`, { f0: this.#writes++ })
    }
    await vault.sync.once()
  }

  #addMachine(name: string): Machine {
    const parts: MachineParts = {
      scheduler: this.#scheduler,
      chance: this.#chance,
      tally: this.#tally,
      trace: this.#trace,
      host: this.#host,
      onBytes: (bytes) => checkBlind(bytes, `on the wire of ${name}`, this.fail),
      fail: this.fail,
      recoveryPhrase: () => this.#recoveryPhrase,
    }
    const machine = new Machine(name, parts)
    machine.lens.onVersion = (envelope, batch) => {
      this.#ledger?.observe(envelope, { batch, at: isBy(machine, envelope) ? 'author' : 'other' })
    }
    machine.lens.onRewrite = (...rewrite) => this.#ledger?.rewrite(...rewrite)
    machine.lens.onLogged = (...version) => {
      // With clocks that are right, what lost was older from the beginning.
      if (this.#hadFault(...WRONG_CLOCKS)) this.#ledger?.takeBack(...version)
    }
    machine.onOpened = declare
    this.#machines.push(machine)
    const truth = new DeviceTruth(machine, this.#host, {
      fail: this.fail,
      groups: () => this.#ledger?.groups ?? new Map(),
    })
    machine.wire.onPull = () => truth.noteAsked()
    this.#truths.push(truth)
    return machine
  }

  async #copy(machine: Machine): Promise<Machine> {
    const copy = this.#addMachine(`${machine.name}${this.#machines.length}`)
    copy.wantsLive = this.#chance.oneIn(2)
    await copy.disk.putBack(await machine.disk.image())
    this.#addPerson(copy)
    return copy
  }

  #addPerson(machine: Machine): void {
    const person = new Person(machine, {
      scheduler: this.#scheduler,
      chance: this.#chance,
      tally: this.#tally,
      fail: this.fail,
      pauseMs: this.#pace.pauseMs,
      ledger: () => this.#mustLedger(),
      nextWrite: () => this.#writes++,
    })
    this.#persons.push(person)
  }

  async #openLedger(first: Machine): Promise<Ledger> {
    const vaultId = parseVaultIdText(first.vault?.vaultId ?? '')
    const { entries } = await first.disk.image()
    const chain = entries.filter(([key]) => key[0] === 0x6b).map(([, value]) => value)
    const secret = parsePhrase(this.#recoveryPhrase)
    const root = deriveRoot(secret)
    const keychain = validateKeychain(vaultId, chain, verifySignature)
    const ledger = new Ledger(openKeyring({ keychain, holder: root }), this.fail)
    this.#host.lens.onVersion = (envelope, batch) => {
      ledger.observe(envelope, { batch, at: 'remote' })
    }
    this.#host.lens.onBytes = (bytes) => checkBlind(bytes, 'on the disk of the remote', this.fail)
    return ledger
  }

  #mustLedger(): Ledger {
    if (this.#ledger === undefined) throw new Error('the run has not begun')
    return this.#ledger
  }

  /** Lets time pass; checks after each event. Returns whether it was done. */
  #pass(isDone: () => boolean, durationMs: number): Promise<boolean> {
    const check = (): boolean => {
      for (const truth of this.#truths) truth.checkStatus()
      return this.#failure !== undefined || isDone()
    }
    return this.#scheduler.run(check, this.#scheduler.nowMs + durationMs)
  }

  #wantLive(machine: Machine): void {
    machine.wantsLive = true
    machine.vault?.sync.start()
  }

  #isStill(): boolean {
    const isStill = this.#machines.every((machine) => isAtRest(machine, this.#host))
    if (!isStill) this.#stillSinceMs = this.#scheduler.nowMs
    return this.#scheduler.nowMs - this.#stillSinceMs >= STILL_MS
  }

  #forget(): void {
    const holders = [this.#host.lens, ...this.#machines.map(({ lens }) => lens)]
    this.#mustLedger().forget(holders, { mayBeSetBack: this.#hadFault(...WRONG_CLOCKS) })
  }

  /** A pull that met a push may have told of a mismatch that there is not: see FEATURES. */
  async #syncAgain(): Promise<void> {
    let done = 0
    for (const { name, vault } of this.#machines) {
      vault?.sync.once().then(
        () => done++,
        (error: unknown) => this.fail(`${name} does not sync at rest: ${String(error)}`),
      )
    }
    await this.#pass(() => done === this.#machines.length, REST_MS_MAX)
  }

  // --- the end ---

  async #checkEnd(): Promise<void> {
    const vaults = this.#machines.flatMap(({ vault }) => vault ?? [])
    this.#listed = await listConflicts(vaults)
    for (const machine of this.#machines) await this.#checkDevice(machine)
  }

  async #checkDevice(machine: Machine): Promise<void> {
    const { name, vault } = machine
    if (vault === undefined) return this.fail(`${name} is not open`)
    const { pending, attention, problem, initialSyncComplete } = vault.sync.status
    if (pending + attention > 0 || !initialSyncComplete) {
      this.fail(`${name} rests with ${JSON.stringify(vault.sync.status)}`)
    }
    if (problem !== null) this.fail(`${name} rests with a problem: ${problem.message}`)
    const options = {
      listed: this.#listed,
      mayRepeat: this.#hadFault('folder put back', 'folder copied'),
      mayBeListed: this.#hadFault('remote put back', 'remote wiped'),
    }
    const problems = judge(await recordsOf(vault), this.#mustLedger(), options)
    if (problems.length > 0) this.fail(`${name} holds something else:\n  ${problems.join('\n  ')}`)
    for (const [recordId, { timestamp }] of this.#host.lens.records) {
      const confirmed = machine.lens.rows.get(recordId)?.confirmed
      if (confirmed !== timestamp) this.fail(`${name} has not confirmed ${timestamp}`)
    }
    const quarantined = await vault.quarantined()
    if (quarantined.length > 0) this.fail(`${name} has ${quarantined.length} put aside`)
  }

  #hadFault(...faults: readonly Fault[]): boolean {
    return faults.some((fault) => this.#tally.counts.has(fault))
  }

  /** Whoever comes last gets all of it. */
  async #checkNewcomer(): Promise<void> {
    const newcomer = this.#addMachine('N')
    newcomer.wantsLive = true
    newcomer.start()
    this.#stillSinceMs = this.#scheduler.nowMs
    if (!(await this.#pass(() => this.#isStill(), REST_MS_MAX))) {
      this.fail(`a newcomer does not come to rest: ${stateOf(newcomer)}`)
    }
    if (this.#failure === undefined) await this.#checkDevice(newcomer)
  }
}

const stateOf = ({ name, vault, lens }: Machine): string =>
  `${name} ${JSON.stringify(vault?.sync.status ?? 'not open')} at ${lens.cursor?.seq}`

/** Whether the author of an envelope is the device of a machine. */
function isBy({ vault }: Machine, envelope: Uint8Array): boolean {
  if (vault === undefined) return false
  const author = Buffer.from(envelope.subarray(30, 34)).toString('base64url')
  const device = Buffer.from(vault.deviceId, 'base64url').subarray(0, 4).toString('base64url')
  return author === device
}
