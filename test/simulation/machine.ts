/**
 * Machine: one device, as hardware: a disk, a clock and a wire that outlive every process on them.
 * A process opens the vault of the folder, or restores it from the phrase when there is none yet;
 * it may be killed at any moment, and then nothing it still does reaches disk, network or person.
 */
import {
  codeOf,
  createVaultOn,
  openVaultOn,
  type Platform,
  restoreVaultOn,
  type Vault,
  type VaultFolder,
} from '@blindcopy/client'
import type { Chance } from './chance.ts'
import { CrashDisk } from './crash-disk.ts'
import { REMOTE } from './host.ts'
import { DeviceLens } from './lens.ts'
import { MachineClock } from './machine-clock.ts'
import { Wire, type WireParts } from './wire.ts'

export const FOLDER = 'folder'
/** What a process that never could join waits before it tries again. */
const RETRY_MS = 20_000

/** Why a device may fail to join and be right. */
const JOIN_CODES = [
  'network',
  'not-a-remote',
  'challenge-failed',
  'session-required',
  'internal',
  'storage-full',
  'store-full',
  'keychain-race',
  // The remote has been wiped, and nobody has brought the vault back yet.
  'wrong-phrase',
]

type Process = { isAlive: boolean; vault: Vault | undefined }

export type MachineParts = WireParts & {
  readonly fail: (what: string) => void
  readonly recoveryPhrase: () => string
}

export class Machine {
  readonly name: string
  readonly disk: CrashDisk
  readonly lens: DeviceLens = new DeviceLens()
  readonly clock: MachineClock
  readonly wire: Wire
  /** Whether its person wants sync on. */
  wantsLive = false
  /** Told when a process has the vault open. */
  onOpened: (vault: Vault) => void = () => undefined
  readonly #parts: MachineParts
  readonly #chance: Chance
  #process: Process | undefined
  #startCount = 0

  constructor(name: string, parts: MachineParts) {
    this.name = name
    this.#parts = parts
    this.#chance = parts.chance.fork(name)
    this.clock = new MachineClock(parts.scheduler)
    this.disk = new CrashDisk(parts.scheduler, this.#chance.fork('disk').below)
    this.disk.observer = this.lens
    this.wire = new Wire(name, { ...parts, chance: this.#chance.fork('wire') })
  }

  /** The vault of the process that runs, once it is open. */
  get vault(): Vault | undefined {
    return this.#process?.vault
  }

  get isUp(): boolean {
    return this.#process !== undefined
  }

  note(what: string): void {
    this.#parts.trace.note(this.name, what)
  }

  /** The first device: makes the vault, in fair weather. */
  async create(): Promise<string> {
    const process: Process = { isAlive: true, vault: undefined }
    this.#process = process
    const options = { path: FOLDER, remote: REMOTE, deviceName: `canary ${this.name}` }
    const { vault, recoveryPhrase } = await createVaultOn(this.#platform(process), options)
    process.vault = vault
    return recoveryPhrase
  }

  /** Begins a process, unless one runs. */
  start(): void {
    if (this.#process !== undefined) return
    this.note('starts')
    const process: Process = { isAlive: true, vault: undefined }
    this.#process = process
    const opening = this.disk.config === undefined ? this.#join(process) : this.#open(process)
    opening.then(
      (vault) => {
        if (!process.isAlive) return
        process.vault = vault
        this.onOpened(vault)
        if (this.wantsLive) vault.sync.start()
      },
      (error: unknown) => {
        if (process.isAlive) this.#couldNotStart(error)
      },
    )
  }

  /** As `kill -9` does it. */
  kill(): void {
    this.#end()
    this.disk.kill()
  }

  /** As a cut of power does it. Resolves to how many batches were lost. */
  cutPower(): Promise<number> {
    this.#end()
    return this.disk.cutPower()
  }

  /** The process closes the vault and ends. */
  async close(): Promise<void> {
    const process = this.#process
    const vault = process?.vault
    if (process === undefined || vault === undefined) return
    process.vault = undefined
    await vault.close()
    if (process.isAlive) this.kill()
  }

  #end(): void {
    if (this.#process !== undefined) this.#process.isAlive = false
    this.#process = undefined
    // Its connections end with the process, as far as the network lets them.
    this.wire.cutLines()
  }

  #open(process: Process): Promise<Vault> {
    return openVaultOn(this.#platform(process), { path: FOLDER })
  }

  #join(process: Process): Promise<Vault> {
    return restoreVaultOn(this.#platform(process), {
      path: FOLDER,
      remote: REMOTE,
      recoveryPhrase: this.#parts.recoveryPhrase(),
      deviceName: `canary ${this.name}`,
    })
  }

  #couldNotStart(error: unknown): void {
    const code = codeOf(error)
    this.note(`could not start: ${code ?? String(error)}`)
    const isExpected = this.disk.config === undefined && JOIN_CODES.includes(code ?? '')
    if (!isExpected) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#parts.fail(`${this.name} could not start: ${text}`)
    }
    this.kill()
    this.#parts.scheduler.after(RETRY_MS, () => this.start())
  }

  #platform(process: Process): Platform {
    const { scheduler } = this.#parts
    const isAlive = (): boolean => process.isAlive
    const chance = this.#chance.fork(`start ${this.#startCount++}`)
    return {
      nowMs: () => this.clock.nowMs(),
      random: chance.bytes,
      setTimer: (callback, delayMs) =>
        scheduler.after(delayMs, () => {
          if (isAlive()) callback()
        }),
      fetch: (url, init = {}) =>
        isAlive()
          ? this.wire.fetch(String(url), init, isAlive)
          : new Promise<Response>(() => undefined),
      openSocket: () => this.wire.openSocket(isAlive),
      openFolder: () => this.#folder(),
      deviceName: () => `canary ${this.name}`,
      onOnline: () => () => undefined,
    }
  }

  #folder(): VaultFolder {
    const { disk } = this
    const mustBeThere = (bytes: Uint8Array | undefined): Uint8Array => {
      if (bytes === undefined) throw new Error('the file is not there')
      return bytes
    }
    return {
      content: async () => {
        if (disk.config !== undefined) return 'vault'
        return disk.keys === undefined ? 'nothing' : 'unfinished'
      },
      begin: async () => {
        disk.keys = undefined
        await disk.putBack({ entries: [], config: undefined, keys: undefined })
      },
      readConfig: async () => mustBeThere(disk.config),
      finish: async (bytes) => {
        disk.config = bytes
      },
      readKeys: async () => mustBeThere(disk.keys).slice(),
      writeKeys: async (bytes) => {
        disk.keys = bytes.slice()
      },
      openStore: async () => disk.open(),
    }
  }
}
