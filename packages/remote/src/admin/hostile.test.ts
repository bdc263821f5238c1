/**
 * What a hostile or broken hand may bring to the administration: files whose every digest is right
 * and whose content is not, and sockets of devices that are there while a vault goes.
 */
import { concat, encodeCbor, encodeFrame, encodeUtf8, type Hash, sha256 } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { joinSocket } from '../live.fixture.ts'
import { verifySignature } from '../node.ts'
import { dump } from '../remote.fixture.ts'
import {
  admin,
  backup,
  type Hosted,
  inChunks,
  judge,
  openHost,
  openHosted,
  restore,
} from './admin.fixture.ts'
import { type FilePart, readRemoteFile, writeRemoteFile } from './remote-file.ts'
import { encodePart } from './remote-file-part.ts'
import { verifyFile } from './verify-file.ts'

/** A file of any items, each with the digest that belongs to it. */
function fileOf(items: readonly unknown[]): Uint8Array<ArrayBuffer> {
  const magic = encodeUtf8('bcremote')
  let digest: Hash = sha256(magic)
  const frames = items.map((one) => {
    const item = encodeCbor(one)
    digest = sha256(concat(digest, sha256(item)))
    return encodeFrame(concat(item, digest))
  })
  return new Uint8Array(concat(magic, ...frames))
}

async function partsOf(hosted: Hosted): Promise<FilePart[]> {
  const parts: FilePart[] = []
  for await (const part of readRemoteFile(inChunks(await backup(hosted)))) parts.push(part)
  return parts
}

/** A file of one vault, made of parts that were changed. */
async function rewritten(parts: readonly FilePart[]): Promise<Uint8Array<ArrayBuffer>> {
  const inside = parts.filter(({ type }) => !/^(header|vault|vault-end|end)$/.test(type))
  const manifest = parts.find((part) => part.type === 'vault')?.manifest
  if (manifest === undefined) throw new Error('no manifest')
  const chunks: Uint8Array[] = []
  async function* each<T>(...values: T[]): AsyncGenerator<T> {
    yield* values
  }
  for await (const chunk of writeRemoteFile(1, each({ manifest, parts: each(...inside) }))) {
    chunks.push(chunk)
  }
  return new Uint8Array(concat(...chunks))
}

const verified = (bytes: Uint8Array) => verifyFile(inChunks(bytes), { verify: verifySignature })

describe('a file whose digests are right', () => {
  it('and whose items are anything at all, is refused with a code, and stores nothing', async () => {
    const target = await openHost()
    const any = fc.oneof(
      fc.integer({ min: 0, max: 8 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.constant(null),
      fc.string({ maxLength: 5 }),
      fc.array(fc.oneof(fc.integer(), fc.uint8Array({ maxLength: 20 })), { maxLength: 4 }),
    )
    const item = fc.tuple(fc.nat({ max: 8 }), fc.array(any, { maxLength: 16 }))
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 5 }), async (items) => {
        const file = fileOf([[0, 1, 5], ...items.map(([kind, rest]) => [kind, ...rest])])
        const whole = JSON.stringify(items) === '[[7,[0]]]'
        if (whole) return
        const code = expect.stringMatching(/^backup-(damaged|cut)$/)
        await expect(verified(file)).rejects.toMatchObject({ code })
        await expect(restore(target, file)).rejects.toThrow(/^backup-(damaged|cut)$/)
      }),
      { numRuns: process.env.SLOW === '1' ? 2000 : 150 },
    )
    expect(await dump(target.store)).toEqual([])
  })

  it('and of a later version, says that this program is to be updated', async () => {
    const file = fileOf([[0, 2, 5, 'more'], [99]])
    await expect(verified(file)).rejects.toMatchObject({ code: 'unsupported-version' })
    const target = await openHost()
    await expect(restore(target, file)).rejects.toThrow('unsupported-version')
  })

  it('and whose parts are out of order, or too few, is refused', async () => {
    const parts = (await partsOf(await openHosted())).map((part) => encodePart(part))
    expect((await verified(fileOf(parts))).vaults.length).toBe(1)
    for (let at = 0; at < parts.length; at++) {
      const without = parts.filter((_, i) => i !== at)
      await expect(verified(fileOf(without)), `without ${at}`).rejects.toThrow(/backup/)
      const twice = [...parts.slice(0, at + 1), ...parts.slice(at)]
      await expect(verified(fileOf(twice)), `twice ${at}`).rejects.toThrow(/backup/)
    }
  })

  it('and whose vault lies about itself, is refused or put right', async () => {
    const hosted = await openHosted()
    const parts = await partsOf(hosted)
    const spoil = (type: FilePart['type'], how: (part: never) => FilePart): FilePart[] =>
      parts.map((part) => (part.type === type ? how(part as never) : part))
    type Of<T extends FilePart['type']> = Extract<FilePart, { type: T }>
    const fatal: FilePart[][] = [
      spoil('keychain', (part: Of<'keychain'>) => ({ ...part, entries: part.entries.slice(1) })),
      spoil('keychain', (part: Of<'keychain'>) => ({ ...part, entries: [] })),
      spoil('log', (part: Of<'log'>) => ({ ...part, items: part.items.slice(1) })),
      spoil('log', (part: Of<'log'>) => ({ ...part, items: [...part.items].reverse() })),
      spoil('log', (part: Of<'log'>) => ({ ...part, items: [...part.items, ...part.items] })),
      parts.filter(({ type }) => type !== 'log'),
    ]
    for (const changed of fatal) {
      const file = await rewritten(changed)
      expect((await verified(file)).vaults[0]?.defects.length).toBeGreaterThan(0)
      const target = await openHost()
      expect((await restore(target, file)).vaults).toMatchObject([
        { outcome: 'refused', why: 'damaged' },
      ])
      expect(await dump(target.store)).toEqual([])
    }
    const mended: FilePart[][] = [
      spoil('log', (part: Of<'log'>) => ({
        ...part,
        items: part.items.map((item) => ({ ...item, live: [] })),
      })),
      spoil('log', (part: Of<'log'>) => ({
        ...part,
        items: part.items.map(({ live, ...item }) => ({ ...item, live: [...live, ...live] })),
      })),
      parts.filter(({ type }) => type !== 'history' && type !== 'checkpoints'),
    ]
    for (const changed of mended) {
      const target = await openHost()
      const { vaults } = await restore(target, await rewritten(changed))
      expect(vaults).toMatchObject([{ outcome: 'restored' }])
      expect(vaults[0]?.defects.length).toBeGreaterThan(0)
      expect(await judge(target)).toEqual({})
    }
  })
})

describe('a live socket', () => {
  it('is closed when its vault is deleted, reset or replaced, and told why', async () => {
    const changes = [
      ['DELETE', '', 'unknown-vault'],
      ['POST', '/reset', 'sync-id-mismatch'],
      ['POST', '/reset?keep=1', 'sync-id-mismatch'],
    ] as const
    for (const [method, path, reason] of changes) {
      const hosted = await openHosted()
      const socket = await joinSocket(hosted.device)
      expect(socket.closed).toBeUndefined()
      await admin(hosted, `/vaults/${hosted.id}${path}`, { method })
      expect(socket.closed?.reason, path).toBe(reason)
    }
    const hosted = await openHosted()
    const file = await backup(hosted)
    await admin(hosted, `/vaults/${hosted.id}/reset`, { method: 'POST' })
    const socket = await joinSocket(await hosted.device.join())
    await restore(hosted, file, `?replace=${hosted.id}`)
    expect(socket.closed?.reason).toBe('sync-id-mismatch')
  })
})
