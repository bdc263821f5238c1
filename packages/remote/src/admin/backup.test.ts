/**
 * Backups and restores: what comes back is what was there, whatever was pushed meanwhile, and no
 * damaged file is taken for a whole one.
 */

import { join } from 'node:path'
import { CreateAnswer, chainStart, formatHex, parseVaultId } from '@blindcopy/protocol'
import { createMemoryStore, openLevelStore, remoteKeyspace } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verifySignature } from '../node.ts'
import {
  Device,
  dump,
  makeChain,
  makeEnvelope,
  must,
  openBench,
  random,
  record,
} from '../remote.fixture.ts'
import {
  addVault,
  admin,
  backup,
  contentOf,
  inChunks,
  inspect,
  judge,
  list,
  openFolder,
  openHost,
  openHosted,
  restore,
  write,
} from './admin.fixture.ts'
import { verifyFile } from './verify-file.ts'

const verified = (bytes: Uint8Array) => verifyFile(inChunks(bytes), { verify: verifySignature })

describe('a backup', () => {
  it('comes back elsewhere with everything, under a new SyncId', async () => {
    const hosted = await openHosted()
    const other = await addVault(hosted, 3)
    const file = await backup(hosted)
    const { vaults } = await verified(file)
    expect(vaults.map(({ defects }) => defects)).toEqual([[], []])
    const target = await openHost()
    const restored = await restore(target, file)
    expect(restored.vaults.map(({ outcome }) => outcome)).toEqual(['restored', 'restored'])
    for (const { vaultId, id } of [hosted, other]) {
      expect(await contentOf(target.store, vaultId)).toEqual(await contentOf(hosted.store, vaultId))
      const [before, after] = [await inspect(hosted, id), await inspect(target, id)]
      expect(after).toEqual({ ...before, syncId: after.syncId })
      expect(after.syncId).not.toBe(before.syncId)
    }
    expect(await judge(target)).toEqual({})
  })

  it('of one vault has that one alone, by the beginning of its id', async () => {
    const hosted = await openHosted()
    await addVault(hosted)
    const { vaults } = await verified(
      await backup(hosted, `/vaults/${hosted.id.slice(0, 8)}/backup`),
    )
    expect(vaults.map(({ manifest }) => formatHex(manifest.vaultId))).toEqual([hosted.id])
  })

  it('is skipped while its vault is as it was', async () => {
    const hosted = await openHosted()
    const path = `/vaults/${hosted.id}/backup`
    const { admin: app } = hosted.bench.remote
    const first = await app.request(path)
    await first.arrayBuffer()
    const headers = { 'If-None-Match': first.headers.get('ETag') ?? '' }
    expect((await app.request(path, { headers })).status).toBe(304)
    await write(hosted.device, 1)
    const second = await app.request(path, { headers })
    expect(second.status).toBe(200)
    await second.arrayBuffer()
  })

  it('that is taken while pushes go on is one moment of the vault, and restores to a sound one', async () => {
    const hosted = await openHosted(200)
    let isOver = false
    const pushing = (async () => {
      for (let n = 0; !isOver; n = (n + 1) % 300) await write(hosted.device, n, 2000)
    })()
    const files: Uint8Array<ArrayBuffer>[] = []
    for (let i = 0; i < 4; i++) files.push(await backup(hosted))
    isOver = true
    await pushing
    const seqs: number[] = []
    for (const file of files) {
      const { vaults } = await verified(file)
      expect(vaults[0]?.defects).toEqual([])
      seqs.push(vaults[0]?.manifest.head.seq ?? 0)
      const target = await openHost()
      await restore(target, file)
      expect(await judge(target)).toEqual({})
    }
    expect(new Set(seqs).size).toBe(4)
  })

  it('is found out wherever one byte of it differs, and wherever it is cut', async () => {
    const hosted = await openHosted(1)
    const file = await backup(hosted)
    const sound = await verified(file)
    expect(sound.sizeBytes).toBe(file.length)
    for (let at = 0; at < file.length; at++) {
      const spoiled = file.slice()
      spoiled[at] = (spoiled[at] as number) ^ (1 << (at % 8))
      await expect(verified(spoiled), `byte ${at}`).rejects.toThrow(/backup/)
      const cut = file.slice(0, at)
      await expect(verified(cut), `cut at ${at}`).rejects.toMatchObject({ code: 'backup-cut' })
    }
    const longer = new Uint8Array([...file, 0, 0, 0, 0])
    await expect(verified(longer)).rejects.toThrow(/backup/)
  }, 120_000)

  it('that is damaged leaves nothing behind, and those before it are kept', async () => {
    const hosted = await openHosted()
    await addVault(hosted, 40)
    const file = await backup(hosted)
    const cut = file.slice(0, file.length - 3000)
    const target = await openHost()
    await expect(restore(target, cut)).rejects.toThrow('backup-cut')
    const rows = await list(target)
    expect(rows.map(({ isReadable }) => isReadable)).toEqual(rows.map(() => true))
    expect(rows.length).toBe(1)
    expect(await judge(target)).toEqual({})
    const again = await restore(target, file)
    expect(again.vaults.map(({ outcome }) => outcome)).toEqual(['kept', 'restored'])
    expect(await judge(target)).toEqual({})
  })

  it('is refused where the log is not what its chain says, though every frame is whole', async () => {
    const hosted = await openHosted()
    const entry = await hosted.store.get(hosted.keys.logEntry(3))
    const spoiled = (entry as Uint8Array).slice()
    spoiled[60] = (spoiled[60] as number) ^ 1
    await hosted.store.write([{ type: 'put', key: hosted.keys.logEntry(3), value: spoiled }], {
      sync: true,
    })
    const file = await backup(hosted)
    const { vaults } = await verified(file)
    expect(vaults[0]?.defects.map(({ name }) => name)).toContain('chain-differs')
    const target = await openHost()
    const { vaults: restored } = await restore(target, file)
    expect(restored).toMatchObject([{ outcome: 'refused', why: 'damaged' }])
    expect(await dump(target.store)).toEqual([])
  })
})

describe('a restore', () => {
  it('keeps a vault that has gone on since, and refuses one that went another way', async () => {
    const hosted = await openHosted()
    const file = await backup(hosted)
    await write(hosted.device, 1)
    const before = await inspect(hosted, hosted.id)
    expect((await restore(hosted, file)).vaults).toMatchObject([{ outcome: 'kept' }])
    expect(await inspect(hosted, hosted.id)).toEqual(before)
    const target = await openHost()
    await restore(target, file)
    const there = new Device(target.bench, hosted.chain, hosted.device.signer)
    await there.join()
    await write(there, 2)
    const newer = await backup(hosted)
    const refused = await restore(target, newer)
    expect(refused.vaults).toMatchObject([{ outcome: 'refused', why: 'there' }])
    const { seq } = await inspect(target, hosted.id)
    const stale = await restore(target, newer, `?replace=${hosted.id}:${(seq ?? 0) - 1}`)
    expect(stale.vaults).toMatchObject([{ outcome: 'refused', why: 'there' }])
    const replaced = await restore(target, newer, `?replace=${hosted.id}:${seq}`)
    expect(replaced.vaults).toMatchObject([{ outcome: 'replaced' }])
    expect(await contentOf(target.store, hosted.vaultId)).toEqual(
      await contentOf(hosted.store, hosted.vaultId),
    )
    expect(await judge(target)).toEqual({})
  })

  it('takes only what it is told', async () => {
    const hosted = await openHosted()
    const other = await addVault(hosted)
    const target = await openHost()
    const { vaults } = await restore(target, await backup(hosted), `?only=${other.id}`)
    const outcomes = new Map(vaults.map(({ id, outcome }) => [id, outcome]))
    expect(outcomes.get(other.id)).toBe('restored')
    expect(outcomes.get(hosted.id)).toBe('left-out')
    expect((await list(target)).map(({ id }) => id)).toEqual([other.id])
  })

  it('that was killed leaves no vault, and a device that comes first begins a sound one', async () => {
    const hosted = await openHosted()
    const target = await openHost()
    const { state, ...keys } = hosted.keys
    const batch = []
    for await (const page of hosted.store.pages(keys.all)) {
      for (const [key, value] of page) {
        if (formatHex(key) !== formatHex(state)) batch.push({ type: 'put', key, value } as const)
      }
    }
    await target.store.write(batch, { sync: true })
    expect(await judge(target)).toEqual({ [hosted.id]: ['state-missing'] })
    const device = new Device(target.bench, hosted.chain, hosted.device.signer)
    must(CreateAnswer, await device.create())
    expect(await judge(target)).toEqual({})
  })

  it('answers a body that is no backup with one code, and stores nothing', async () => {
    const target = await openHost()
    for (const body of [new Uint8Array(0), random(5), random(4000), new Uint8Array(5000)]) {
      await expect(restore(target, new Uint8Array(body))).rejects.toThrow(/backup-(damaged|cut)/)
    }
    await expect(admin(target, '/restore', { method: 'POST' })).rejects.toThrow(/malformed|backup/)
    expect(await dump(target.store)).toEqual([])
  })
})

describe('backup and restore', () => {
  it('give the same live set, whatever was pushed in whatever order', async () => {
    const push = fc.array(fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 5 })), {
      minLength: 1,
      maxLength: 6,
    })
    const run = async (pushes: (readonly [number, number])[][], hasId: boolean[]) => {
      const bench = openBench()
      const { chain, device: signer } = makeChain()
      const device = new Device(bench, chain, signer)
      must(CreateAnswer, await device.create())
      await device.join()
      for (const [i, ops] of pushes.entries()) {
        bench.clock.ms += 1
        const id = device.stamp()
        const named = new Map(ops.map(([n, age]) => [n, age]))
        const whole = [...named].map(([n, age]) => {
          const timestamp = hasId[i] === true ? id : device.stamp(bench.clock.ms - age)
          return [makeEnvelope({ recordId: record(n), timestamp })]
        })
        await device.push([hasId[i] === true ? id : null, whole])
      }
      const host = { bench, store: bench.store }
      const file = await backup(host)
      const target = { store: createMemoryStore() }
      const there = { ...target, bench: openBench(target) }
      await restore(there, file)
      const { vaultId } = chain
      expect(await contentOf(there.store, vaultId)).toEqual(await contentOf(bench.store, vaultId))
      expect(await judge(there)).toEqual({})
      const [row] = await list(there)
      expect(row).toEqual((await list(host))[0])
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(push, { minLength: 1, maxLength: 8 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        run,
      ),
      { numRuns: process.env.SLOW === '1' ? 400 : 25 },
    )
  })
})

describe('a removal', () => {
  it('takes a vault away with its ways and its sockets, and nothing of another', async () => {
    const hosted = await openHosted()
    const other = await addVault(hosted)
    const kept = await contentOf(hosted.store, other.vaultId)
    await admin(hosted, `/vaults/${hosted.id}`, { method: 'DELETE' })
    expect((await list(hosted)).map(({ id }) => id)).toEqual([other.id])
    expect(await contentOf(hosted.store, hosted.vaultId)).toEqual([])
    expect(await contentOf(hosted.store, other.vaultId)).toEqual(kept)
    expect(await judge(hosted)).toEqual({})
    expect((await hosted.device.logIn()).problem?.code).toBe('unknown-vault')
    await expect(admin(hosted, `/vaults/${hosted.id}`)).rejects.toThrow('no-such-vault')
    must(CreateAnswer, await hosted.device.create())
    expect(await judge(hosted)).toEqual({})
  })

  it('by reset keeps keychain, quota and what was signed, and begins the log anew', async () => {
    const hosted = await openHosted()
    const quota = { bytesMax: 5_000_000, recordsMax: 70, devicesMax: 3 }
    const body = JSON.stringify(quota)
    await admin(hosted, `/vaults/${hosted.id}/quota`, { method: 'PUT', body })
    const before = await inspect(hosted, hosted.id)
    await admin(hosted, `/vaults/${hosted.id}/reset`, { method: 'POST' })
    const after = await inspect(hosted, hosted.id)
    expect(after).toMatchObject({ records: 0, historyRecords: 0, seq: 1, quota, hasOwnQuota: true })
    expect(after.members).toEqual(before.members)
    expect(after.syncId).not.toBe(before.syncId)
    expect(await judge(hosted)).toEqual({})
    await hosted.device.join()
    await write(hosted.device, 1)
    expect(await judge(hosted)).toEqual({})
  })

  it('by reset that keeps the records changes the SyncId alone', async () => {
    const hosted = await openHosted()
    const before = await contentOf(hosted.store, hosted.vaultId)
    const { syncId } = await inspect(hosted, hosted.id)
    await admin(hosted, `/vaults/${hosted.id}/reset?keep=1`, { method: 'POST' })
    expect(await contentOf(hosted.store, hosted.vaultId)).toEqual(before)
    expect((await inspect(hosted, hosted.id)).syncId).not.toBe(syncId)
  })
})

describe('the names of vaults', () => {
  it('are the beginnings of their ids, when no other begins so', async () => {
    const store = await openLevelStore({ path: join(await openFolder(), 'vaults') })
    const bench = openBench({ store })
    const host = { bench, store }
    for (const last of [1, 2]) {
      const vaultId = parseVaultId(new Uint8Array(32).fill(0xab, 0, 31).fill(last, 31))
      await store.write(
        [{ type: 'put', key: remoteKeyspace(vaultId).logEntry(1), value: random(9) }],
        {
          sync: false,
        },
      )
    }
    const path = (name: string) => `/check?vault=${name}`
    const post = { method: 'POST' }
    await expect(admin(host, path('abab'), post)).rejects.toThrow('vault-ambiguous')
    await expect(admin(host, path('ab'), post)).rejects.toThrow('vault-ambiguous')
    await expect(admin(host, path('ffff'), post)).rejects.toThrow('no-such-vault')
    await expect(admin(host, path('zz'), post)).rejects.toThrow('no-such-vault')
    await expect(admin(host, path('ab'.repeat(32)), post)).rejects.toThrow('no-such-vault')
    const whole = `${'ab'.repeat(31)}01`
    expect(await admin(host, path(whole), post)).toMatchObject([
      { id: whole, defects: [{ name: 'state-missing' }] },
    ])
    await store.close()
  })

  it('refuses a quota that is none', async () => {
    const hosted = await openHosted()
    for (const body of ['', '{}', '[]', '{"bytesMax":0,"recordsMax":1,"devicesMax":1}', '7']) {
      const change = admin(hosted, `/vaults/${hosted.id}/quota`, { method: 'PUT', body })
      await expect(change, body).rejects.toThrow('malformed')
    }
    expect((await inspect(hosted, hosted.id)).hasOwnQuota).toBe(false)
  })
})

it('another process on a restored store serves its whole log', async () => {
  const hosted = await openHosted()
  const target = await openHost()
  await restore(target, await backup(hosted))
  target.bench.restart()
  const device = new Device(target.bench, hosted.chain, hosted.device.signer)
  await device.join()
  const { seq, chain } = device.cursor
  expect({ seq, chain }).toEqual(hosted.device.cursor)
  device.cursor = { seq: 0, chain: chainStart(hosted.vaultId) }
  const frames = await device.pull()
  expect(frames.length).toBe(seq + 1)
  expect(frames.at(-1)?.slice(0, 3)).toEqual([2, seq, chain])
})
