/**
 * The keyed set: carried on batch by batch it is what one count of the rows gives, also after a
 * restart, a write that failed, a batch too large to follow, and a new epoch.
 */
import {
  concat,
  type MemberId,
  type RecordId,
  sha256,
  TIMESTAMP_NONE,
  type Timestamp,
  type VaultId,
} from '@blindcopy/protocol'
import { createMemoryStore, metaKey, type Store } from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyedSetOf } from './keyed-count.ts'
import { LocalState } from './local-state.ts'

const vaultId = new Uint8Array(32).fill(1) as VaultId
let epoch = 1
let hashCount = 0
const pairHash = () => ({
  epoch,
  hash: (pair: Uint8Array): Uint8Array => {
    hashCount++
    return sha256(concat(Uint8Array.of(epoch), pair))
  },
})

const openState = (store: Store, hash: typeof pairHash | undefined = pairHash) =>
  LocalState.open({
    store,
    vaultId,
    clockIdentity: { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) },
    nowMs: () => 1,
    pairHash: hash,
  })

const idOf = (n: number): RecordId => {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(0, n * 2_654_435_761)
  return id as RecordId
}
const timeOf = (n: number): Timestamp =>
  n === 0 ? TIMESTAMP_NONE : (new Uint8Array(16).fill(n) as Timestamp)

/** Each change confirms another version of a record; version 0 is none. */
async function confirm(
  state: LocalState,
  changes: readonly (readonly [record: number, version: number])[],
): Promise<void> {
  await state.run(async () => {
    const batch = await state.readRows(changes.map(([record]) => idOf(record)))
    for (const [record, version] of changes) {
      const slot = batch.slotOf(idOf(record))
      const before = slot.row.confirmed
      if (Buffer.compare(before, timeOf(version)) === 0) continue
      batch.confirm(idOf(record), before, timeOf(version))
      batch.setRow(slot, { ...slot.row, confirmed: timeOf(version) })
    }
    await state.write(batch)
  })
}

const change = fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 5 }))
const step = fc.oneof(
  { weight: 8, arbitrary: fc.array(change, { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constant('reopen' as const) },
  { weight: 1, arbitrary: fc.constant('epoch' as const) },
)

describe('the keyed set', () => {
  it('is what a count of the rows gives, whatever came before', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        epoch = 1
        const store = createMemoryStore()
        let state = await openState(store)
        for (const one of steps) {
          if (one === 'epoch') epoch++
          else if (one === 'reopen') state = await openState(store)
          else await confirm(state, one)
          const carried = await keyedSetOf(state)
          expect(carried).toEqual(await keyedSetOf(state, { isAnew: true }))
          expect(carried?.epoch).toBe(epoch)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('begins with the first version: one hash a change, and no scan for it', async () => {
    const state = await openState(createMemoryStore())
    hashCount = 0
    await confirm(state, [
      [1, 1],
      [2, 1],
    ])
    expect(hashCount).toBe(2)
    await keyedSetOf(state)
    expect(hashCount).toBe(2)
    await confirm(state, [[1, 2]])
    expect(hashCount).toBe(4)
    // Without changes of what is confirmed, nothing at all.
    await confirm(state, [[1, 2]])
    expect(hashCount).toBe(4)
  })

  it('is dropped by a batch of many, and counted when it is next asked for', async () => {
    const state = await openState(createMemoryStore())
    await confirm(state, [[1, 1]])
    const one = await keyedSetOf(state)
    hashCount = 0
    const many = Array.from({ length: 2_001 }, (_, n) => [n + 2, 1] as const)
    await confirm(state, many)
    expect(hashCount).toBe(0)
    expect(state.keyedSet).toBeNull()
    // Nor does the next batch make one of a part.
    await confirm(state, [[1, 2]])
    expect(state.keyedSet).toBeNull()
    expect((await keyedSetOf(state))?.sum).not.toEqual(one?.sum)
    expect(hashCount).toBe(2_002)
  })

  it('is as it was when a write fails', async () => {
    const store = createMemoryStore()
    const state = await openState(store)
    await confirm(state, [[1, 1]])
    const before = await keyedSetOf(state)
    const write = store.write.bind(store)
    store.write = async () => {
      throw new Error('the disk is full')
    }
    await expect(confirm(state, [[1, 2]])).rejects.toThrow('the disk is full')
    store.write = write
    expect(state.keyedSet).toEqual(before)
    expect(await keyedSetOf(state, { isAnew: true })).toEqual(before)
  })

  it('is counted again when the disk has spoiled what was carried on', async () => {
    const store = createMemoryStore()
    const state = await openState(store)
    await confirm(state, [[1, 1]])
    const set = await keyedSetOf(state)
    const key = metaKey('keyed-set')
    const value = (await store.get(key)) as Uint8Array
    for (let i = 0; i < value.length; i++) {
      const spoiled = value.with(i, (value[i] as number) ^ 1)
      await store.write([{ type: 'put', key, value: spoiled }], { sync: false })
      const again = await openState(store)
      expect(again.keyedSet).toBeNull()
      expect(await keyedSetOf(again)).toEqual(set)
    }
  })

  it('is not there without keys, and comes back with them', async () => {
    const store = createMemoryStore()
    const state = await openState(store)
    await confirm(state, [[1, 1]])
    await keyedSetOf(state)
    const locked = await openState(store, (() => null) as never)
    expect(await keyedSetOf(locked)).toBeNull()
    await confirm(locked, [[1, 2]])
    const again = await openState(store)
    expect(await keyedSetOf(again)).toEqual(await keyedSetOf(again, { isAnew: true }))
  })

  it('is not made of a set that was miscounted: that is counted again first, and told', async () => {
    const state = await openState(createMemoryStore())
    await confirm(state, [[1, 1]])
    state.confirmedSet.count = 7
    state.confirmedSet.fingerprint.add(new Uint8Array(32).fill(3))
    expect(await keyedSetOf(state, { isAnew: true })).toBeNull()
    expect(state.confirmedSet.count).toBe(1)
    expect(state.notices.map(({ code }) => code)).toEqual(['mismatch-healed'])
    expect(await keyedSetOf(state)).not.toBeNull()
  })
})
