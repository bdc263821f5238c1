/**
 * World: a real remote and real vaults in one process, with everything a platform gives made of
 * plain objects: a clock that a test moves, seeded randomness, disks that can be killed, read-only
 * or full, timers that fire when the test says so, and a network that a test may watch, cut and
 * rewrite.
 *
 * Nothing here knows a key. What a device does is the shipped code; only its platform is made up.
 */
import {
  createVaultOn,
  type FolderContent,
  openVaultOn,
  type Platform,
  type ReviewMembers,
  restoreVaultOn,
  type Vault,
  type VaultFolder,
  type WebSocketLike,
} from '@blindcopy/client'
import { createRemote, type Remote, type RemoteOptions } from '@blindcopy/remote'
import { verifySignature } from '@blindcopy/remote/node'
import {
  createMemoryStore,
  type Entry,
  type Store,
  StoreError,
  type StoreOp,
} from '@blindcopy/secondary'
import { type Chance, chanceOf } from './chance.ts'

export const REMOTE = 'http://remote.test'
const START_MS = 1_760_000_000_000
/** What the client waits for a heartbeat; no other timer is as long, but for a pause in 65,536. */
const SILENCE_MS = 60_000

// --- disks ---

/** A folder that outlives the process that has it open. */
export class Disk {
  config: Uint8Array | undefined
  keys: Uint8Array | undefined
  others: readonly string[] = []
  readonly records: Store
  /** Thrown by every write while it is set. */
  failure: Error | undefined
  /** Told of each batch, after it was written. */
  onWrite: (batch: readonly StoreOp[]) => void = () => undefined
  #holder: DiskStore | undefined

  constructor(records: Store = createMemoryStore()) {
    this.records = records
  }

  folder(): VaultFolder {
    const mustBeThere = (bytes: Uint8Array | undefined): Uint8Array => {
      if (bytes === undefined) throw new Error('the file is not there')
      return bytes
    }
    return {
      content: async () => this.#content(),
      begin: async () => {
        this.keys = undefined
      },
      readConfig: async () => mustBeThere(this.config),
      finish: async (bytes) => {
        this.#check()
        this.config = bytes
      },
      readKeys: async () => mustBeThere(this.keys).slice(),
      writeKeys: async (bytes) => {
        this.#check()
        this.keys = bytes.slice()
      },
      openStore: async () => {
        if (this.#holder?.isOpen) throw new StoreError('store-in-use', 'the disk is in use')
        this.#holder = new DiskStore(this)
        return this.#holder
      },
    }
  }

  /** The process that had the folder open is gone: nothing it still does reaches the disk. */
  kill(): void {
    this.#holder?.release()
  }

  /** The same content on another disk, for a test that spoils it. */
  async copy(): Promise<Disk> {
    const copy = new Disk(await copyOf(this.records))
    copy.config = this.config
    copy.keys = this.keys
    return copy
  }

  async entries(): Promise<Entry[]> {
    const entries: Entry[] = []
    for await (const page of this.records.pages({})) entries.push(...page)
    return entries
  }

  #check(): void {
    if (this.failure !== undefined) throw this.failure
  }

  #content(): FolderContent {
    if (this.config !== undefined) return 'vault'
    if (this.others.length > 0) return 'foreign'
    return this.keys === undefined ? 'nothing' : 'unfinished'
  }
}

export async function copyOf(store: Store): Promise<Store> {
  const copy = createMemoryStore()
  for await (const page of store.pages({})) {
    const batch = page.map(([key, value]) => ({ type: 'put', key, value }) as const)
    await copy.write(batch, { sync: false })
  }
  return copy
}

class DiskStore implements Store {
  isOpen = true
  readonly #disk: Disk

  constructor(disk: Disk) {
    this.#disk = disk
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#records().get(key)
  }
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#records().getMany(keys)
  }
  pages(...range: Parameters<Store['pages']>): ReturnType<Store['pages']> {
    return this.#records().pages(...range)
  }
  keyPages(...range: Parameters<Store['keyPages']>): ReturnType<Store['keyPages']> {
    return this.#records().keyPages(...range)
  }
  async write(batch: readonly StoreOp[], durability: { sync: boolean }): Promise<void> {
    const records = this.#records()
    if (this.#disk.failure !== undefined) throw this.#disk.failure
    await records.write(batch, durability)
    this.#disk.onWrite(batch)
  }
  async close(): Promise<void> {
    this.isOpen = false
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.isOpen = false
  }
  release(): void {
    this.isOpen = false
  }

  #records(): Store {
    if (!this.isOpen) throw new StoreError('store-closed', 'the process was killed')
    return this.#disk.records
  }
}

// --- network ---

export type Carry = (request: Request) => Promise<Response>

/** What stands between a device and the remote. By default nothing. */
export type Network = {
  /** Given the request and what would answer it. */
  fetch: (request: Request, carry: Carry) => Promise<Response>
  /**
   * Each frame that the remote sends on the live socket, how to deliver it, how to cut the line.
   */
  onFrame: (frame: Uint8Array, deliver: (frame: Uint8Array) => void, cut: () => void) => void
  canOpenSocket: boolean
}

export function openNetwork(): Network {
  return {
    fetch: (request, carry) => carry(request),
    onFrame: (frame, deliver) => deliver(frame),
    canOpenSocket: true,
  }
}

export const unreachable = (): never => {
  throw new TypeError('fetch failed')
}

/** A WebSocket without a network, between a client and `live` of a remote. */
function connect(remote: () => Remote, network: Network): WebSocketLike {
  type Listener = (event: { data: unknown }) => void
  const listeners = new Map<string, Listener[]>()
  let isOpen = true
  const tell = (type: string, data?: unknown): void => {
    for (const listener of listeners.get(type) ?? []) listener({ data })
  }
  const end = (): void => {
    if (!isOpen) return
    isOpen = false
    queueMicrotask(() => tell('close'))
  }
  let connection: ReturnType<Remote['live']['open']> | undefined
  setImmediate(() => {
    if (!isOpen) return
    if (!network.canOpenSocket) return end()
    connection = remote().live.open({
      send: (frame) => {
        const deliver = (delivered: Uint8Array): void => {
          setImmediate(() => {
            if (isOpen) tell('message', delivered.slice().buffer)
          })
        }
        network.onFrame(frame.slice(), deliver, end)
      },
      close: end,
      terminate: end,
      bufferedBytes: 0,
    })
    tell('open')
  })
  return {
    binaryType: 'arraybuffer',
    send: (data) => void connection?.receive(data.slice()),
    close: () => {
      connection?.closed()
      end()
    },
    addEventListener(type: string, listener: unknown) {
      listeners.set(type, [...(listeners.get(type) ?? []), listener as Listener])
    },
  }
}

// --- the world ---

export type World = {
  readonly chance: Chance
  readonly clock: { ms: number }
  readonly store: Store
  readonly faults: unknown[]
  remote: Remote
  /** Another process of the remote, on the same disk. */
  restartRemote(options?: Partial<RemoteOptions>): void
  makeDevice(options?: { skewMs?: number; disk?: Disk }): Device
}

type RestoreBy = { deviceName?: string; review?: ReviewMembers }

export type Device = {
  readonly disk: Disk
  readonly network: Network
  /** Of the process that runs now. */
  readonly platform: Platform
  /** Ends the process as `kill -9` does: nothing it still does reaches disk or network. */
  kill(): void
  /** Added to the world's clock. */
  skewMs: number
  /** Fires every timer that is set, but those that wait for a heartbeat. */
  fireTimers(): void
  /** As if no heartbeat had come for long. */
  fallSilent(): void
  create(options?: { deviceName?: string }): Promise<{ vault: Vault; recoveryPhrase: string }>
  restore(recoveryPhrase: string, options?: RestoreBy): Promise<Vault>
  open(): Promise<Vault>
}

export function makeWorld(seed = 1, options: Partial<RemoteOptions> = {}): World {
  const chance = chanceOf(seed)
  const clock = { ms: START_MS }
  const store = options.store ?? createMemoryStore()
  const faults: unknown[] = []
  const start = (changed: Partial<RemoteOptions> = {}): Remote =>
    createRemote({
      store,
      verify: verifySignature,
      origins: [REMOTE],
      registration: { mode: 'open' },
      nowMs: () => clock.ms,
      random: chance.bytes,
      tokenKey: new Uint8Array(32).fill(7),
      nextTurn: () => Promise.resolve(),
      onFault: (error) => faults.push(error),
      ...options,
      ...changed,
    })
  const world: World = {
    chance,
    clock,
    store,
    faults,
    remote: start(),
    restartRemote(changed) {
      world.remote.close()
      world.remote = start(changed)
    },
    makeDevice: ({ skewMs = 0, disk = new Disk() } = {}) => makeDevice(world, skewMs, disk),
  }
  return world
}

function makeDevice(world: World, skewMs: number, disk: Disk): Device {
  const network = openNetwork()
  let timers = new Map<() => void, number>()
  const carry: Carry = async (request) => world.remote.app.fetch(request)
  const startProcess = (): Platform => {
    const own = new Map<() => void, number>()
    timers = own
    const isAlive = (): boolean => timers === own
    return {
      nowMs: () => world.clock.ms + device.skewMs,
      random: world.chance.bytes,
      setTimer(callback, delayMs) {
        const fire = (): void => {
          own.delete(fire)
          callback()
        }
        own.set(fire, delayMs)
        return () => own.delete(fire)
      },
      fetch: async (...request) => {
        if (!isAlive()) return new Promise<Response>(() => undefined)
        return network.fetch(new Request(...request), carry)
      },
      openSocket: () => connect(() => world.remote, network),
      openFolder: () => disk.folder(),
      deviceName: () => 'a device',
      onOnline: () => () => undefined,
    }
  }
  const fireIf = (isDue: (delayMs: number) => boolean): void => {
    for (const [fire, delayMs] of [...timers]) if (isDue(delayMs)) fire()
  }
  let platform = startProcess()
  const path = 'folder'
  const device: Device = {
    disk,
    network,
    get platform() {
      return platform
    },
    skewMs,
    kill() {
      disk.kill()
      platform = startProcess()
    },
    fireTimers: () => fireIf((delayMs) => delayMs !== SILENCE_MS),
    fallSilent: () => fireIf((delayMs) => delayMs === SILENCE_MS),
    create: (options = {}) => createVaultOn(platform, { path, remote: REMOTE, ...options }),
    restore: (recoveryPhrase, options = {}) =>
      restoreVaultOn(platform, { path, remote: REMOTE, recoveryPhrase, ...options }),
    open: () => openVaultOn(platform, { path }),
  }
  return device
}

/** Every record as one text that two devices in step share byte for byte. */
export async function exportOf(vault: Vault): Promise<string> {
  const lines: string[] = []
  for await (const { collection, key, fields } of vault.records()) {
    lines.push(JSON.stringify([collection, key, fields]))
  }
  return lines.sort().join('\n')
}

/** Lets everything that is ready run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Waits until the status is as wanted; fires the device's timers, so that pauses take no time. */
export async function until(
  device: Device,
  vault: Vault,
  isSo: (status: Vault['sync']['status']) => boolean,
  turnsMax = 20_000,
): Promise<void> {
  for (let turns = 0; turns < turnsMax; turns++) {
    if (isSo(vault.sync.status)) return
    await turn()
    if (vault.sync.status.phase === 'backing-off') device.fireTimers()
  }
  throw new Error(`the status stayed ${JSON.stringify(vault.sync.status)}`)
}

/** The value that a promise is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it was not refused')
}
