/**
 * Bundles: what a file carries from one device to another, in whatever order and however often; and
 * that a file which is cut, changed, made up or of another vault changes nothing.
 */
import {
  bundleSignedBytes,
  concat,
  decodePeerMessage,
  encodeFrame,
  encodePeerMessage,
  encodeUtf8,
  FrameReader,
  type Hash,
  parseVaultId,
  sha256,
  type VaultId,
} from '@blindcopy/protocol'
import type { DeviceKeys } from '@blindcopy/vault'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readKeychainEntries } from '../local/local-reading.ts'
import {
  bundleOf,
  contentOf,
  forkOf,
  makeVault,
  openDevice,
  shownOf,
  sourceOf,
  type TestDevice,
  type TestVault,
} from './peer.fixture.ts'

type Note = { text: string }
type Notes = ReturnType<typeof notes>

const notes = ({ vault }: TestDevice) => vault.collection<Note>('notes')
const merged = ({ vault }: TestDevice) =>
  vault.collection<Record<string, string>>('merged', { conflict: 'merge' })

async function pair(): Promise<[TestDevice, TestDevice]> {
  return (await makeVault(2)).devices as unknown as [TestDevice, TestDevice]
}

function pass(...devices: TestDevice[]): void {
  for (const { platform } of devices) platform.clockMs += 1_000
}

const take = ({ vault }: TestDevice, bytes: Uint8Array, size?: number) =>
  vault.importBundle(sourceOf(bytes, size))

async function carry(from: TestDevice, to: TestDevice) {
  return take(to, await bundleOf(from))
}

describe('a bundle', () => {
  it('brings everything to a device that has nothing, in pieces of any size', async () => {
    const [a] = await pair()
    for (let i = 0; i < 60; i++) await notes(a).put(`n${i}`, { text: 'x'.repeat(i * 100) })
    await notes(a).delete('n7')
    const bytes = await bundleOf(a)
    for (const size of [1, 7, 1_000, bytes.length]) {
      const b = await openDevice(vaultIdOf(a), await chainOf(a), a.keys)
      const report = await take(b, bytes, size)
      expect(report).toMatchObject({ count: 60, received: 60, conflicts: 0, unopened: 0, sent: 0 })
      expect(await shownOf(b)).toEqual(await shownOf(a))
    }
  })

  it('taken twice changes nothing the second time', async () => {
    const [a, b] = await pair()
    await notes(a).put('n', { text: 'a' })
    await merged(a).put('m', { x: '1' })
    pass(a, b)
    await notes(b).put('n', { text: 'b' })
    await merged(b).put('m', { y: '2' })
    await carry(a, b)
    const before = await contentOf(b.store)
    expect(await carry(a, b)).toMatchObject({ received: 0, conflicts: 0 })
    expect(await contentOf(b.store)).toEqual(before)
  })

  it('that is old resurrects nothing, and brings no older text back', async () => {
    const [a, b] = await pair()
    await notes(a).put('gone', { text: 'x' })
    await notes(a).put('changed', { text: 'before' })
    const old = await bundleOf(a)
    await take(b, old)
    pass(a, b)
    await notes(b).delete('gone')
    await notes(b).put('changed', { text: 'after' })
    for (let i = 0; i < 2; i++) {
      await take(b, old)
      expect(await notes(b).get('gone')).toBeUndefined()
      expect(await notes(b).get('changed')).toEqual({ text: 'after' })
    }
    expect(await b.vault.conflicts.list()).toEqual([])
    await carry(b, a)
    await take(a, old)
    expect(await notes(a).get('gone')).toBeUndefined()
  })

  it('of two devices comes to the same in either order', async () => {
    const { devices, vaultId } = await makeVault(3)
    const [a, b, c] = devices as unknown as [TestDevice, TestDevice, TestDevice]
    await notes(a).put('n', { text: 'a' })
    await notes(a).put('only-a', { text: 'a' })
    pass(a, b, c)
    await notes(b).put('n', { text: 'b' })
    const bundles = [await bundleOf(a), await bundleOf(b)]
    const other = await openDevice(vaultId, await chainOf(c), c.keys)
    other.platform.clockMs += 1_000
    for (const bytes of bundles) await take(c, bytes)
    for (const bytes of bundles.reverse()) await take(other, bytes)
    expect(await shownOf(c)).toEqual(await shownOf(other))
  })

  it('meets pending writes by the policy of their collection', async () => {
    const [a, b] = await pair()
    const collections = (device: TestDevice): Record<string, Notes> => ({
      lww: device.vault.collection<Note>('lww'),
      merge: device.vault.collection<Note>('merge', { conflict: 'merge' }) as Notes,
      manual: device.vault.collection<Note>('manual', { conflict: 'manual' }) as Notes,
      custom: device.vault.collection<Note>('custom', {
        conflict: { custom: ({ local }) => local },
      }) as Notes,
    })
    for (const target of Object.values(collections(b))) await target.put('n', { text: 'of b' })
    pass(a, b)
    for (const target of Object.values(collections(a))) await target.put('n', { text: 'of a' })
    const report = await carry(a, b)
    const texts = Object.entries(collections(b)).map(async ([name, target]) => [
      name,
      (await target.get('n'))?.text,
    ])
    expect(Object.fromEntries(await Promise.all(texts))).toEqual({
      lww: 'of a',
      merge: 'of a',
      manual: 'of b',
      custom: 'of b',
    })
    expect(report).toMatchObject({ aside: 2 })
    expect((await b.vault.quarantined()).map(({ reason }) => reason)).toEqual([
      'writes-wait',
      'writes-wait',
    ])
    expect((await b.vault.conflicts.list()).map(({ lost }) => lost)).toContainEqual({
      text: 'of b',
    })
    // Nothing of what waited is lost to the remote.
    expect(b.vault.sync.status.pending).toBeGreaterThanOrEqual(4)
  })

  it('takes back up what was refused only because the clock was wrong', async () => {
    const [a, b] = await pair()
    a.platform.clockMs += 7_200_000
    await notes(a).put('n', { text: 'ahead' })
    expect(await carry(a, b)).toMatchObject({ received: 0, aside: 1 })
    await notes(b).put('m', { text: 'mine' })
    expect((await b.vault.quarantined()).map(({ reason }) => reason)).toEqual(['clock-ahead'])
    b.platform.clockMs += 7_200_000
    await carry(b, b)
    expect(await notes(b).get('n')).toEqual({ text: 'ahead' })
  })

  it('any writes, carried both ways and back, end with the same records', async () => {
    const step = fc.record({
      device: fc.nat(1),
      type: fc.constantFrom('put', 'merge', 'delete', 'carry'),
      key: fc.constantFrom('k0', 'k1'),
      n: fc.nat(9),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const [a, b] = await pair()
        for (const { device, type, key, n } of steps) {
          pass(a, b)
          const [actor, other] = device === 0 ? [a, b] : [b, a]
          if (type === 'put') await notes(actor).put(key, { text: `${n}` })
          if (type === 'delete') await notes(actor).delete(key)
          if (type === 'carry') await carry(actor, other)
          if (type === 'merge') {
            const before = await merged(actor).get(key)
            await merged(actor).put(key, { ...before, [`f${n % 3}`]: `${device}${n}` })
          }
        }
        for (let i = 0; i < 2; i++) {
          await carry(a, b)
          await carry(b, a)
        }
        expect(await shownOf(a)).toEqual(await shownOf(b))
      }),
      { numRuns: process.env.SLOW === '1' ? 500 : 40 },
    )
  })
})

describe('a file that is not what it should be', () => {
  /** Refused with one of these codes, and nothing in the store has changed. */
  async function expectRefused(device: TestDevice, bytes: Uint8Array, ...codes: string[]) {
    const before = await contentOf(device.store)
    const error = await take(device, bytes).then(
      () => ({ code: 'taken' }),
      (reason: { code: string }) => reason,
    )
    expect(codes).toContain(error.code)
    expect(await contentOf(device.store)).toEqual(before)
  }

  it('cut anywhere is incomplete', async () => {
    const [a, b] = await pair()
    for (let i = 0; i < 5; i++) await notes(a).put(`n${i}`, { text: 'x' })
    const bytes = await bundleOf(a)
    const cuts = [0, 1, 7, 8, 9, 12, bytes.length - 1]
    for (let at = 20; at < bytes.length; at += 61) cuts.push(at)
    for (const at of cuts) await expectRefused(b, bytes.slice(0, at), 'bundle-damaged')
    await expectRefused(b, concat(bytes, Uint8Array.of(0)), 'bundle-damaged')
    await expectRefused(b, concat(bytes, bytes), 'bundle-damaged')
  })

  it('with any bit changed is refused', async () => {
    const [a, b] = await pair()
    for (let i = 0; i < 3; i++) await notes(a).put(`n${i}`, { text: 'x' })
    const bytes = await bundleOf(a)
    for (let at = 0; at < bytes.length; at += at < 100 ? 1 : 53) {
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ (1 << (at % 8))
      const codes = ['bundle-damaged', 'wrong-vault', 'unsupported-version', 'not-a-member']
      await expectRefused(b, changed, ...codes)
    }
  })

  it('of another vault, or of no vault, says so', async () => {
    const [a] = await pair()
    const [b] = await pair()
    await expectRefused(b, await bundleOf(a), 'wrong-vault')
    await expectRefused(b, encodeUtf8('{"not":"a bundle"}'), 'bundle-damaged')
    await expectRefused(b, new Uint8Array(5_000_000), 'bundle-damaged')
  })

  it('with a length that was made up, or envelopes in the wrong place, is refused', async () => {
    const [a, b] = await pair()
    const bytes = await bundleOf(a)
    const huge = bytes.slice()
    huge.fill(0xff, 8, 12)
    await expectRefused(b, huge, 'bundle-damaged')
    const { head } = await partsOf(a)
    const frames = [encodePeerMessage('taken'), encodePeerMessage('header', 1, ...headOf(head))]
    for (const frame of frames)
      await expectRefused(b, await made(a, [head, frame]), 'bundle-damaged')
    await expectRefused(b, await made(a, []), 'bundle-damaged')
  })

  it('put together of parts of others is refused, unless a member signs it', async () => {
    const vault = await makeVault(2)
    const [a, b] = vault.devices as unknown as [TestDevice, TestDevice]
    await notes(a).put('n', { text: 'x' })
    await notes(a).put('m', { text: 'y' })
    const { head, envelopes } = await partsOf(a)
    const [first, second] = envelopes as [Uint8Array, Uint8Array]
    const swapped = [concat(first.slice(0, 62), second.slice(62)), first.slice(0, 50), second]
    const frames = [head, encodePeerMessage('envelopes', swapped, false)]
    const stranger = ((await makeVault(1)) as TestVault).devices[0] as TestDevice
    await expectRefused(b, await made(a, frames, stranger.keys), 'not-a-member')
    // A member may spoil what it signs: what does not open is counted, and nothing is kept of it.
    const report = await take(b, await made(a, frames))
    expect(report).toMatchObject({ received: 1, unopened: 2 })
    expect(await b.vault.quarantined()).toEqual([])
  })

  it('with another keychain is a fork, and nothing is taken', async () => {
    const { vaultId, chains, devices } = await makeVault(3, [2, 2, 3])
    const [a] = devices as unknown as [TestDevice]
    const full = await openDevice(vaultId, chains[2] as Uint8Array[], a.keys)
    const forked = forkOf(vaultId, chains[1] as Uint8Array[], a.keys)
    const fork = await openDevice(vaultId, forked, (devices[1] as TestDevice).keys)
    await notes(fork).put('n', { text: 'x' })
    await expectRefused(full, await bundleOf(fork), 'keychain-forked')
  })
})

/** A bundle of these frames, signed by `keys`, which are a device's own unless they are given. */
async function made(
  device: TestDevice,
  frames: readonly Uint8Array[],
  signer: DeviceKeys = device.keys,
): Promise<Uint8Array> {
  const vaultId = vaultIdOf(device)
  let digest: Hash = sha256(encodeUtf8('bcbundle'))
  for (const frame of frames) digest = sha256(concat(digest, sha256(frame)))
  const { memberId } = signer
  const signature = signer.sign(bundleSignedBytes({ vaultId, memberId, digest }))
  const end = encodePeerMessage('end', 3, digest, memberId, signature)
  return concat(encodeUtf8('bcbundle'), ...[...frames, end].map(encodeFrame))
}

/** The header of a bundle as it stands, and the envelopes that the device has stored. */
async function partsOf(device: TestDevice): Promise<{ head: Uint8Array; envelopes: Uint8Array[] }> {
  const reader = new FrameReader(10_000_000)
  const [head] = reader.push((await bundleOf(device)).slice(8)) as [Uint8Array]
  const envelopes: Uint8Array[] = []
  for await (const page of device.store.pages({ gte: encodeUtf8('v'), lt: encodeUtf8('w') })) {
    envelopes.push(...page.map(([, envelope]) => envelope))
  }
  return { head, envelopes }
}

function headOf(head: Uint8Array): [VaultId, number, number] {
  const { kind, content } = decodePeerMessage(head)
  if (kind !== 'header') throw new Error('a bundle begins with its header')
  const [, ...rest] = content
  return rest
}

const vaultIdOf = ({ vault }: TestDevice): VaultId =>
  parseVaultId(new Uint8Array(Buffer.from(vault.vaultId, 'base64url')))

const chainOf = ({ store }: TestDevice): Promise<Uint8Array[]> => readKeychainEntries(store)
