/**
 * Records that a disk has spoiled: they hide nothing else, and come back from the remote (lessons
 * C.1 in the small: detect, verify, heal).
 */
import { codeOf } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { type Device, makeWorld, refusal } from '../simulation/world.ts'

const VERSION_SECTION = 'v'.charCodeAt(0)

/** Flips one byte of every stored version but the first. Returns how many were spoiled. */
async function spoil(device: Device): Promise<number> {
  const versions = (await device.disk.entries()).filter(([key]) => key[0] === VERSION_SECTION)
  const spoiled = versions.slice(1).map(([key, value]) => {
    const other = value.slice()
    other[other.length - 1] = (other[other.length - 1] as number) ^ 1
    return { type: 'put', key, value: other } as const
  })
  await device.disk.records.write(spoiled, { sync: false })
  return spoiled.length
}

async function preparedVault() {
  const world = makeWorld(11)
  const device = world.makeDevice()
  const { vault } = await device.create()
  const notes = vault.collection<{ n: number }>('notes')
  for (let n = 0; n < 5; n++) await notes.put(`note ${n}`, { n })
  await vault.sync.once()
  return { device, vault, notes }
}

describe('records that the disk has spoiled', () => {
  it('are left out of lists, refused by name, and fetched again with the next sync', async () => {
    const { device, vault, notes } = await preparedVault()
    expect(await spoil(device)).toBe(4)
    const listed = (await notes.list()).map(({ key }) => key)
    expect(listed).toHaveLength(1)
    const lost = ['note 0', 'note 1', 'note 2', 'note 3', 'note 4'].filter(
      (key) => !listed.includes(key),
    )
    expect(codeOf(await refusal(notes.get(lost[0] as string)))).toBe('tampered')
    await vault.sync.once()
    expect((await notes.list()).map(({ fields }) => fields.n)).toEqual([0, 1, 2, 3, 4])
    expect(await notes.get(lost[0] as string)).toBeDefined()
    expect(vault.sync.status.notices.map(({ code }) => code)).toContain('record-repaired')
  })

  it('stay as they are while the remote serves something else in their place', async () => {
    const { device, vault, notes } = await preparedVault()
    await spoil(device)
    const [intact] = await notes.list()
    device.network.fetch = async (request, carry) => {
      if (!request.url.endsWith('/v1/records')) return carry(request)
      return new Response('no', { status: 503 })
    }
    await vault.sync.once().catch(() => undefined)
    expect(await notes.list()).toEqual([intact])
  })
})
