/**
 * Spoiled remote: a device that has everything to ask for, and a remote of which one answer is
 * wrong. The remote was put back from an older copy and another device has written since, so that
 * one exchange logs in, heals, fetches records, brings some back, pulls and pushes: every route.
 *
 * Each case begins from the same disk and the same store of the remote.
 */
import { openVaultOn, type Vault } from '@blindcopy/client'
import {
  Capabilities,
  ChallengeAnswer,
  CONTENT_TYPE_CBOR,
  CONTENT_TYPE_PROBLEM,
  CreateAnswer,
  decodeCbor,
  KeychainAnswer,
  PushAnswer,
  type parseMessage,
  ReconcileAnswer,
  RecordsAnswer,
  SessionAnswer,
  sha256,
} from '@blindcopy/protocol'
import { type Carry, copyOf, type Device, type Disk, type World } from '../simulation/world.ts'
import { makePair, put } from './adversary.ts'

export type Schema = Parameters<typeof parseMessage>[0]

export const ANSWERS: Readonly<Record<string, Schema>> = {
  '/v1/capabilities': Capabilities,
  '/v1/challenge': ChallengeAnswer,
  '/v1/session': SessionAnswer,
  '/v1/vaults': CreateAnswer,
  '/v1/keychain': KeychainAnswer,
  '/v1/reconcile': ReconcileAnswer,
  '/v1/records': RecordsAnswer,
  '/v1/push': PushAnswer,
}

export type Stage = {
  readonly world: World
  /** A device, and the remote, as they were when the stage was set. */
  begin(): Promise<Case>
}

export type Case = {
  readonly device: Device
  readonly vault: Vault
  /** Of the requests that were made, the paths. */
  readonly asked: string[]
}

export async function setStage(seed: number, { isPutBack = true } = {}): Promise<Stage> {
  const { world, writerVault, victim, victimVault, recoveryPhrase } = await makePair(seed, {
    held: { text: 'held' },
    shared: { text: 'before' },
  })
  const older = await copyOf(world.store)
  await put(victimVault, 'brought', { text: 'back' })
  await victimVault.sync.once()
  // The remote is put back: it lacks what was pushed last, and gets other writes.
  const image = isPutBack ? older : world.store
  world.restartRemote({ store: image })
  // Another device, which the victim has not heard of.
  if (!isPutBack) await (await world.makeDevice().restore(recoveryPhrase)).close()
  await put(writerVault, 'shared', { text: 'after' })
  await put(writerVault, 'theirs', { text: 'theirs' })
  await writerVault.sync.once()
  await put(victimVault, 'mine', { text: 'mine' })
  await victimVault.close()
  await writerVault.close()
  const remoteImage = await copyOf(image)
  const diskImage = await victim.disk.copy()
  const startMs = world.clock.ms
  return {
    world,
    async begin() {
      world.clock.ms = startMs
      world.restartRemote({ store: await copyOf(remoteImage) })
      const device = world.makeDevice({ disk: await diskImage.copy() })
      const asked: string[] = []
      listen(device, asked)
      return { device, vault: await device.open(), asked }
    },
  }
}

function listen(device: Device, asked: string[]): void {
  device.network.fetch = (request, carry) => {
    asked.push(new URL(request.url).pathname)
    return carry(request)
  }
}

export type Lie = (response: Response, request: Request) => Promise<Response> | Response

/** Every answer of a route is told as `lie` has it. `before` is the disk when the first was. */
export function spoilRoute(
  { device }: Case,
  route: string,
  lie: Lie,
): { before: Map<string, string> | undefined; count: number } {
  const told: { before: Map<string, string> | undefined; count: number } = {
    before: undefined,
    count: 0,
  }
  const honest = device.network.fetch
  device.network.fetch = async (request: Request, carry: Carry) => {
    const response = await honest(request, carry)
    if (new URL(request.url).pathname !== route) return response
    told.count++
    told.before ??= await diskOf(device.disk)
    return lie(response, request)
  }
  return told
}

/** What is kept for the person to read. */
const TOLD = /^m(problem|notices)$/

/** All that the disk holds of records, keys, what waits and where the device stands, by key. */
export async function diskOf(disk: Disk): Promise<Map<string, string>> {
  const entries = await disk.entries()
  return new Map(
    entries
      .map(([key, value]) => [Buffer.from(key).toString('latin1'), value] as const)
      .filter(([key]) => !TOLD.test(key))
      .map(([key, value]) => [key, Buffer.from(sha256(value)).toString('hex')] as const),
  )
}

export const cborOf = (body: Uint8Array): Response =>
  new Response(new Uint8Array(body), { headers: { 'content-type': CONTENT_TYPE_CBOR } })

export const problemOf = (problem: unknown, status: number, headers: object = {}): Response =>
  new Response(typeof problem === 'string' ? problem : JSON.stringify(problem), {
    status,
    headers: { 'content-type': CONTENT_TYPE_PROBLEM, ...headers },
  })

export async function messageOf(response: Response): Promise<unknown> {
  return decodeCbor(new Uint8Array(await response.arrayBuffer()))
}

/** Fires what is due in the next milliseconds of the world's clock, and moves it. */
export class VirtualTimers {
  readonly #clock: { ms: number }
  readonly #timers = new Map<object, { dueMs: number; fire: () => void }>()

  constructor(clock: { ms: number }) {
    this.#clock = clock
  }

  set(callback: () => void, delayMs: number): () => void {
    const timer = {}
    const dueMs = this.#clock.ms + delayMs
    this.#timers.set(timer, { dueMs, fire: callback })
    return () => void this.#timers.delete(timer)
  }

  /** Lets what runs come to rest before each timer. */
  async pass(ms: number, rest: () => Promise<void>): Promise<void> {
    const endMs = this.#clock.ms + ms
    for (let fired = 0; fired < 10_000; fired++) {
      await rest()
      const due = [...this.#timers].filter(([, { dueMs }]) => dueMs <= endMs)
      const [next] = due.sort(([, a], [, b]) => a.dueMs - b.dueMs)
      if (next === undefined) break
      const [timer, { dueMs, fire }] = next
      this.#timers.delete(timer)
      this.#clock.ms = Math.max(this.#clock.ms, dueMs)
      fire()
    }
    this.#clock.ms = endMs
  }
}

/** The vault of a case again, with timers that only `timers` fires. */
export async function reopen({ device, vault }: Case, timers: VirtualTimers): Promise<Vault> {
  await vault.close()
  const platform = {
    ...device.platform,
    setTimer: (callback: () => void, delayMs: number) => timers.set(callback, delayMs),
  }
  return openVaultOn(platform, { path: 'folder' })
}
