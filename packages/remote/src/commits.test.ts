/** Commits: synced, told when the disk has them, and not when it has not. */
import { createMemoryStore, type StoreOp } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { createCommits, type Written } from './commits.ts'

const put: StoreOp = { type: 'put', key: new Uint8Array(2), value: new Uint8Array(7) }

it('tells how large a write was and how long it took', async () => {
  const store = createMemoryStore()
  const told: Written[] = []
  let ms = 100
  const write: typeof store.write = async (batch, how) => {
    expect(how).toEqual({ sync: true })
    ms += 3
    await store.write(batch, how)
  }
  const parts = { store: { write }, uptimeMs: () => ms, onWrite: (one: Written) => told.push(one) }
  await createCommits(parts).write([put, { type: 'delete', key: new Uint8Array(5) }])
  expect(told).toEqual([{ bytes: 14, ms: 3 }])
  expect(await store.get(put.key)).toEqual(put.value)
})

it('tells nothing of a write that failed, and fails', async () => {
  const told: Written[] = []
  const fails = async (): Promise<void> => {
    throw new Error('no disk')
  }
  const commits = createCommits({ store: { write: fails }, onWrite: (one) => told.push(one) })
  await expect(commits.write([put])).rejects.toThrow('no disk')
  expect(told).toEqual([])
})
