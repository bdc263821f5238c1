/**
 * Two devices of one vault over a stream: whatever each has written, they end with the same
 * records, wherever the stream is cut; and nothing is taken from whoever does not belong there.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { encodeFrame, encodePeerMessage, type RecordId } from '@blindcopy/protocol'
import { forwardKey, forwardRange, parseForwardKey, rowKey, type Store } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readKeychainEntries } from '../local/local-reading.ts'
import { parseRow } from '../local/row.ts'
import {
  contentOf,
  exchange,
  exchanged,
  forkOf,
  makeStreams,
  makeVault,
  openDevice,
  shownOf,
  type TestDevice,
} from './peer.fixture.ts'
import type { PeerStream } from './peer-line.ts'

type Note = { text: string; other?: string }

const notes = ({ vault }: TestDevice) => vault.collection<Note>('notes')
const merged = ({ vault }: TestDevice) =>
  vault.collection<Record<string, string>>('merged', { conflict: 'merge' })
/** Silence that is over once nothing else goes on, and silence that is never too long. */
const soon = (callback: () => void): (() => void) => {
  let turns = 200
  const wait = (): void => {
    if (turns-- === 0) callback()
    else if (turns > -1) setImmediate(wait)
  }
  wait()
  return () => {
    turns = -1
  }
}
const never = () => () => undefined
const local = ({ vault }: TestDevice) => vault.collection('local', { localOnly: true })

async function pair(): Promise<[TestDevice, TestDevice]> {
  const { devices } = await makeVault(2)
  return devices as unknown as [TestDevice, TestDevice]
}

/** Both clocks go on: what is written next is newer than all that was. */
function pass(...devices: TestDevice[]): void {
  for (const { platform } of devices) platform.clockMs += 1_000
}

/** The records that are to be passed on. */
async function marksOf(store: Store): Promise<RecordId[]> {
  const marks: RecordId[] = []
  for await (const page of store.keyPages(forwardRange())) marks.push(...page.map(parseForwardKey))
  return marks
}

describe('two devices over a stream', () => {
  it('end with the same records, deletions included, and say how many went where', async () => {
    const [a, b] = await pair()
    for (let i = 0; i < 30; i++) await notes(a).put(`a${i}`, { text: `of a ${i}` })
    await notes(b).put('b', { text: 'of b' })
    const [ofA, ofB] = await exchanged(a, b)
    expect(ofA).toEqual({ sent: 30, received: 1, conflicts: 0, unopened: 0, aside: 0 })
    expect(ofB).toEqual({ sent: 1, received: 30, conflicts: 0, unopened: 0, aside: 0 })
    pass(a, b)
    await notes(b).delete('a3')
    await exchanged(a, b)
    expect(await notes(a).get('a3')).toBeUndefined()
    expect(await shownOf(a)).toEqual(await shownOf(b))
    expect(await exchanged(b, a)).toMatchObject([{ sent: 0, received: 0 }, { sent: 0 }])
  })

  it('keep apart what is local only, and do not take what came for confirmed', async () => {
    const [a, b] = await pair()
    await local(a).put('mine', { text: 'here' })
    await notes(a).put('n', { text: 'there' })
    await exchanged(a, b)
    expect(await b.vault.collection('local').list()).toEqual([])
    const [recordId] = await marksOf(b.store)
    if (recordId === undefined) throw new Error('it is not marked')
    const row = parseRow(await b.store.get(rowKey(recordId)))
    expect(row.confirmed).toEqual(new Uint8Array(16))
    expect(await b.store.get(forwardKey(recordId))).toEqual(new Uint8Array(row.current))
    expect(await marksOf(b.store)).toHaveLength(1)
    expect(await marksOf(a.store)).toEqual([])
  })

  it('pass on what a third one wrote', async () => {
    const { devices } = await makeVault(3)
    const [a, b, c] = devices as unknown as [TestDevice, TestDevice, TestDevice]
    await notes(a).put('n', { text: 'of a' })
    await exchanged(a, b)
    await exchanged(b, c)
    expect(await notes(c).get('n')).toEqual({ text: 'of a' })
  })

  it('keep the older of two versions in the conflict log, once', async () => {
    const [a, b] = await pair()
    await notes(a).put('n', { text: 'older' })
    pass(a, b)
    await notes(b).put('n', { text: 'newer' })
    await exchanged(a, b)
    await exchanged(b, a)
    expect(await notes(a).get('n')).toEqual({ text: 'newer' })
    expect(await notes(b).get('n')).toEqual({ text: 'newer' })
    expect(await a.vault.conflicts.list()).toMatchObject([{ lost: { text: 'older' } }])
    // Whoever asks has both, and logs it too.
    expect((await b.vault.conflicts.list()).length).toBeLessThanOrEqual(1)
  })

  it('find no conflict where one wrote on top of the other', async () => {
    const [a, b] = await pair()
    await notes(a).put('n', { text: '1' })
    await exchanged(a, b)
    for (const [i, device] of [b, b, a, a, b].entries()) {
      pass(a, b)
      await notes(device).put('n', { text: `${i + 2}` })
      if (i % 2 === 1) await exchanged(a, b)
    }
    await exchanged(a, b)
    expect(await notes(a).get('n')).toEqual({ text: '6' })
    expect(await a.vault.conflicts.list()).toEqual([])
    expect(await b.vault.conflicts.list()).toEqual([])
  })

  it('merge fields that both have written', async () => {
    const [a, b] = await pair()
    await merged(a).put('n', { x: '0', y: '0' })
    await exchanged(a, b)
    pass(a, b)
    await merged(a).update('n', { x: 'a' })
    pass(a, b)
    await merged(b).update('n', { y: 'b' })
    await exchanged(a, b)
    expect(await merged(a).get('n')).toEqual({ x: 'a', y: 'b' })
    expect(await merged(b).get('n')).toEqual({ x: 'a', y: 'b' })
    expect(await a.vault.conflicts.list()).toEqual([])
  })

  it('leave conflicts of a manual collection to the writes that wait, and list what came', async () => {
    const [a, b] = await pair()
    const manual = ({ vault }: TestDevice) =>
      vault.collection<Note>('manual', { conflict: 'manual' })
    await manual(a).put('n', { text: 'of a' })
    pass(a, b)
    await manual(b).put('n', { text: 'of b' })
    const [ofA] = await exchanged(a, b)
    expect(ofA.aside).toBe(1)
    expect(await manual(a).get('n')).toEqual({ text: 'of a' })
    expect(await a.vault.quarantined()).toMatchObject([{ reason: 'writes-wait' }])
  })

  it('set aside what is far ahead of the clock, and show it when its time has come', async () => {
    const [a, b] = await pair()
    b.platform.clockMs += 3_600_000
    await notes(b).put('n', { text: 'of the future' })
    const [ofA] = await exchanged(a, b)
    expect(ofA).toMatchObject({ received: 0, aside: 1 })
    expect(await notes(a).get('n')).toBeUndefined()
    expect(await a.vault.quarantined()).toMatchObject([{ reason: 'clock-ahead' }])
    await notes(a).put('other', { text: 'now' })
    a.platform.clockMs += 3_600_000
    await exchanged(a, b)
    expect(await notes(a).get('n')).toEqual({ text: 'of the future' })
    expect(await a.vault.quarantined()).toEqual([])
  })

  it('bring the longer keychain along, to a device that did not know the other', async () => {
    const { devices } = await makeVault(3, [1, 3, 3])
    const [a, b] = devices as unknown as [TestDevice, TestDevice]
    await notes(b).put('n', { text: 'of b' })
    await exchanged(a, b)
    expect(a.vault.devices()).toHaveLength(3)
    expect(await keychainOf(a)).toEqual(await keychainOf(b))
    expect(await notes(a).get('n')).toEqual({ text: 'of b' })
  })

  it('work over a real socket', async () => {
    const [a, b] = await pair()
    for (let i = 0; i < 300; i++) await notes(a).put(`a${i}`, { text: 'x'.repeat(i * 10) })
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const socket = connect(port, '127.0.0.1')
    const [other] = await accepted
    const ends = [socket, other].map((end) => Duplex.toWeb(end) as unknown as PeerStream)
    const [left, right] = ends as [PeerStream, PeerStream]
    const [ofA, ofB] = await Promise.all([a.vault.exchange(left), b.vault.exchange(right)])
    expect([ofA.sent, ofB.received]).toEqual([300, 300])
    server.close()
  })
})

const keychainOf = ({ store }: TestDevice): Promise<Uint8Array[]> => readKeychainEntries(store)

type Act = {
  device: number
  type: 'put' | 'merge' | 'delete' | 'drop' | 'meet'
  key: string
  n: number
}

const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    device: fc.nat(1),
    type: fc.constantFrom('put', 'put', 'merge', 'merge', 'delete', 'drop', 'meet'),
    key: fc.constantFrom('k0', 'k1', 'k2'),
    n: fc.nat(9),
  }) as fc.Arbitrary<Act>,
  { maxLength: 14 },
)

async function run([a, b]: [TestDevice, TestDevice], steps: readonly Act[]): Promise<void> {
  for (const { device, type, key, n } of steps) {
    pass(a, b)
    const actor = device === 0 ? a : b
    if (type === 'put') await notes(actor).put(key, { text: `${n}` })
    if (type === 'delete') await notes(actor).delete(key)
    if (type === 'drop') await merged(actor).delete(key)
    if (type === 'meet') await exchanged(a, b)
    if (type === 'merge') {
      const before = await merged(actor).get(key)
      await merged(actor).put(key, { ...before, [`f${n % 3}`]: `${device}${n}` })
    }
  }
}

describe('laws of an exchange', () => {
  it('any two states end the same, and stay so', async () => {
    await fc.assert(
      fc.asyncProperty(acts, async (steps) => {
        const devices = await pair()
        await run(devices, steps)
        await exchanged(...devices)
        const [first, second] = await Promise.all(devices.map(shownOf))
        expect(first).toEqual(second)
        await exchanged(...devices)
        const [again, other] = await Promise.all(devices.map(shownOf))
        expect(again).toEqual(first)
        expect(other).toEqual(first)
      }),
      { numRuns: process.env.SLOW === '1' ? 500 : 40 },
    )
  })

  it('cut anywhere and run again, it comes to what it would have come to', async () => {
    await fc.assert(
      fc.asyncProperty(acts, fc.nat(12), fc.boolean(), async (steps, cutAt, isFirst) => {
        const devices = await pair()
        await run(devices, steps)
        const [a, b] = isFirst ? devices : [devices[1], devices[0]]
        await exchange(a, b, (chunk, index) => (index === cutAt ? null : chunk))
        await exchanged(a, b)
        await exchanged(a, b)
        expect(await shownOf(a)).toEqual(await shownOf(b))
        for (const { vault } of devices) expect(await vault.quarantined()).toEqual([])
      }),
      { numRuns: process.env.SLOW === '1' ? 500 : 40 },
    )
  })
})

describe('whoever does not belong there', () => {
  it('with another vault is refused by both, and nothing changes', async () => {
    const [a] = await pair()
    const [b] = await pair()
    await notes(a).put('n', { text: 'x' })
    const before = await contentOf(a.store)
    const ended = await exchange(a, b)
    expect(ended).toMatchObject([
      { reason: { code: 'wrong-vault' } },
      { reason: { code: 'wrong-vault' } },
    ])
    expect(await contentOf(a.store)).toEqual(before)
  })

  it('without a key of a member learns the vault id that it knew, and is told nothing', async () => {
    const { vaultId, devices } = await makeVault(1)
    const [a] = devices as unknown as [TestDevice]
    const foreign = (await pair())[0]
    await notes(a).put('n', { text: 'x' })
    const [left, right] = makeStreams()
    const failed = a.vault.exchange(left).catch((error) => error)
    const said: number[] = []
    const writer = right.writable.getWriter()
    const { deviceId, sign } = { ...foreign.keys, sign: foreign.keys.sign.bind(foreign.keys) }
    const nonce = new Uint8Array(32) as Parameters<typeof encodePeerMessage<'hello'>>[3]
    void writer.write(encodeFrame(encodePeerMessage('hello', 1, vaultId, nonce)))
    void writer.write(encodeFrame(encodePeerMessage('proof', deviceId, sign(new Uint8Array(9)))))
    void writer.write(encodeFrame(encodePeerMessage('standing', 0, null))).catch(() => undefined)
    for await (const chunk of right.readable as unknown as AsyncIterable<Uint8Array>) {
      said.push(chunk[5] as number)
    }
    expect(await failed).toMatchObject({ code: 'not-a-member' })
    // hello, proof, standing and failed: nothing of the keychain or of the records.
    expect(said).toEqual([0, 1, 2, 11])
  })

  it('and claims to be a member that it is not is refused', async () => {
    const { vaultId, chains, devices } = await makeVault(2)
    const [a, b] = devices as unknown as [TestDevice, TestDevice]
    const stranger = await makeVault(1)
    const forged = { ...(stranger.devices[0] as TestDevice).keys, memberId: b.keys.memberId }
    const liar = await openDevice(vaultId, chains[1] as Uint8Array[], b.keys)
    Object.defineProperty(liar.keys, 'sign', { value: forged.sign.bind(forged) })
    const before = await contentOf(a.store)
    const [ofA] = await exchange(a, liar)
    expect(ofA).toMatchObject({ reason: { code: 'not-a-member' } })
    expect(await contentOf(a.store)).toEqual(before)
  })

  it('with a forked keychain is refused, and nothing else is taken', async () => {
    const { vaultId, chains, devices } = await makeVault(3, [2, 2, 3])
    const [a] = devices as unknown as [TestDevice]
    const other = forkOf(vaultId, chains[1] as Uint8Array[], a.keys)
    const fork = await openDevice(vaultId, other, (devices[1] as TestDevice).keys)
    const full = await openDevice(vaultId, chains[2] as Uint8Array[], a.keys)
    await notes(fork).put('n', { text: 'x' })
    const before = await contentOf(full.store)
    for (const [left, right] of [
      [full, fork],
      [fork, full],
    ] as const) {
      const ended = await exchange(left, right)
      expect(ended).toMatchObject([
        { reason: { code: 'keychain-forked' } },
        { reason: { code: 'keychain-forked' } },
      ])
    }
    expect(await contentOf(full.store)).toEqual(before)
  })

  it('a stream that leads back to its own end is noticed', async () => {
    const [a] = await pair()
    const pipe = new TransformStream<Uint8Array, Uint8Array>()
    await expect(a.vault.exchange(pipe)).rejects.toMatchObject({ code: 'malformed' })
  })

  it('whatever byte is changed, or wherever it ends, there is one coded error or none', async () => {
    for (let index = 0; index < 7; index++) {
      for (const at of [0, 2, 4, 5, 6, 40, 80, -1]) {
        const [a, b] = await pair()
        for (const { platform } of [a, b]) platform.silence = soon
        await notes(a).put('n', { text: 'of a' })
        await notes(b).put('m', { text: 'of b' })
        const ended = await exchange(a, b, (chunk, i) => {
          if (i !== index) return chunk
          const spoiled = chunk.slice()
          const place = at < 0 ? spoiled.length - 1 : Math.min(at, spoiled.length - 1)
          spoiled[place] = (spoiled[place] as number) ^ 0x41
          return spoiled
        })
        for (const { platform } of [a, b]) platform.silence = never
        for (const one of ended) {
          if (one.status === 'rejected') expect(typeof one.reason.code).toBe('string')
        }
        // Whatever is shown, a device wrote.
        for (const device of [a, b]) {
          for (const line of await shownOf(device)) expect(line).toMatch(/of [ab]/)
        }
        await exchanged(a, b)
        expect(await shownOf(a)).toEqual(await shownOf(b))
      }
    }
  }, 30_000)

  it('a length that was made up is refused before anything is kept for it', async () => {
    const [a] = await pair()
    const [left, right] = makeStreams()
    const failed = a.vault.exchange(left).catch((error) => error)
    const writer = right.writable.getWriter()
    void writer.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0)).catch(() => undefined)
    const reader = right.readable.getReader()
    while (!(await reader.read()).done);
    expect(await failed).toMatchObject({ code: 'too-large' })
  })
})
