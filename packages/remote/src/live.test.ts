/** The live socket, with sockets made up here; node.test.ts does the same over a wire. */
import { HASH_NONE, KeychainAppendAnswer, SESSION_TOKEN_MS } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { LIMITS_DEFAULT } from './limits.ts'
import { FakeSocket, helloOf, joinSocket } from './live.fixture.ts'
import { HEARTBEAT_MS, HELLO_BYTES_MAX, HELLO_MS_MAX, SOCKET_BUFFER_BYTES_MAX } from './live.ts'
import { Device, makeEnvelope, must, openTwo, openVault, random, record } from './remote.fixture.ts'

async function pushOne(device: Device, number = 1) {
  const id = device.stamp()
  const envelope = makeEnvelope({ recordId: record(number), timestamp: id })
  const [verdict] = await device.push([id, [[envelope]]])
  if (verdict?.type !== 'applied') throw new Error('not applied')
  return { id, envelope, ...verdict }
}

describe('a live socket', () => {
  it('is told the head, then every commit after it', async () => {
    const { device, other, chain } = await openTwo()
    const [mine, theirs] = [await joinSocket(device), await joinSocket(other)]
    expect(theirs.take()).toEqual([[4, 2, other.cursor.chain]])
    mine.take()
    const { id, envelope, chain: link } = await pushOne(device)
    expect(theirs.take()).toEqual([[0, 3, link, id, [envelope], new Uint8Array(0)]])
    expect(mine.take()).toEqual([[0, 3, link, id, [], envelope.subarray(6, 38)]])
    const previous = chain.head
    chain.addEpoch(device.signer)
    const entries = chain.entries.slice(-1)
    const request = { previous, entries }
    const answer = must(KeychainAppendAnswer, await device.post('/v1/keychain', request))
    expect(theirs.take()).toEqual([[1, 4, answer.chain, entries]])
    expect(mine.take().length).toBe(1)
  })

  it('gets stale ops as pairs, and nothing of what was refused or repeated', async () => {
    const { device, other } = await openTwo()
    const older = other.stamp(other.bench.clock.ms - 1)
    const newest = await pushOne(device)
    const socket = await joinSocket(device)
    socket.take()
    const [stale, fresh] = [1, 2].map((n) =>
      makeEnvelope({ recordId: record(n), timestamp: older }),
    )
    const transaction = [older, [[stale], [fresh]]]
    await other.push(transaction)
    const [frame] = socket.take()
    expect(frame?.slice(3)).toEqual([older, [fresh], stale?.subarray(6, 38)])
    await other.push(transaction)
    const late = other.stamp()
    await other.push([late, [[makeEnvelope({ recordId: record(1), timestamp: late }), random(16)]]])
    expect(socket.take()).toEqual([])
    expect(newest.seq).toBe(3)
  })

  it('gets the envelopes of another session of its own device', async () => {
    const { bench, device, chain } = await openVault()
    // A copy of its folder, or a process that lost power after it had pushed.
    const copy = await new Device(bench, chain, device.signer).join()
    const [mine, its] = [await joinSocket(device), await joinSocket(copy)]
    mine.take()
    its.take()
    const { id, envelope, chain: link } = await pushOne(device)
    expect(its.take()).toEqual([[0, 2, link, id, [envelope], new Uint8Array(0)]])
    expect(mine.take()).toEqual([[0, 2, link, id, [], envelope.subarray(6, 38)]])
  })

  it('hears nothing of other vaults', async () => {
    const { bench, device } = await openVault()
    const socket = await joinSocket(device)
    socket.take()
    const { makeChain } = await import('./remote.fixture.ts')
    const { chain, device: signer } = makeChain()
    const stranger = new Device(bench, chain, signer)
    await stranger.create()
    await pushOne(await stranger.join())
    expect(socket.take()).toEqual([])
  })

  it('misses no commit that races its hello', async () => {
    const { device, other } = await openTwo()
    const socket = new FakeSocket(device.bench)
    const pushes = [1, 2, 3].map((n) => pushOne(device, n))
    const hello = socket.connection.receive(helloOf(other))
    const more = [4, 5].map((n) => pushOne(device, n))
    await Promise.all([...pushes, hello, ...more])
    const frames = socket.take()
    const seqs = frames.map((frame) => frame[1])
    expect(frames[0]?.[0]).toBe(4)
    expect(seqs).toEqual(Array.from(seqs, (_, i) => (seqs[0] as number) + i))
    expect(seqs.at(-1)).toBe(7)
  })

  it('renews with a new hello, only for the same device', async () => {
    const { bench, device, other } = await openTwo()
    const socket = await joinSocket(device)
    bench.clock.ms += SESSION_TOKEN_MS - 1
    await Promise.all([device.join(), other.join()])
    await socket.connection.receive(helloOf(device))
    bench.clock.ms += SESSION_TOKEN_MS - 1
    bench.remote.live.beat()
    expect(socket.closed).toBeUndefined()
    await other.join()
    await socket.connection.receive(helloOf(other))
    expect(socket.closed?.reason).toBe('malformed')
  })
})

describe('a live socket is closed', () => {
  it('when its hello is refused, with the reason', async () => {
    const { bench, chain, device } = await openVault()
    const stranger = await new Device(bench, chain, chain.root).join()
    stranger.token = 'x'
    const table: [string, Uint8Array][] = [
      ['session-required', helloOf(stranger)],
      ['sync-id-mismatch', helloOf(device, { syncId: random(16) })],
      ['unsupported-protocol', helloOf(device, { protocol: 99 })],
      ['malformed', helloOf(device, { more: 1 })],
      ['malformed', random(40)],
      ['malformed', new Uint8Array(0)],
      ['too-large', new Uint8Array(HELLO_BYTES_MAX + 1)],
    ]
    for (const [code, hello] of table) {
      const socket = new FakeSocket(bench)
      await socket.connection.receive(hello)
      expect(socket.frames[0]?.slice(0, 2)).toEqual([5, code])
      expect(socket.closed).toEqual({ code: 1008, reason: code })
    }
    expect(bench.faults).toEqual([])
  })

  it('when another hello comes while one is judged', async () => {
    const { device } = await openVault()
    const socket = new FakeSocket(device.bench)
    const hello = helloOf(device)
    await Promise.all([socket.connection.receive(hello), socket.connection.receive(hello)])
    expect(socket.closed?.reason).toBe('malformed')
    await pushOne(device)
    expect(socket.frames.length).toBe(1)
  })

  it('when no hello comes in time', async () => {
    const { bench } = await openVault()
    const socket = new FakeSocket(bench)
    bench.clock.ms += HELLO_MS_MAX - 1
    bench.remote.live.beat()
    expect(socket.closed).toBeUndefined()
    bench.clock.ms += 1
    bench.remote.live.beat()
    expect(socket.closed?.reason).toBe('session-required')
  })

  it('when its token ends, after heartbeats', async () => {
    const { bench, device } = await openVault()
    const socket = await joinSocket(device)
    socket.take()
    for (let i = 0; i < 3; i++) {
      bench.clock.ms += HEARTBEAT_MS
      bench.remote.live.beat()
      bench.remote.live.beat()
    }
    expect(socket.take().map(([kind]) => kind)).toEqual([3, 3, 3])
    bench.clock.ms += SESSION_TOKEN_MS
    bench.remote.live.beat()
    expect(socket.closed?.reason).toBe('session-required')
  })

  it('when a new SyncId begins, by its own cursor or by another request', async () => {
    const { device, other } = await openTwo()
    const socket = await joinSocket(other)
    const lost = new FakeSocket(device.bench)
    await lost.connection.receive(helloOf(device, { cursor: [99, HASH_NONE] }))
    const [frame] = lost.take()
    expect(frame?.slice(0, 2)).toEqual([5, 'sync-id-mismatch'])
    expect(socket.take().at(-1)).toEqual(frame)
    expect(socket.closed?.reason).toBe('sync-id-mismatch')
  })

  it('when it is too slow, and then costs nothing more', async () => {
    const { device, other } = await openTwo()
    const socket = await joinSocket(other)
    socket.take()
    socket.bufferedBytes = SOCKET_BUFFER_BYTES_MAX + 1
    await pushOne(device)
    // Cut, not closed: a frame would wait behind all that it does not fetch.
    expect(socket.closed?.code).toBe(1006)
    expect(socket.take()).toEqual([])
    await pushOne(device)
  })

  it('when all of them together hold too much, those first in which most waits', async () => {
    const { bench, device, other } = await openTwo()
    const sockets: FakeSocket[] = []
    for (let i = 0; i < 20; i++) sockets.push(await joinSocket(i % 2 === 0 ? device : other))
    const mib = 1024 * 1024
    sockets.forEach((socket, i) => {
      socket.bufferedBytes = i < 15 ? 18 * mib + i : 100
    })
    bench.remote.live.beat()
    const closed = sockets.map(({ closed }) => closed !== undefined)
    expect(closed).toEqual(sockets.map((_, i) => i === 14))
    Object.assign(sockets[0] as FakeSocket, { bufferedBytes: 19 * mib })
    bench.remote.live.beat()
    expect(sockets.filter(({ closed }) => closed !== undefined)).toHaveLength(1)
  })

  it('when its vault has too many', async () => {
    const { device } = await openVault()
    for (let i = 0; i < LIMITS_DEFAULT.socketsPerVaultMax; i++) await joinSocket(device)
    const over = await joinSocket(device)
    expect(over.closed?.reason).toBe('too-many-requests')
  })

  it('when the remote closes', async () => {
    const { bench, device } = await openVault()
    const sockets = [await joinSocket(device), new FakeSocket(bench)]
    bench.remote.close()
    for (const { closed } of sockets) expect(closed).toEqual({ code: 1001, reason: 'busy' })
  })

  it('when its member is no longer one', async () => {
    const { bench, chain, device } = await openVault()
    const socket = await joinSocket(device)
    const { createVaults, mustVault } = await import('./vaults.ts')
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const revoked = { ...vault, keychain: { ...vault.keychain, membersById: new Map() } }
    const append = { type: 'append', seq: 2, chain: HASH_NONE, entries: [] } as const
    bench.remote.live.broadcast(revoked, [append], undefined)
    expect(socket.take().at(-1)?.slice(0, 2)).toEqual([5, 'not-a-member'])
    expect(socket.closed?.reason).toBe('not-a-member')
  })
})
