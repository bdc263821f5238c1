/**
 * Backups: what goes in comes out, a creation that was cut goes on, a drill tells what changed, and
 * a file that is damaged anywhere is one coded error and changes nothing.
 *
 * Lessons: A21, C2. Decision 0027.
 */
import {
  concat,
  decodePeerMessage,
  encodeUtf8,
  parseVaultId,
  type VaultId,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  contentOf,
  forkOf,
  makeVault,
  openDevice,
  shownOf,
  sourceOf,
  type TestDevice,
} from '../carry/peer.fixture.ts'
import { readKeychainEntries } from '../local/local-reading.ts'
import { backupOfDevice, framesOf, MemoryFile } from './backup.fixture.ts'
import { readBackupKeychain, verifyBackup } from './verify-backup.ts'

type Note = { text: string }

const notes = ({ vault }: TestDevice) => vault.collection<Note>('notes')
const take = ({ vault }: TestDevice, bytes: Uint8Array, size?: number) =>
  vault.backup.take(sourceOf(bytes, size))
const drill = ({ vault }: TestDevice, bytes: Uint8Array) => vault.backup.verify(sourceOf(bytes))
const codeFrom = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'taken',
    (error: { code?: string }) => error.code ?? 'no code',
  )

/** Without a list of a million differences. */
function expectSame(bytes: Uint8Array, other: Uint8Array): void {
  expect(Buffer.compare(bytes, other)).toBe(0)
}

async function single(): Promise<TestDevice> {
  return (await makeVault(1)).devices[0] as TestDevice
}

async function filled(count: number): Promise<TestDevice> {
  const device = await single()
  for (let i = 0; i < count; i++) await notes(device).put(`n${i}`, { text: 'x'.repeat(i * 50) })
  return device
}

const vaultIdOf = ({ vault }: TestDevice): VaultId =>
  parseVaultId(new Uint8Array(Buffer.from(vault.vaultId, 'base64url')))

/** The same device with an empty disk. */
async function emptied(device: TestDevice): Promise<TestDevice> {
  return openDevice(vaultIdOf(device), await readKeychainEntries(device.store), device.keys)
}

/** A frame of a megabyte and more, so that there are several. */
async function withFrames(): Promise<TestDevice> {
  const device = await single()
  for (let i = 0; i < 6; i++) await notes(device).put(`n${i}`, { text: `${i}`.repeat(400_000) })
  await notes(device).put('gone', { text: 'x' })
  await notes(device).delete('gone')
  return device
}

describe('a backup', () => {
  it('gives everything to an empty device, in pieces of any size, and once', async () => {
    const device = await filled(40)
    await notes(device).delete('n7')
    const { bytes, created } = await backupOfDevice(device)
    expect(created).toMatchObject({ count: 40, keptBytes: 0, isAnew: false })
    expect(created.sizeBytes).toBe(bytes.length)
    for (const size of [1, 999, bytes.length]) {
      const other = await emptied(device)
      expect(await take(other, bytes, size)).toMatchObject({ count: 40, received: 40, unopened: 0 })
      expect(await shownOf(other)).toEqual(await shownOf(device))
      const before = await contentOf(other.store)
      expect(await take(other, bytes, size)).toMatchObject({ received: 0, conflicts: 0 })
      expect(await contentOf(other.store)).toEqual(before)
    }
  })

  it('holds nothing that can be read', async () => {
    const device = await single()
    await device.vault.collection('秘密-collection').put('秘密-key', { 秘密: 'canary-in-a-field' })
    const { bytes } = await backupOfDevice(device)
    for (const text of ['秘密', 'canary-in-a-field', 'collection']) {
      expect(Buffer.from(bytes).includes(Buffer.from(encodeUtf8(text))), text).toBe(false)
    }
  })

  it('of a device that is written to meanwhile leaves no record out', async () => {
    const device = await withFrames()
    let isWritten = false
    const file = new MemoryFile()
    await device.vault.backup.create({
      write: async (bytes, offset) => {
        await file.sink.write(bytes, offset)
        if (isWritten) return
        isWritten = true
        for (let i = 0; i < 6; i++) await notes(device).put(`n${i}`, { text: 'later' })
      },
    })
    const other = await emptied(device)
    await take(other, file.bytes)
    expect((await notes(other).list()).length).toBe(6)
    expect(await verifyBackup(sourceOf(file.bytes))).toMatchObject({ count: 7 })
  })

  it('any writes, backed up and taken, are the same records', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      text: fc.option(fc.string({ maxLength: 300 }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.nat(4_000), async (steps, size) => {
        const device = await single()
        for (const { key, text } of steps) {
          device.platform.clockMs += 1_000
          if (text === undefined) await notes(device).delete(key)
          else await notes(device).put(key, { text })
        }
        const { bytes } = await backupOfDevice(device)
        const other = await emptied(device)
        await take(other, bytes, size + 1)
        expect(await shownOf(other)).toEqual(await shownOf(device))
        expect(await drill(device, bytes)).toMatchObject({ unopened: 0, missingInBackup: 0 })
      }),
      { numRuns: process.env.SLOW === '1' ? 500 : 40 },
    )
  })
})

describe('a creation that was cut', () => {
  it('anywhere goes on to the same bytes, and writes only what is missing', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    device.platform.clockMs += 60_000
    const ends = framesOf(bytes).map((_, i, all) => concat(...all.slice(0, i + 1)).length)
    for (const at of [1, 8, 100, ...ends.flatMap((end) => [end - 1, end])]) {
      const file = new MemoryFile(bytes.slice(0, at))
      const { created } = await backupOfDevice(device, file)
      const kept = ends.findLast((end) => end <= at) ?? 0
      const headerEnd = ends[1] as number
      if (at < headerEnd) {
        expect(created).toMatchObject({ keptBytes: 0, isAnew: true })
        expect(await verifyBackup(sourceOf(file.bytes))).toMatchObject({ count: 7 })
        continue
      }
      expectSame(file.bytes, bytes)
      expect(created.isAnew).toBe(false)
      expect(created.keptBytes).toBeLessThanOrEqual(kept)
      expect(file.written).toBe(bytes.length - created.keptBytes)
    }
  })

  it('begins anew when the device has changed, or what is there is another file', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    await notes(device).put('n0', { text: 'changed' })
    const other = await filled(3)
    for (const left of [
      bytes,
      (await backupOfDevice(other)).bytes,
      encodeUtf8('a text'.repeat(9)),
    ]) {
      const file = new MemoryFile(left.slice(0, 5_000))
      const { created } = await backupOfDevice(device, file)
      expect(created).toMatchObject({ isAnew: true, keptBytes: 0 })
      expect(await drill(device, file.bytes)).toMatchObject({ same: 7, newerHere: 0 })
    }
  })

  it('keeps nothing from where the disk has spoiled it', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    for (const at of [bytes.length - 20, 700_000, 2_000_000]) {
      const spoiled = bytes.slice()
      spoiled[at] = (spoiled[at] as number) ^ 1
      const file = new MemoryFile(spoiled)
      const { created } = await backupOfDevice(device, file)
      expectSame(file.bytes, bytes)
      expect(created.keptBytes).toBeLessThanOrEqual(at)
    }
  })

  it('by a full disk says so, and goes on once there is room', async () => {
    const device = await withFrames()
    const file = new MemoryFile(new Uint8Array(0), 1_500_000)
    await expect(backupOfDevice(device, file)).rejects.toThrow('the disk is full')
    const more = new MemoryFile(file.bytes)
    const { created } = await backupOfDevice(device, more)
    expect(created.keptBytes).toBeGreaterThan(400_000)
    expect(await drill(device, more.bytes)).toMatchObject({ opened: 7, unopened: 0, same: 7 })
  })
})

describe('a drill', () => {
  it('tells how old the backup is and what changed since, and changes nothing', async () => {
    const device = await filled(6)
    const { bytes, created } = await backupOfDevice(device)
    device.platform.clockMs += 60_000
    await notes(device).put('n0', { text: 'changed' })
    await notes(device).delete('n1')
    await notes(device).put('more', { text: 'new' })
    const before = await contentOf(device.store)
    const { members: _members, ...found } = await drill(device, bytes)
    expect(found).toEqual({
      vaultId: device.vault.vaultId,
      madeMs: created.madeMs,
      madeBy: device.vault.deviceId,
      ...{ count: 6, deleted: 0, sizeBytes: bytes.length },
      ...{ opened: 6, unopened: 0, unopenedIds: [] },
      ...{ same: 4, newerHere: 2, newerInBackup: 0, missingHere: 0, missingInBackup: 1 },
      keychain: 'same',
    })
    expect(await contentOf(device.store)).toEqual(before)
    const empty = await emptied(device)
    expect(await drill(empty, bytes)).toMatchObject({ missingHere: 6, missingInBackup: 0 })
  })

  it('tells an older, a newer and another list of devices apart', async () => {
    const { vaultId, chains, devices } = await makeVault(3, [3, 2, 3])
    const [a, b] = devices as unknown as [TestDevice, TestDevice]
    const { bytes } = await backupOfDevice(a)
    expect(await drill(b, bytes)).toMatchObject({ keychain: 'newer' })
    expect(await drill(a, (await backupOfDevice(b)).bytes)).toMatchObject({ keychain: 'older' })
    const forked = forkOf(vaultId, chains[1] as Uint8Array[], a.keys)
    const fork = await openDevice(vaultId, forked, b.keys)
    const other = (await backupOfDevice(fork)).bytes
    expect(await drill(a, other)).toMatchObject({ keychain: 'forked' })
    expect(await codeFrom(take(a, other))).toBe('keychain-forked')
  })

  it('needs no key to see that a file is whole, and whose it is', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    const { vaultId, deviceId } = device.vault
    const check = await verifyBackup(sourceOf(bytes))
    expect(check).toMatchObject({ vaultId, madeBy: deviceId, count: 7, deleted: 1 })
    expect(Buffer.from((await readBackupKeychain(sourceOf(bytes))).vaultId)).toEqual(
      Buffer.from(vaultIdOf(device)),
    )
  })
})

describe('a backup that is not what was written', () => {
  const DAMAGED = ['backup-damaged', 'backup-cut', 'unsupported-version', 'wrong-vault']

  async function expectRefused(device: TestDevice, bytes: Uint8Array, codes: readonly string[]) {
    const before = await contentOf(device.store)
    const keyless = codes.filter((code) => code !== 'wrong-vault')
    expect(keyless).toContain(await codeFrom(verifyBackup(sourceOf(bytes))))
    expect(codes).toContain(await codeFrom(drill(device, bytes)))
    expect(codes).toContain(await codeFrom(take(device, bytes)))
    expect(await contentOf(device.store)).toEqual(before)
  }

  it('in any frame, by a bit, a cut, a frame twice, two in another order, or one too few', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    const other = await emptied(device)
    const frames = framesOf(bytes)
    expect(frames.length).toBeGreaterThan(10)
    for (const [i, frame] of frames.entries()) {
      const before = concat(...frames.slice(0, i))
      const after = concat(...frames.slice(i + 1))
      const flipped = frame.slice()
      flipped[frame.length >> 1] = (flipped[frame.length >> 1] as number) ^ 4
      await expectRefused(other, concat(before, flipped, after), [...DAMAGED, 'not-a-member'])
      await expectRefused(other, concat(before, frame.slice(0, -1)), ['backup-cut'])
      await expectRefused(other, before, ['backup-cut'])
      await expectRefused(other, concat(before, frame, frame, after), ['backup-damaged'])
      const isLast = i === frames.length - 1
      await expectRefused(other, concat(before, after), [isLast ? 'backup-cut' : 'backup-damaged'])
      const [next, ...rest] = frames.slice(i + 1)
      if (next === undefined) continue
      await expectRefused(other, concat(before, next, frame, ...rest), DAMAGED)
    }
  }, 120_000)

  it('says at which byte', async () => {
    const device = await withFrames()
    const { bytes } = await backupOfDevice(device)
    const frames = framesOf(bytes)
    const at = concat(...frames.slice(0, -3)).length
    const spoiled = bytes.slice()
    spoiled[at + 500] = (spoiled[at + 500] as number) ^ 1
    // The check behind the frame tells.
    const check = concat(...frames.slice(0, -2)).length
    await expect(verifyBackup(sourceOf(spoiled))).rejects.toMatchObject({
      code: 'backup-damaged',
      details: { at: check },
    })
  })

  it('with any bit of a small one changed is refused', async () => {
    const device = await filled(2)
    const { bytes } = await backupOfDevice(device)
    const other = await emptied(device)
    for (let at = 0; at < bytes.length; at += at < 150 ? 1 : 41) {
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ (1 << (at % 8))
      await expectRefused(other, changed, [...DAMAGED, 'not-a-member'])
    }
  })

  it('of another vault, or none at all, says so', async () => {
    const [a, b] = [await filled(1), await filled(1)]
    const { bytes } = await backupOfDevice(a)
    expect(await codeFrom(take(b, bytes))).toBe('wrong-vault')
    expect(await codeFrom(drill(b, bytes))).toBe('wrong-vault')
    await expectRefused(b, encodeUtf8('{"not":"a backup"}'), ['backup-damaged'])
    await expectRefused(b, new Uint8Array(0), ['backup-cut'])
    const bundle: Uint8Array[] = []
    for await (const chunk of b.vault.exportBundle()) bundle.push(chunk)
    await expectRefused(b, concat(...bundle), ['backup-damaged'])
    expect(decodePeerMessage((framesOf(bytes)[1] as Uint8Array).subarray(4)).kind).toBe('backup')
  })
})
