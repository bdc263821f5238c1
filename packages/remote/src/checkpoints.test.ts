/**
 * Checkpoints at the remote: what it stores and passes on, and that it stores nothing else.
 *
 * Threats: 22, 23, 28.
 */
import {
  CHECKPOINT_BYTES_MAX,
  CheckpointAnswer,
  CheckpointsAnswer,
  encodeCheckpoint,
  type Hash,
  KeychainAppendAnswer,
  type LiveFrame,
  LiveFrame as LiveFrameSchema,
  PROTOCOL_VERSION,
  parseCheckpoint,
  parseMessage,
  type Signature,
  type SyncId,
  type VaultId,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { makeCheckpoint } from './checkpoint.fixture.ts'
import { LIMITS_DEFAULT } from './limits.ts'
import { CHECKPOINT_BUFFER_BYTES_MAX } from './live.ts'
import {
  type Answer,
  ask,
  bodyOf,
  type Chain,
  Device,
  dump,
  makeEnvelope,
  must,
  openVault,
  random,
  record,
} from './remote.fixture.ts'

const put = (device: Device, body: Uint8Array): Promise<Answer> =>
  ask(device.app, '/v1/checkpoints', {
    method: 'PUT',
    headers: device.headers,
    body: new Uint8Array(body),
  })

const read = async (device: Device): Promise<Uint8Array[]> =>
  must(CheckpointsAnswer, await device.get('/v1/checkpoints')).checkpoints

/** Two devices of one vault, both logged in. */
async function openTwo(): Promise<{ chain: Chain; device: Device; other: Device }> {
  const { bench, chain, device } = await openVault()
  const previous = chain.head
  const signer = chain.addDevice(device.signer)
  const entries = chain.entries.slice(-1)
  must(KeychainAppendAnswer, await device.post('/v1/keychain', { previous, entries }))
  await device.join()
  return { chain, device, other: await new Device(bench, chain, signer).join() }
}

describe('PUT /v1/checkpoints', () => {
  it('stores a checkpoint, answers others with it, and takes the same bytes again', async () => {
    const { device, other } = await openTwo()
    const first = makeCheckpoint(device)
    for (let i = 0; i < 2; i++) {
      expect(must(CheckpointAnswer, await put(device, first))).toEqual({ number: 1 })
    }
    const second = makeCheckpoint(device, { number: 5 })
    expect(must(CheckpointAnswer, await put(device, second))).toEqual({ number: 5 })
    const theirs = makeCheckpoint(other)
    must(CheckpointAnswer, await put(other, theirs))
    expect(new Set((await read(other)).map(String))).toEqual(new Set([second, theirs].map(String)))
  })

  it('takes a position that the log has, also when the device is ahead of it', async () => {
    const { device } = await openTwo()
    const before = device.cursor
    const id = device.stamp()
    await device.push([id, [[makeEnvelope({ recordId: record(1), timestamp: id })]]])
    await device.join()
    must(CheckpointAnswer, await put(device, makeCheckpoint(device, { position: before })))
  })

  it('answers the stored number to one that is not newer', async () => {
    const { device } = await openTwo()
    must(CheckpointAnswer, await put(device, makeCheckpoint(device, { number: 7 })))
    for (const number of [6, 7]) {
      const stored = await dump(device.bench.store)
      const answer = await put(device, makeCheckpoint(device, { number, timeMs: 1 }))
      expect(answer.problem).toMatchObject({ code: 'checkpoint-old', number: 7, status: 409 })
      expect(await dump(device.bench.store)).toEqual(stored)
    }
  })

  it('counts as a push does, and no vault may write without end', async () => {
    const rates = { ...LIMITS_DEFAULT.rates, pushesPerSecond: 1 }
    const { bench, device } = await openVault({ limits: { ...LIMITS_DEFAULT, rates } })
    const statuses: number[] = []
    for (let number = 1; number <= 12; number++) {
      statuses.push((await put(device, makeCheckpoint(device, { number }))).status)
    }
    expect(statuses).toEqual([...Array(11).fill(200), 429])
    bench.clock.ms += 1_000
    expect((await put(device, makeCheckpoint(device, { number: 12 }))).status).toBe(200)
  })

  it('is stored by another process on the same store', async () => {
    const { device } = await openTwo()
    must(CheckpointAnswer, await put(device, makeCheckpoint(device, { number: 3 })))
    device.bench.restart()
    await device.join()
    expect(await read(device)).toHaveLength(1)
  })
})

describe('PUT /v1/checkpoints refuses, and changes nothing', () => {
  const bad: Record<string, (device: Device, other: Device) => Uint8Array> = {
    'of another vault': (device) => makeCheckpoint(device, { vaultId: random(32) as VaultId }),
    'of another device, with its signature': (_device, other) => makeCheckpoint(other),
    'in the name of another device': (device, other) =>
      makeCheckpoint(device, { memberId: other.signer.memberId }),
    'with the signature of another device': (device, other) =>
      makeCheckpoint(device, {}, other.signer),
    'of the root': (device) =>
      makeCheckpoint(device, { memberId: device.chain.root.memberId }, device.chain.root),
    'of another SyncId': (device) => makeCheckpoint(device, { syncId: random(16) as SyncId }),
    'ahead of the log': (device) =>
      makeCheckpoint(device, { position: { ...device.cursor, seq: 99 } }),
    'with another chain': (device) =>
      makeCheckpoint(device, { position: { ...device.cursor, chain: random(32) as Hash } }),
  }
  it.each(Object.keys(bad))('one %s', async (name) => {
    const { device, other } = await openTwo()
    const body = (bad[name] as (typeof bad)[string])(device, other)
    const stored = await dump(device.bench.store)
    const answer = await put(device, body)
    expect(answer.problem).toMatchObject({ code: 'checkpoint-refused', status: 422 })
    expect(await dump(device.bench.store)).toEqual(stored)
    expect(device.bench.faults).toEqual([])
  })

  it('bytes that are none, whatever they are', async () => {
    const { device } = await openTwo()
    const good = makeCheckpoint(device)
    const stored = await dump(device.bench.store)
    const inputs = [
      new Uint8Array(0),
      random(200),
      bodyOf({ a: 1 }),
      good.subarray(0, -1),
      good.with(40, (good[40] as number) ^ 1),
      encodeCheckpoint(parseCheckpoint(good).body, new Uint8Array(64) as Signature),
    ]
    for (const input of inputs) {
      const { problem } = await put(device, input)
      expect(['malformed', 'checkpoint-refused']).toContain(problem?.code)
    }
    const large = await put(device, new Uint8Array(CHECKPOINT_BYTES_MAX + 1))
    expect(large.problem?.code).toBe('too-large')
    expect(await dump(device.bench.store)).toEqual(stored)
  })

  it('a request without token, SyncId or cursor, and one of a stranger', async () => {
    const { device } = await openTwo()
    const body = new Uint8Array(makeCheckpoint(device))
    const { Authorization = '', ...position } = device.headers
    const codes: (string | undefined)[] = []
    for (const headers of [
      position,
      { Authorization },
      { ...position, Authorization: 'Bearer a' },
    ]) {
      const init = { method: 'PUT', headers: headers as Record<string, string>, body }
      codes.push((await ask(device.app, '/v1/checkpoints', init)).problem?.code)
    }
    expect(codes).toEqual(['session-required', 'malformed', 'session-required'])
  })

  it('a device whose cursor is not in the log: a new SyncId begins', async () => {
    const { device } = await openTwo()
    const body = makeCheckpoint(device)
    device.cursor = { ...device.cursor, chain: random(32) as Hash }
    const answer = await put(device, body)
    expect(answer.problem?.code).toBe('sync-id-mismatch')
    await device.join()
    expect((await put(device, body)).problem?.code).toBe('checkpoint-refused')
  })
})

describe('GET /v1/changes?digests=1&since', () => {
  it('answers pairs after another position than the cursor, which stays where it is', async () => {
    const { device } = await openTwo()
    const behind = device.cursor.seq
    for (let n = 1; n <= 3; n++) {
      const id = device.stamp()
      await device.push([id, [[makeEnvelope({ recordId: record(n), timestamp: id })]]])
    }
    await device.join()
    const frames = await device.pull(`?digests=1&since=${behind + 1}`)
    expect(frames.map(([kind, seq]) => [kind, seq])).toEqual([
      [0, behind + 2],
      [0, behind + 3],
      [2, behind + 3],
    ])
    expect(frames[0]?.[0] === 0 && frames[0][4]).toEqual([])
    expect((await device.get('/v1/changes?since=x')).problem?.code).toBe('malformed')
    expect(await device.pull('?since=999999')).toHaveLength(1)
  })
})

describe('a live socket', () => {
  async function joinSocket(device: Device) {
    const frames: LiveFrame[] = []
    const socket = {
      bufferedBytes: 0,
      send: (frame: Uint8Array) => void frames.push(parseMessage(LiveFrameSchema, frame)),
      close: () => undefined,
      terminate: () => undefined,
    }
    const hello = {
      protocol: PROTOCOL_VERSION,
      token: device.token,
      syncId: device.syncId,
      cursor: [device.cursor.seq, device.cursor.chain],
    }
    await device.bench.remote.live.open(socket).receive(bodyOf(hello))
    frames.splice(0)
    return { socket, frames }
  }

  it('is told of what other devices have signed, and not of its own', async () => {
    const { device, other } = await openTwo()
    const [mine, theirs] = [await joinSocket(device), await joinSocket(other)]
    const body = makeCheckpoint(device)
    must(CheckpointAnswer, await put(device, body))
    expect(theirs.frames).toEqual([[6, body]])
    expect(mine.frames).toEqual([])
    must(CheckpointAnswer, await put(device, body))
    expect(theirs.frames).toHaveLength(1)
  })

  it('that is slow is not filled with checkpoints', async () => {
    const { device, other } = await openTwo()
    const { socket, frames } = await joinSocket(other)
    socket.bufferedBytes = CHECKPOINT_BUFFER_BYTES_MAX + 1
    must(CheckpointAnswer, await put(device, makeCheckpoint(device)))
    expect(frames).toEqual([])
    socket.bufferedBytes = CHECKPOINT_BUFFER_BYTES_MAX
    must(CheckpointAnswer, await put(device, makeCheckpoint(device, { number: 2 })))
    expect(frames).toHaveLength(1)
  })
})
