/**
 * Fleet: devices and a remote of the recovery tests, each a process with a folder of its own, and
 * what befalls them: a remote that is wiped or put back from a copy of its folder, a device whose
 * folder is lost, copied or put back.
 *
 * A backup of a remote is its folder, copied while it is stopped. A remote comes back at the same
 * address always.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { SyncStatus } from '@blindcopy/client'
import {
  type Envelope,
  envelopeTimestamp,
  PushRequest,
  parseMessage,
  type Timestamp,
} from '@blindcopy/protocol'
import { openLevelStore, transactionVersionRange } from '@blindcopy/secondary'
import { expect } from 'vitest'
import {
  DeviceProcess,
  kill,
  type RemoteProcess,
  startProcess,
  startRemote,
  temporaryFolder,
} from './processes.ts'
import type { Gate } from './recovery-gate.ts'

/** For a machine that has much else to do. */
export const LONG = 120_000
export const SEED = Number(process.env.SEED ?? 20_260)
/** Runs the long variants too. */
export const SLOW = process.env.SLOW === '1'

/** What each device declares at every opening, by collection. */
export type Declared = Record<string, { conflict: string }>

export type FleetOptions = {
  readonly declared?: Declared
  /** What stands between each device and the remote; those without one reach it directly. */
  readonly gates?: readonly Gate[]
}

/** `frozenMs`: where the clock of the machine stands, and stays. */
export type Opening = { readonly frozenMs?: number }

export class Fleet {
  readonly root: string
  readonly devices: DeviceProcess[] = []
  readonly #declared: Declared
  readonly #gates: readonly Gate[]
  #remote: RemoteProcess
  #recoveryPhrase = ''
  #madeCount = 1
  #copyCount = 0
  #witness: DeviceProcess | undefined

  private constructor(remote: RemoteProcess, root: string, options: FleetOptions) {
    this.root = root
    this.#remote = remote
    this.#declared = options.declared ?? {}
    this.#gates = options.gates ?? []
    for (const gate of this.#gates) gate.targetPort = remote.port
  }

  /** Devices of one vault that have all met the remote. */
  static async launch(count: number, options: FleetOptions = {}): Promise<Fleet> {
    const root = temporaryFolder()
    const remote = await startRemote(join(root, 'remote'), 0, options.gates?.map(originOf))
    const fleet = new Fleet(remote, root, options)
    const first = new DeviceProcess(join(root, 'device-0'))
    fleet.devices.push(first)
    fleet.#recoveryPhrase = await first.create(fleet.#addressOf(0))
    await fleet.#declare(first)
    await first.sync()
    for (let i = 1; i < count; i++) await fleet.addDevice()
    return fleet
  }

  get remote(): RemoteProcess {
    return this.#remote
  }

  get remoteFolder(): string {
    return join(this.root, 'remote')
  }

  device(index: number): DeviceProcess {
    const device = this.devices[index]
    if (device === undefined) throw new Error(`there is no device ${index}`)
    return device
  }

  /** One more, by the recovery phrase, in step. */
  async addDevice(): Promise<DeviceProcess> {
    const index = this.#madeCount++
    const device = await this.#join(`device-${index}`, this.#addressOf(index))
    this.devices.push(device)
    return device
  }

  /** Like a power cut: the process is gone, its folder stays. */
  async stopRemote(): Promise<void> {
    await kill(this.#remote.child)
  }

  async startRemote(): Promise<void> {
    const { port } = this.#remote
    this.#remote = await startRemote(this.remoteFolder, port, this.#gates.map(originOf))
  }

  /** The remote loses everything. */
  async wipeRemote(): Promise<void> {
    await this.stopRemote()
    rmSync(this.remoteFolder, { recursive: true })
    await this.startRemote()
  }

  /** A copy of the remote's folder, made while it was stopped; it stays so, if that is wanted. */
  async backUpRemote({ staysStopped = false } = {}): Promise<string> {
    await this.stopRemote()
    const copy = this.#copy(this.remoteFolder)
    if (!staysStopped) await this.startRemote()
    return copy
  }

  /** With `newSyncId` as an administrator does it who knows what happened. */
  async putRemoteBack(copy: string, { newSyncId = false } = {}): Promise<void> {
    await this.stopRemote()
    rmSync(this.remoteFolder, { recursive: true, force: true })
    cpSync(copy, this.remoteFolder, { recursive: true })
    if (newSyncId) await giveNewSyncId(this.remoteFolder)
    await this.startRemote()
  }

  /** A copy of a device's folder, made while its vault was closed. */
  async copyDevice(index: number): Promise<string> {
    const device = this.device(index)
    await device.call('close')
    const copy = this.#copy(device.folder)
    await this.#openIn(device, {})
    return copy
  }

  /** The device goes on with what its folder was when the copy was made. */
  async putDeviceBack(index: number, copy: string): Promise<DeviceProcess> {
    const device = this.device(index)
    await device.call('close')
    rmSync(device.folder, { recursive: true })
    cpSync(copy, device.folder, { recursive: true })
    await this.#openIn(device, {})
    return device
  }

  /** A copy that is used beside the folder it was made of: another device of the fleet. */
  async openCopy(copy: string, opening: Opening = {}): Promise<DeviceProcess> {
    const device = await this.#open(copy, opening)
    this.devices.push(device)
    return device
  }

  /** The process is gone, as by a power cut; another opens the same folder. */
  async reopen(index: number, opening: Opening = {}): Promise<DeviceProcess> {
    await this.device(index).kill()
    const device = await this.#open(this.device(index).folder, opening)
    this.devices[index] = device
    return device
  }

  /** It is gone, with its folder. */
  async loseDevice(index: number): Promise<void> {
    await this.device(index).kill()
    rmSync(this.device(index).folder, { recursive: true })
    this.devices.splice(index, 1)
  }

  /**
   * Syncs each, twice round: what the last one brings must come back to the first. Then all show
   * the same, and so does a device that has only what the remote holds. Returns what they show.
   */
  async converge(): Promise<Shown> {
    for (let round = 0; round < 2; round++) {
      for (const device of this.devices) await persist(device)
    }
    return this.expectInStep()
  }

  /** All that is shown by every device, and by one that has only what the remote holds. */
  async expectInStep(): Promise<Shown> {
    for (const device of this.devices) {
      expect(await device.status(), device.folder).toMatchObject({
        pending: 0,
        attention: 0,
        problem: null,
        initialSyncComplete: true,
      })
      expect(await device.call('quarantined')).toEqual([])
    }
    const texts = await Promise.all(this.devices.map((device) => device.export()))
    const held = await this.#readRemote()
    for (const text of texts) expect(text).toBe(held)
    return parseShown(held)
  }

  /** What a device shows that joins now, and so has nothing but what the remote holds. */
  async #readRemote(): Promise<string> {
    this.#witness ??= new DeviceProcess(join(this.root, 'witness'))
    const witness = this.#witness
    await witness.restore(this.#remote.url, this.#recoveryPhrase)
    await witness.sync()
    const held = await witness.export()
    await witness.call('close')
    rmSync(witness.folder, { recursive: true })
    return held
  }

  async #join(name: string, address: string): Promise<DeviceProcess> {
    const device = new DeviceProcess(join(this.root, name))
    await device.restore(address, this.#recoveryPhrase)
    await this.#declare(device)
    await device.sync()
    return device
  }

  async #open(folder: string, opening: Opening): Promise<DeviceProcess> {
    const device = new DeviceProcess(folder)
    await this.#openIn(device, opening)
    return device
  }

  async #openIn(device: DeviceProcess, { frozenMs }: Opening): Promise<void> {
    if (frozenMs !== undefined) await device.call('freeze', { ms: frozenMs })
    await device.open()
    await this.#declare(device)
  }

  async #declare(device: DeviceProcess): Promise<void> {
    await device.call('declare', { collections: this.#declared })
  }

  #addressOf(index: number): string {
    return this.#gates[index]?.url ?? this.#remote.url
  }

  #copy(folder: string): string {
    const copy = join(this.root, `copy-${this.#copyCount++}`)
    mkdirSync(copy)
    cpSync(folder, copy, { recursive: true })
    return copy
  }
}

const originOf = ({ url }: Gate): string => url

/** Exchanges until it succeeds, for a remote that comes and goes. */
export const persist = (device: DeviceProcess): Promise<void> =>
  device.call('persist', { attemptsMax: 10 })

/** Fields by `collection/key`. */
export type Shown = ReadonlyMap<string, object>

function parseShown(text: string): Shown {
  const lines = text.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line) => {
      const [collection, key, fields] = JSON.parse(line) as [string, string, object]
      return [`${collection}/${key}`, fields] as const
    }),
  )
}

export async function noticesOf(device: DeviceProcess): Promise<string[]> {
  const { notices } = await device.status()
  return notices.map(({ code }) => code)
}

/** When the device last told the person that it had healed with the remote; 0 for never. */
export const healedMsOf = ({ notices }: SyncStatus): number =>
  Math.max(0, ...notices.filter(({ code }) => code === 'healed').map(({ atMs }) => atMs))

/** Resolves once a status fits: the present one, or one that comes. */
export async function untilStatus(
  device: DeviceProcess,
  fits: (status: SyncStatus) => boolean,
): Promise<SyncStatus> {
  const found = device.event(
    (event) => event.event === 'status' && fits(event.status as SyncStatus),
  )
  await device.call('watchStatus')
  return (await found).status as SyncStatus
}

async function giveNewSyncId(folder: string): Promise<void> {
  const script = join(import.meta.dirname, 'new-sync-id.mjs')
  const { child, output } = startProcess(process.execPath, [script, folder])
  await once(child, 'close')
  expect(Number(output()), output()).toBeGreaterThan(0)
}

/** What each timestamp names, wherever it is met. For writes of one record each. */
export class Contents {
  readonly #digests = new Map<string, string>()

  get count(): number {
    return this.#digests.size
  }

  /** The versions that a closed folder of a device holds. */
  async addFolder(folder: string): Promise<void> {
    const store = await openLevelStore({ path: join(folder, 'records') })
    const every = transactionVersionRange(new Uint8Array(0) as Timestamp)
    for await (const page of store.pages(every)) {
      for (const [, envelope] of page) this.#add(envelope as Envelope, folder)
    }
    await store.close()
  }

  /** What a device has sent. */
  addPush(body: Uint8Array): void {
    for (const [, ops] of parseMessage(PushRequest, body).transactions) {
      for (const [envelope] of ops) this.#add(envelope as Envelope, 'on the wire')
    }
  }

  #add(envelope: Envelope, where: string): void {
    const time = Buffer.from(envelopeTimestamp(envelope)).toString('hex')
    const digest = createHash('sha256').update(envelope).digest('hex')
    expect(this.#digests.get(time) ?? digest, `${where}: ${time} names two contents`).toBe(digest)
    this.#digests.set(time, digest)
  }
}
