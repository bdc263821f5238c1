/** Quotas: one transaction is refused and the others flow; what frees room is always taken. */
import type { Verdict } from '@blindcopy/protocol'
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

describe('a quota of its own', () => {
  it('is encoded as it is read, and all zero is none', () => {
    const quota = { bytesMax: 2 ** 40 + 3, recordsMax: 7, devicesMax: 64 }
    expect(decodeQuota(encodeQuota(quota))).toEqual(quota)
    expect(decodeQuota(new Uint8Array(18))).toBeUndefined()
  })
})
