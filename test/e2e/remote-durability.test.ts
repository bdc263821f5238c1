/**
 * What a remote has acknowledged is on its disk: `blindcopy serve` is killed at random moments under
 * load from several vaults, many times; its disk fills up, takes no writes, has a torn end; its
 * folder is served twice. Each is a clear error at most, and afterwards everything that was
 * acknowledged is there, byte for byte, in a log and indexes that `check` finds sound.
 */
import { once } from 'node:events'
import { appendFileSync, readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type ChangesFrame,
  CreateAnswer,
  formatHex,
  type Hash,
  PushAnswer,
  type Timestamp,
  type Verdict,
} from '@blindcopy/protocol'
import { openLevelStore, type Store, StoreError } from '@blindcopy/secondary'
import { expect, it, onTestFinished } from 'vitest'
import { judge } from '../../packages/remote/src/admin/admin.fixture.ts'
import { serveRemote } from '../../packages/remote/src/node.ts'
import {
  type Bench,
  Device,
  dump,
  makeChain,
  makeEnvelope,
  must,
  ORIGIN,
  openBench,
  record,
} from '../../packages/remote/src/remote.fixture.ts'
import { checkLog } from '../fuzz/honest.ts'
import { type Chance, chanceOf } from '../simulation/chance.ts'
import { COMMAND } from './commands.ts'
import { kill, type Started, startProcess, temporaryFolder } from './processes.ts'

const isSlow = process.env.SLOW === '1'
const VAULTS = 4
const RECORDS = 30

type Served = Started & { readonly url: string }

/** `wrap` runs the command within another one. */
async function serve(data: string, wrap: readonly string[] = []): Promise<Served> {
  // Everything comes from one address, at once.
  const free = ['--login-rate', '100000', '--push-rate', '100000', '--log-level', 'error']
  const where = ['--data', data, '--port', '0', '--origin', ORIGIN, '--registration', 'open']
  const line = [process.execPath, COMMAND, 'serve', '--json', ...where, ...free]
  const [command = '', ...args] = [...wrap, ...line]
  const started = startProcess(command, args)
  const lines = createInterface({ input: started.child.stdout as NodeJS.ReadableStream })
  const first = await Promise.race([
    once(lines, 'line').then(([text]) => text as string),
    once(started.child, 'exit').then(() => {
      throw new Error(`the remote ended: ${started.output()}`)
    }),
  ])
  return { ...started, url: (JSON.parse(first) as { url: string }).url }
}

/** A remote elsewhere, as the devices of the fixture ask it; they have the real time. */
class Elsewhere {
  url = ''
  readonly bench: Bench

  constructor() {
    const request = (path: string, init: RequestInit = {}) => fetch(`${this.url}${path}`, init)
    const clock = {
      get ms() {
        return Date.now()
      },
    }
    this.bench = {
      store: undefined as unknown as Store,
      faults: [],
      clock: clock as Bench['clock'],
      remote: { app: { request } } as unknown as Bench['remote'],
      restart: () => {},
    }
  }
}

type Acked = { readonly id: Timestamp; readonly seq: number; readonly chain: Hash }
type Transaction = readonly [Timestamp, readonly (readonly [Uint8Array])[]]

/** A device that pushes, and remembers what was acknowledged and what nobody answered. */
class Pusher {
  readonly device: Device
  readonly acked: Acked[] = []
  /** The newest envelope of each record that was acknowledged. */
  readonly #newest = new Map<string, Uint8Array>()
  #open: readonly Transaction[] = []
  readonly #chance: Chance

  constructor(bench: Bench, chance: Chance) {
    const { chain, device: signer } = makeChain()
    this.device = new Device(bench, chain, signer)
    this.#chance = chance
  }

  async begin(): Promise<this> {
    must(CreateAnswer, await this.device.create())
    await this.device.join()
    return this
  }

  /** The code of a refusal; undefined when it was taken. Throws when nobody answers. */
  async push(): Promise<string | undefined> {
    if (this.#open.length === 0) this.#open = this.#draw()
    const answer = await this.device.post('/v1/push', { transactions: this.#open })
    if (answer.problem !== undefined) return answer.problem.code
    this.#take(must(PushAnswer, answer).verdicts)
    return undefined
  }

  async pushUntilKilled(): Promise<void> {
    try {
      for (;;) expect(await this.push()).toBeUndefined()
    } catch (error) {
      // Whoever is killed answers nothing, or half an answer.
      if (error instanceof TypeError) return
      throw error
    }
  }

  /** After a restart: the same SyncId, nothing lost, and what was not answered is taken once. */
  async checkAll(): Promise<void> {
    const { device } = this
    const { syncId } = device
    await device.join()
    expect(device.syncId, 'the SyncId').toEqual(syncId)
    if (this.#open.length > 0) expect(await this.push()).toBeUndefined()
    const log = await readLog(device)
    const live = checkLog(device, log)
    const bySeq = new Map(
      log.flatMap((frame) => (frame[0] === 2 ? [] : [[frame[1], frame] as const])),
    )
    for (const { id, seq, chain } of this.acked) {
      const frame = bySeq.get(seq)
      expect([frame?.[0], frame?.[2], frame?.[3]], `seq ${seq}`).toEqual([0, chain, id])
    }
    for (const [name, envelope] of this.#newest) expect(live.get(name)).toBe(formatHex(envelope))
  }

  #draw(): Transaction[] {
    const chance = this.#chance
    return Array.from({ length: 1 + chance.below(4) }, () => {
      const id = this.device.stamp()
      const sizeBytes = chance.oneIn(8) ? 20_000 + chance.below(40_000) : 334
      const first = chance.below(RECORDS)
      const numbers = Array.from({ length: 1 + chance.below(3) }, (_, i) => first + i)
      const ops = numbers.map((number) => {
        const facts = { recordId: record(number), timestamp: id, sizeBytes }
        return [makeEnvelope(facts)] as const
      })
      return [id, ops] as const
    })
  }

  #take(verdicts: readonly Verdict[]): void {
    expect(verdicts).toHaveLength(this.#open.length)
    this.#open.forEach(([id, ops], i) => {
      const verdict = verdicts[i]
      if (verdict?.type !== 'applied') throw new Error(`a verdict ${JSON.stringify(verdict)}`)
      const { seq, chain } = verdict
      this.acked.push({ id, seq, chain })
      this.device.cursor = { seq, chain }
      for (const [envelope] of ops) this.#newest.set(formatHex(envelope.subarray(6, 22)), envelope)
    })
    this.#open = []
  }
}

/** The whole log, page after page, and its end. */
async function readLog(device: Device): Promise<ChangesFrame[]> {
  const frames: ChangesFrame[] = []
  for (;;) {
    const page = await device.pull(`?since=${frames.at(-1)?.[1] ?? 0}`)
    const end = page.pop() as ChangesFrame
    frames.push(...page)
    if (page.length === 0 || page.at(-1)?.[1] === end[1]) return [...frames, end]
  }
}

/** What `check` finds wrong in a folder that nobody serves. */
async function defectsOf(data: string): Promise<Record<string, string[]>> {
  const store = await openLevelStore({ path: join(data, 'vaults') })
  try {
    return await judge({ bench: openBench({ store }), store })
  } finally {
    await store.close()
  }
}

async function openPushers(bench: Bench, count: number, chance: Chance): Promise<Pusher[]> {
  const pushers = Array.from({ length: count }, (_, i) => new Pusher(bench, chance.fork(`${i}`)))
  return Promise.all(pushers.map((pusher) => pusher.begin()))
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const SEED = Number(process.env.FUZZ_SEED ?? 1)
const KILL_SECONDS = isSlow ? 600 : 15

it(
  `killed at any moment, has all that it acknowledged (seed ${SEED})`,
  async () => {
    const data = join(temporaryFolder(), 'remote')
    const chance = chanceOf(SEED, 'kill -9')
    const elsewhere = new Elsewhere()
    let remote = await serve(data)
    elsewhere.url = remote.url
    const pushers = await openPushers(elsewhere.bench, VAULTS, chance)
    const untilMs = Date.now() + KILL_SECONDS * 1000
    let kills = 0
    while (Date.now() < untilMs || kills < 3) {
      const loads = pushers.map((pusher) => pusher.pushUntilKilled())
      // Most moments fall into a write, some before the first one.
      await pause(chance.below(400))
      await kill(remote.child)
      await Promise.all(loads)
      kills++
      if (kills % 5 === 1) expect(await defectsOf(data), `kill ${kills}`).toEqual({})
      remote = await serve(data)
      elsewhere.url = remote.url
      await Promise.all(pushers.map((pusher) => pusher.checkAll()))
    }
    await kill(remote.child)
    expect(await defectsOf(data)).toEqual({})
    const acked = pushers.reduce((sum, pusher) => sum + pusher.acked.length, 0)
    expect(acked).toBeGreaterThan(kills)
    process.stdout.write(`killed ${kills} times, ${acked} transactions acknowledged\n`)
  },
  (KILL_SECONDS + 120) * 1000,
)

it('on a full disk says so, keeps what it acknowledged, and goes on when there is room', async () => {
  const data = join(temporaryFolder(), 'remote')
  const elsewhere = new Elsewhere()
  // The shell bounds how large any file may become, in blocks of 512 bytes or of 1 KiB.
  const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 900; exec "$@"`, 'sh']
  const full = await serve(data, limited)
  elsewhere.url = full.url
  const pushers = await openPushers(elsewhere.bench, 2, chanceOf(2))
  const codes = new Set<string | undefined>()
  for (let i = 0; i < 600 && !codes.has('storage-full'); i++) {
    for (const pusher of pushers) codes.add(await pusher.push())
  }
  expect([...codes]).toEqual([undefined, 'storage-full'])
  // It answers reads, and what it refuses, it refuses with the same word.
  for (let i = 0; i < 20; i++) {
    for (const pusher of pushers) codes.add(await pusher.push())
    expect((await fetch(`${full.url}/healthz`)).status).toBe(200)
  }
  expect(codes.size).toBe(2)
  for (const { device } of pushers) checkLog(device, await device.pull('?since=0'))
  await kill(full.child)
  expect(await defectsOf(data)).toEqual({})
  const roomy = await serve(data)
  elsewhere.url = roomy.url
  for (const pusher of pushers) {
    await pusher.checkAll()
    expect(await pusher.push()).toBeUndefined()
    await pusher.checkAll()
  }
}, 120_000)

/** The log that LevelDB writes to. */
function newestLog(data: string): string {
  const folder = join(data, 'vaults')
  const logs = readdirSync(folder).filter((name) => name.endsWith('.log'))
  return join(folder, logs.sort().at(-1) ?? '')
}

it('with a torn last write opens again, and has what was acknowledged before', async () => {
  const data = join(temporaryFolder(), 'remote')
  const elsewhere = new Elsewhere()
  const chance = chanceOf(3)
  let remote = await serve(data)
  elsewhere.url = remote.url
  const [pusher] = await openPushers(elsewhere.bench, 1, chance)
  if (pusher === undefined) return
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 5; i++) await pusher.push()
    await kill(remote.child)
    // The head of a record of LevelDB's: a checksum, a length, "full"; then less than it says.
    const head = Buffer.from([1, 2, 3, 4, 0xff, 0x3f, round % 2 === 0 ? 1 : 2])
    const torn = [head, Buffer.concat([head, chance.bytes(900)]), Buffer.alloc(5_000)]
    appendFileSync(newestLog(data), torn[round % 3] ?? head)
    expect(await defectsOf(data)).toEqual({})
    remote = await serve(data)
    elsewhere.url = remote.url
    await pusher.checkAll()
  }
}, 120_000)

it('on a disk that lost acknowledged bytes after all, begins a new SyncId', async () => {
  const data = join(temporaryFolder(), 'remote')
  const elsewhere = new Elsewhere()
  const remote = await serve(data)
  elsewhere.url = remote.url
  const [pusher] = await openPushers(elsewhere.bench, 1, chanceOf(4))
  if (pusher === undefined) return
  for (let i = 0; i < 10; i++) await pusher.push()
  await kill(remote.child)
  truncateSync(newestLog(data), statSync(newestLog(data)).size - 10)
  expect(await defectsOf(data)).toEqual({})
  elsewhere.url = (await serve(data)).url
  const { device } = pusher
  const { syncId, cursor } = device
  await device.join()
  expect(device.cursor.seq).toBeLessThan(cursor.seq)
  device.cursor = cursor
  expect(await pusher.push()).toBe('sync-id-mismatch')
  await device.join()
  expect(device.syncId).not.toEqual(syncId)
}, 60_000)

it('whose disk takes no writes says so, serves reads, and goes on when it does', async () => {
  const path = join(temporaryFolder(), 'vaults')
  const store = await openLevelStore({ path })
  const disk = { isReadOnly: false }
  const write = store.write.bind(store)
  store.write = (batch, how) => {
    if (!disk.isReadOnly) return write(batch, how)
    const cause = Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' })
    return Promise.reject(new StoreError('store-read-only', 'the folder is read-only', { cause }))
  }
  const faults: unknown[] = []
  const served = await serveRemote({
    store,
    registration: { mode: 'open' },
    origins: [ORIGIN],
    onFault: (error) => faults.push(error),
  })
  onTestFinished(() => served.close().then(() => {}))
  const elsewhere = new Elsewhere()
  elsewhere.url = served.url
  const [pusher] = await openPushers(elsewhere.bench, 1, chanceOf(5))
  if (pusher === undefined) return
  await pusher.push()
  const before = await dump(store)
  disk.isReadOnly = true
  for (let i = 0; i < 3; i++) expect(await pusher.push()).toBe('storage-full')
  // Whoever runs it is told each time why.
  expect(faults).toMatchObject([1, 2, 3].map(() => ({ code: 'store-read-only' })))
  expect((await pusher.device.create()).problem?.code).toBeUndefined()
  checkLog(pusher.device, await pusher.device.pull('?since=0'))
  expect(await dump(store)).toEqual(before)
  disk.isReadOnly = false
  expect(await pusher.push()).toBeUndefined()
  await pusher.checkAll()
}, 60_000)

it('does not serve a folder that another one serves, and leaves that one in peace', async () => {
  const data = join(temporaryFolder(), 'remote')
  const elsewhere = new Elsewhere()
  const remote = await serve(data)
  elsewhere.url = remote.url
  const [pusher] = await openPushers(elsewhere.bench, 1, chanceOf(6))
  if (pusher === undefined) return
  for (let i = 0; i < 3; i++) {
    const second = startProcess(process.execPath, [
      ...[COMMAND, 'serve', '--json', '--data', data, '--port', '0'],
      ...['--registration', 'open'],
    ])
    const [code] = await once(second.child, 'close')
    expect(code).not.toBe(0)
    expect(second.output()).toContain('"store-in-use"')
    expect(await pusher.push()).toBeUndefined()
  }
  await kill(remote.child)
  elsewhere.url = (await serve(data)).url
  await pusher.checkAll()
}, 120_000)
