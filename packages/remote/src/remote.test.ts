import { describe, expect, it } from 'vitest'
import { makeEnvelope, openVault, record } from './remote.fixture.ts'

describe('createRemote', () => {
  it('takes a push and streams it to a device that begins', async () => {
    const { device, bench } = await openVault()
    const id = device.stamp()
    const envelope = makeEnvelope({ recordId: record(1), timestamp: id })
    const [verdict] = await device.push([id, [[envelope]]])
    expect(verdict).toMatchObject({ type: 'applied', seq: 2, stale: [] })
    const frames = await device.pull()
    expect(frames.map(([kind]) => kind)).toEqual([0, 2])
    expect(bench.faults).toEqual([])
  })
})
