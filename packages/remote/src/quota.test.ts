/** Quotas: one transaction is refused and the others flow; what frees room is always taken. */
import { formatHex, type Timestamp, type Verdict } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { LIMITS_DEFAULT } from './limits.ts'
import { decodeQuota, encodeQuota, type Quota } from './quota.ts'
import { type Device, dump, makeEnvelope, openVault, record } from './remote.fixture.ts'

const open = (quota: Partial<Quota>) =>
  openVault({
    limits: {
      ...LIMITS_DEFAULT,
      quota: { ...LIMITS_DEFAULT.quota, ...quota },
      history: { retentionMs: 0, bytesMax: 0 },
    },
  })

function writing(device: Device, number: number, sizeBytes = 400): unknown {
  const id = device.stamp()
  return [id, [[makeEnvelope({ recordId: record(number), timestamp: id, sizeBytes })]]]
}

function deleting(device: Device, number: number): unknown {
  const id = device.stamp()
  const facts = { recordId: record(number), timestamp: id, tombstone: true }
  return [id, [[makeEnvelope(facts)]]]
}

const typesOf = (verdicts: readonly Verdict[]): string[] =>
  verdicts.map((verdict) => (verdict.type === 'refused' ? verdict.code : verdict.type))

describe('a vault that is full', () => {
  it('takes no record beyond its quota, and the rest of the push', async () => {
    const { device } = await open({ recordsMax: 2 })
    const verdicts = await device.push(
      writing(device, 1),
      writing(device, 2),
      writing(device, 3),
      writing(device, 1),
    )
    expect(typesOf(verdicts)).toEqual(['applied', 'applied', 'quota-exceeded', 'applied'])
    expect(verdicts[2]).toMatchObject({ details: { what: 'records', max: 2 } })
  })

  it('takes no bytes beyond its quota, at the byte', async () => {
    // Creation has one log entry of 41 bytes; a transaction has one of 67.
    const exact = 41 + 67 + 400
    const { device: fits } = await open({ bytesMax: exact })
    expect(typesOf(await fits.push(writing(fits, 1)))).toEqual(['applied'])
    const { device: over, bench } = await open({ bytesMax: exact - 1 })
    const before = await dump(bench.store)
    expect(typesOf(await over.push(writing(over, 1)))).toEqual(['quota-exceeded'])
    expect(await dump(bench.store)).toEqual(before)
  })

  it('takes what makes it smaller, and then has room again', async () => {
    const { device } = await open({ bytesMax: 3_550 })
    const verdicts = await device.push(...[1, 2, 3, 4, 5].map((i) => writing(device, i, 800)))
    expect(typesOf(verdicts)).toEqual([...Array(4).fill('applied'), 'quota-exceeded'])
    expect(typesOf(await device.push(writing(device, 1, 334)))).toEqual(['applied'])
    expect(typesOf(await device.push(writing(device, 2, 334)))).toEqual(['applied'])
    expect(typesOf(await device.push(writing(device, 5, 334)))).toEqual(['applied'])
  })

  it('takes no endless row of writes that only fill the log', async () => {
    const { device } = await open({ bytesMax: 4_000 })
    let taken = 0
    for (let i = 0; i < 100; i++) {
      const [type] = typesOf(await device.push(writing(device, 1)))
      if (type === 'quota-exceeded') break
      taken++
    }
    expect(taken).toBeGreaterThan(30)
    expect(taken).toBeLessThan(70)
  })
})

describe('a delete in a full vault', () => {
  it('is taken after edits have taken all room there was', async () => {
    const { device } = await open({ bytesMax: 8_000 })
    let edits = 0
    for (let i = 0; i < 14; i++) await device.push(writing(device, i, 334))
    while (typesOf(await device.push(writing(device, 1, 334)))[0] === 'applied') edits++
    expect(edits).toBeGreaterThan(20)
    for (let i = 0; i < 14; i++) {
      expect(typesOf(await device.push(deleting(device, i)))).toEqual(['applied'])
    }
  })

  it('is taken for all of its records, of the smallest size, one after the other', async () => {
    const { device } = await open({ bytesMax: 20_000 })
    const ops = (id: Timestamp) =>
      Array.from({ length: 56 }, (_, i) => [
        makeEnvelope({ recordId: record(i), timestamp: id, sizeBytes: 334 }),
      ])
    const id = device.stamp()
    expect(typesOf(await device.push([id, ops(id)]))).toEqual(['applied'])
    for (let i = 0; i < 56; i++) {
      expect(typesOf(await device.push(deleting(device, i)))).toEqual(['applied'])
    }
  })

  it('is taken where it makes room, however far above its quota the vault is', async () => {
    const { device, bench, chain } = await open({})
    for (let i = 0; i < 10; i++) await device.push(writing(device, i, 3_700))
    const quota = { bytesMax: 5_000, recordsMax: 1_000, devicesMax: 64 }
    await bench.remote.admin.request(`/vaults/${formatHex(chain.vaultId)}/quota`, {
      method: 'PUT',
      body: JSON.stringify(quota),
    })
    expect(typesOf(await device.push(writing(device, 1, 3_700)))).toEqual(['quota-exceeded'])
    for (let i = 0; i < 10; i++) {
      expect(typesOf(await device.push(deleting(device, i)))).toEqual(['applied'])
    }
  })
})

describe('a quota of its own', () => {
  it('is encoded as it is read, and all zero is none', () => {
    const quota = { bytesMax: 2 ** 40 + 3, recordsMax: 7, devicesMax: 64 }
    expect(decodeQuota(encodeQuota(quota))).toEqual(quota)
    expect(decodeQuota(new Uint8Array(18))).toBeUndefined()
  })
})
