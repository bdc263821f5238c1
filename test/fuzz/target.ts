/**
 * Target: a remote on loopback that is fuzzed, with an honest device on it which must not notice,
 * and a vault of the attacker's own, whose member may do what members may and nothing else.
 *
 *   honest     its vault changes by its own writes alone; everything it wrote is there
 *   attacker   a device that is a member, and one that was
 */
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createMemoryStore } from '@blindcopy/secondary'
import { judge } from '../../packages/remote/src/admin/admin.fixture.ts'
import { LIMITS_DEFAULT, type RemoteLimits } from '../../packages/remote/src/limits.ts'
import { type ServedRemote, serveRemote } from '../../packages/remote/src/node.ts'
import {
  type Bench,
  Device,
  dump,
  makeChain,
  makeEnvelope,
  ORIGIN,
  openBench,
  record,
  START_MS,
} from '../../packages/remote/src/remote.fixture.ts'
import { HonestDevice } from './honest.ts'
import { Finding, must } from './judge.ts'
import { converse, encodeRequest, readAnswers } from './wire.ts'

/**
 * Long waits would be most of the run, short ones cut off the honest where the machine is busy. The
 * rates are tried by their own tests.
 */
const LIMITS = {
  ...LIMITS_DEFAULT,
  rates: { pushesPerSecond: 1e6, pushBytesPerSecond: 1e12, loginsPerMinute: 1e6 },
  silenceMs: 8_000,
  headersMs: 8_000,
  transferMs: 15_000,
  drainMs: 2_000,
}

export type Target = {
  readonly port: number
  readonly bench: Bench
  readonly honest: HonestDevice
  /** A member of the attacker's vault. */
  readonly attacker: Device
  /** Was one; its token is of that time. */
  readonly revoked: Device
  /** A token of the attacker that has expired. */
  readonly expiredToken: string
  /** All that is stored, by key. */
  stored(): Promise<Stored>
  /** What `blindcopy remote check` would find wrong with any vault. */
  defects(): Promise<Readonly<Record<string, string[]>>>
  close(): Promise<void>
}

export type Stored = ReadonlyMap<string, string>

/** The honest device is counted by an address of its own. */
const HONEST_ADDRESS = '127.0.0.2'

export async function openTarget(limits: Partial<RemoteLimits> = {}): Promise<Target> {
  const store = createMemoryStore()
  const clock = { ms: START_MS }
  const faults: unknown[] = []
  const served = await serveRemote({
    store,
    registration: { mode: 'open' },
    origins: [ORIGIN],
    nowMs: () => clock.ms,
    onFault: (error) => faults.push(error),
    limits: { ...LIMITS, ...limits },
  })
  const bench = benchOver(served, { store, clock, faults })
  const { attacker, revoked, expiredToken } = await openAttacker(bench)
  const honest = await HonestDevice.open(bench, served.port)
  return {
    port: served.port,
    bench,
    honest,
    attacker,
    revoked,
    expiredToken,
    async stored() {
      const entries = await dump(store)
      return new Map(entries.map(([key, value]) => [hex(key), digest(value)]))
    },
    async defects() {
      const beside = openBench({ store, nowMs: () => clock.ms })
      const found = await judge({ bench: beside, store })
      beside.remote.close()
      return found
    },
    async close() {
      honest.close()
      await served.close()
    },
  }
}

const digest = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What the fixture's devices ask of an app goes over the wire. */
function benchOver(
  { port }: ServedRemote,
  { store, clock, faults }: Pick<Bench, 'store' | 'clock' | 'faults'>,
): Bench {
  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = Object.fromEntries(new Headers(init.headers))
    const body = init.body instanceof Uint8Array ? { body: init.body } : {}
    const piece = encodeRequest({ method: init.method ?? 'GET', path, headers, ...body })
    const heard = await converse(port, {
      pieces: [piece],
      ending: 'wait',
      from: HONEST_ADDRESS,
      answersMax: 1,
    })
    const [answer] = readAnswers(heard.bytes).answers
    if (answer === undefined) throw new Finding(`no answer to an honest ${path}: ${heard.end}`)
    const { status } = answer
    return new Response(new Uint8Array(answer.body), { status, headers: [...answer.headers] })
  }
  const remote = { app: { request } } as unknown as Bench['remote']
  return { store, clock, faults, remote, restart: () => {} }
}

async function openAttacker(bench: Bench) {
  const { chain, device: signer } = makeChain()
  const attacker = new Device(bench, chain, signer)
  must((await attacker.create()).status === 200, 'the vault of the attacker is made')
  await attacker.join()
  const expiredToken = attacker.token
  bench.clock.ms += 16 * 60_000
  await attacker.join()
  const newcomer = chain.addDevice(signer)
  must((await attacker.append(chain.entries.slice(-1))).status === 200, 'a device is added')
  const revoked = await new Device(bench, chain, newcomer).join()
  const entries = chain.revoke(signer, [newcomer])
  must((await attacker.append(entries)).status === 200, 'and revoked')
  for (let n = 1; n <= 3; n++) {
    const id = attacker.stamp()
    await attacker.push([
      id,
      [[makeEnvelope({ recordId: record(n), timestamp: id, epoch: chain.epoch })]],
    ])
  }
  await attacker.join()
  return { attacker, revoked, expiredToken }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that are still in use after all garbage is gone. */
export async function bytesInUse(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
