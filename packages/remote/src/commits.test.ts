/** Group commit: what waits together is written together, and each learns how it went. */
import { createMemoryStore, type StoreOp } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { createCommits, OPS_AT_ONCE_MAX } from './commits.ts'

const put = (number: number): StoreOp => ({
  type: 'put',
  key: new Uint8Array([number >> 8, number]),
  value: new Uint8Array([1]),
})

/** A disk whose writes end when the test says so. */
function slowDisk() {
  const store = createMemoryStore()
  const held: (() => void)[] = []
  const written: number[] = []
  let fault: Error | undefined
  return {
    store,
    written,
    fail: (error: Error | undefined) => {
      fault = error
    },
    release: () => held.shift()?.(),
    write: async (batch: readonly StoreOp[], how: { sync: boolean }) => {
      expect(how).toEqual({ sync: true })
      written.push(batch.length)
      await new Promise<void>((resolve) => held.push(resolve))
      if (fault !== undefined) throw fault
      await store.write(batch, how)
    },
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('writes at once while a lane is free, and together what came meanwhile', async () => {
  const disk = slowDisk()
  const told: number[] = []
  const commits = createCommits({ store: disk, onWrite: ({ batches }) => told.push(batches) })
  const done: number[] = []
  const all = [0, 1, 2, 3, 4].map((n) => commits.write([put(n)]).then(() => done.push(n)))
  expect(disk.written).toEqual([1, 1])
  disk.release()
  await turn()
  expect([done, disk.written]).toEqual([[0], [1, 1, 3]])
  disk.release()
  disk.release()
  await Promise.all(all)
  expect(told).toEqual([1, 1, 3])
  for (const n of [0, 1, 2, 3, 4]) expect(await disk.store.get(put(n).key)).toBeDefined()
})

it('fails all that went together, and goes on', async () => {
  const disk = slowDisk()
  const commits = createCommits({ store: disk })
  const first = [commits.write([put(0)]), commits.write([put(1)])]
  const second = [commits.write([put(2)]), commits.write([put(3)])]
  disk.release()
  await first[0]
  disk.fail(new Error('no disk'))
  disk.release()
  disk.release()
  const ends = await Promise.allSettled([...first, ...second])
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', ...Array(3).fill('rejected')])
  disk.fail(undefined)
  const later = commits.write([put(9)])
  disk.release()
  await later
  expect(await disk.store.get(put(9).key)).toBeDefined()
})

it('bounds what goes together, and always writes one', async () => {
  const disk = slowDisk()
  const commits = createCommits({ store: disk })
  const large = Array.from({ length: OPS_AT_ONCE_MAX }, (_, n) => put(n))
  const all = [commits.write([put(0)]), commits.write([put(1)])]
  for (const batch of [large, [put(2)], [put(3)]]) all.push(commits.write(batch))
  for (let i = 0; i < 4; i++) {
    disk.release()
    await turn()
  }
  await Promise.all(all)
  expect(disk.written).toEqual([1, 1, OPS_AT_ONCE_MAX, 2])
})
