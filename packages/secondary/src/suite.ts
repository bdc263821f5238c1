/**
 * Conformance suite: what every store must do, as tests that a store runs on itself.
 *
 * `describeStore` first names each promise of the port, then lets random sequences of operations
 * run on the store and on a plain sorted model, which must agree (`SLOW=1` for a long run). It
 * needs vitest and fast-check, which are optional peers: a program that only stores does not.
 */

import { decodeUtf8, encodeUtf8, equalBytes } from '@blindcopy/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KeyRange, Store, StoreOp } from './store.ts'
import { checkAgainstModel, collect, inRange, type StoreUnderTest } from './suite-model.ts'

export type { StoreUnderTest } from './suite-model.ts'

/** Runs the suite on stores that `open` makes; each must be empty and independent of the others. */
export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let current: StoreUnderTest
    let store: Store

    beforeEach(async () => {
      current = await open()
      store = current.store
    })
    afterEach(() => store.close())

    describeReads(() => store)
    describeRanges(() => store)
    describePages(() => store)
    describeWrites(() => store)
    describeClosing(() => store)

    it('holds everything after it is opened again, where it is durable', async (context) => {
      if (current.reopen === undefined) return context.skip()
      await store.write([put('kept', 'one'), put('gone', 'two')], { sync: false })
      await store.write([put('kept', 'three'), remove('gone')], { sync: true })
      store = await current.reopen()
      expect(await listed(store, {})).toEqual([['kept', 'three']])
    })

    it('equals a plain sorted model under any sequence of calls', () => checkAgainstModel(open))
  })
}

function describeReads(store: () => Store): void {
  describe('reading', () => {
    it('gives undefined for a key that is not there', async () => {
      expect(await store().get(bytes('nothing'))).toBeUndefined()
      expect(await store().getMany([])).toEqual([])
      expect(await store().getMany([bytes('nothing')])).toEqual([undefined])
    })

    it('gives many values in the order of the keys, twice if asked twice', async () => {
      await store().write([put('a', '1'), put('b', '2'), put('c', '')], { sync: false })
      const keys = ['c', 'none', 'a', 'b', 'a'].map(bytes)
      const values = await store().getMany(keys)
      expect(values.map(textOrNone)).toEqual(['', undefined, '1', '2', '1'])
    })

    it('gives many values of more keys than one synchronous read takes', async () => {
      const ops = numbers(300).map((index) => put(`key${index}`, `${index}`))
      await store().write(ops, { sync: false })
      const values = await store().getMany(ops.map((op) => op.key))
      expect(values.map(textOrNone)).toEqual(numbers(300).map(String))
    })

    it('hands out plain arrays that are the own copies of the caller', async () => {
      await store().write([put('a', '1')], { sync: false })
      const first = [
        await store().get(bytes('a')),
        ...(await store().getMany([bytes('a')])),
        ...(await collect(store().pages({}))).flat(2),
        ...(await collect(store().keyPages({}))).flat(),
      ]
      for (const array of first) {
        expect(array?.constructor).toBe(Uint8Array)
        expect(array?.buffer.byteLength).toBe(array?.byteLength)
        array?.fill(0)
      }
      expect(await listed(store(), {})).toEqual([['a', '1']])
    })
  })
}

function describeRanges(store: () => Store): void {
  describe('ranges', () => {
    it('orders keys byte by byte, a prefix first', async () => {
      const keys = [[0xff, 0xff], [0xff], [0], [0, 0], [1], [0, 0xff], [0x7f], [0x80], [0xff, 0]]
      await store().write(keys.map(putBytes), { sync: false })
      const found = (await collect(store().keyPages({}))).flat().map((key) => [...key])
      const expected = [
        [0],
        [0, 0],
        [0, 0xff],
        [1],
        [0x7f],
        [0x80],
        [0xff],
        [0xff, 0],
        [0xff, 0xff],
      ]
      expect(found).toEqual(expected)
    })

    it('keeps every combination of bounds, forwards, backwards and limited', async () => {
      const names = ['a', 'b', 'ba', 'c', 'd']
      await store().write(
        names.map((name) => put(name, name)),
        { sync: false },
      )
      for (const range of allRanges(['b', 'bb', 'c'])) {
        const expected = inRange(
          names.map((name) => [bytes(name), bytes(name)]),
          range,
        )
        const label = describeRange(range)
        expect((await collect(store().pages(range))).flat(), label).toEqual(expected)
        const keys = (await collect(store().keyPages(range))).flat()
        expect(keys, label).toEqual(expected.map(([key]) => key))
      }
    })

    it('gives no page for an empty range', async () => {
      await store().write([put('a', '1')], { sync: false })
      expect(await collect(store().pages({ gt: bytes('a') }))).toEqual([])
      expect(await collect(store().pages({ gte: bytes('z'), lte: bytes('a') }))).toEqual([])
      expect(await collect(store().pages({ limit: 0 }))).toEqual([])
    })
  })
}

function describePages(store: () => Store): void {
  describe('pages', () => {
    it('hold at most the stated number of entries', async () => {
      await store().write(
        numbers(10).map((index) => put(`${index}`, '')),
        { sync: false },
      )
      const sizes = (await collect(store().pages({}, { entriesMax: 4 }))).map((page) => page.length)
      expect(sizes).toEqual([4, 4, 2])
      const keyPages = await collect(store().keyPages({ limit: 5 }, { entriesMax: 4 }))
      expect(keyPages.map((page) => page.length)).toEqual([4, 1])
    })

    it('hold at most the stated number of bytes, or else one entry', async () => {
      const sizes = [10, 10, 10, 500, 10, 40, 39, 1]
      const ops = sizes.map((size, index) => put(`${index}`, 'x'.repeat(size)))
      await store().write(ops, { sync: false })
      const pages = await collect(store().pages({}, { bytesMax: 50 }))
      expect(pages.flat().length).toBe(sizes.length)
      for (const page of pages) {
        const pageBytes = page.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
        expect(page.length === 1 || pageBytes <= 50).toBe(true)
      }
      expect(pages[0]?.length).toBe(3)
    })

    it('go on over a store that is written meanwhile, and give what stays exactly once', async () => {
      const names = numbers(100).map((index) => `key${String(index).padStart(3, '0')}`)
      const ops = names.map((name) => put(name, 'old'))
      await store().write(ops, { sync: false })
      const found: string[] = []
      for await (const page of store().pages({}, { entriesMax: 7 })) {
        found.push(...page.map(([key]) => text(key)))
        const final = found.at(-1) ?? ''
        // Behind the scan and under it, not before it: a scan of a live store would never end.
        const batch = [put(final, 'new'), put('aaa', 'new'), put('key050+', 'new')]
        await store().write(batch, { sync: false })
      }
      expect(found.filter((name) => names.includes(name))).toEqual(names)
      expect(found).toEqual([...found].sort())
    })

    it('release their iterator when the loop is left early or throws', async () => {
      await store().write(
        numbers(50).map((index) => put(`${index}`, '')),
        { sync: false },
      )
      for await (const _page of store().pages({}, { entriesMax: 1 })) break
      const thrown = (async () => {
        for await (const _page of store().keyPages({}, { entriesMax: 1 })) throw new Error('left')
      })()
      await expect(thrown).rejects.toThrow('left')
      await store().close()
    })
  })
}

function describeWrites(store: () => Store): void {
  describe('writing', () => {
    it('applies a batch in order, also when it names a key twice', async () => {
      await store().write([put('a', '1'), remove('a'), put('b', '1'), put('b', '2')], {
        sync: false,
      })
      expect(await listed(store(), {})).toEqual([['b', '2']])
      await store().write([remove('b'), put('b', '3'), remove('absent')], { sync: true })
      expect(await listed(store(), {})).toEqual([['b', '3']])
    })

    it('takes an empty batch', async () => {
      await store().write([], { sync: true })
      expect(await listed(store(), {})).toEqual([])
    })

    it('shows a batch to readers whole or not at all', async () => {
      const keys = numbers(20).map((index) => bytes(`${index}`))
      const writes = numbers(50).map((round) =>
        store().write(
          keys.map((key) => ({ type: 'put', key, value: bytes(`${round}`) })),
          { sync: false },
        ),
      )
      for (let reads = 0; reads < 50; reads++) {
        const values = (await store().getMany(keys)).map(textOrNone)
        expect(new Set(values).size).toBe(1)
      }
      await Promise.all(writes)
    })

    it('applies writes that were not awaited in the order of the calls', async () => {
      const writes = numbers(100).map((index) =>
        store().write([put('last', `${index}`), put(`${index}`, '')], { sync: index % 10 === 0 }),
      )
      await Promise.all(writes)
      expect(textOrNone(await store().get(bytes('last')))).toBe('99')
      expect((await collect(store().keyPages({}))).flat().length).toBe(101)
    })

    it('keeps large values and empty ones', async () => {
      const large = new Uint8Array(1024 * 1024).map((_, index) => index * 31 + (index >> 8))
      const ops = numbers(3).map(
        (index): StoreOp => ({ type: 'put', key: bytes(`${index}`), value: large }),
      )
      await store().write([...ops, put('empty', '')], { sync: false })
      const read = await store().get(bytes('1'))
      expect(read !== undefined && equalBytes(read, large)).toBe(true)
      expect(await store().get(bytes('empty'))).toEqual(new Uint8Array(0))
      // A mebibyte and its key are more than a default page holds.
      const pages = await collect(store().pages({}))
      expect(pages.map((page) => page.length)).toEqual([1, 1, 1, 1])
    })
  })
}

function describeClosing(store: () => Store): void {
  describe('closing', () => {
    it('refuses every later call with store-closed, and may be repeated', async () => {
      await store().write([put('a', '1')], { sync: false })
      await Promise.all([store().close(), store().close()])
      await store().close()
      const closed = { name: 'StoreError', code: 'store-closed' }
      await expect(store().get(bytes('a'))).rejects.toMatchObject(closed)
      await expect(store().getMany([bytes('a')])).rejects.toMatchObject(closed)
      await expect(store().write([put('a', '2')], { sync: false })).rejects.toMatchObject(closed)
      await expect(collect(store().pages({}))).rejects.toMatchObject(closed)
      await expect(collect(store().keyPages({}))).rejects.toMatchObject(closed)
    })

    it('waits for writes under way, and ends a scan under way with store-closed', async () => {
      await store().write(
        numbers(10).map((index) => put(`${index}`, '')),
        { sync: false },
      )
      const scan = store().pages({}, { entriesMax: 1 })[Symbol.asyncIterator]()
      await scan.next()
      const write = store().write([put('late', '1')], { sync: false })
      await store().close()
      await write
      const rest = async () => {
        while ((await scan.next()).done !== true);
      }
      await expect(rest()).rejects.toMatchObject({ code: 'store-closed' })
    })
  })
}

/** Every way to give or leave out each bound, the direction and a limit. */
function allRanges(names: readonly string[]): KeyRange[] {
  const keys = [undefined, ...names.map(bytes)]
  const ranges: KeyRange[] = []
  for (const lower of ['gte', 'gt'] as const) {
    for (const upper of ['lte', 'lt'] as const) {
      for (const low of keys) {
        for (const high of keys) {
          for (const reverse of [false, true]) {
            const range = {
              ...(low === undefined ? {} : { [lower]: low }),
              ...(high === undefined ? {} : { [upper]: high }),
              reverse,
            }
            ranges.push(range, { ...range, limit: 2 })
          }
        }
      }
    }
  }
  const [low, high] = [bytes('b'), bytes('d')]
  return [...ranges, { gte: low, gt: low, lte: high, lt: high }, { gte: bytes('c'), gt: low }]
}

function describeRange(range: KeyRange): string {
  const parts = Object.entries(range).map(
    ([name, value]) => `${name} ${value instanceof Uint8Array ? text(value) : value}`,
  )
  return parts.join(', ')
}

async function listed(store: Store, range: KeyRange): Promise<[string, string][]> {
  const entries = (await collect(store.pages(range))).flat()
  return entries.map(([key, value]) => [text(key), text(value)])
}

function put(key: string, value: string): StoreOp {
  return { type: 'put', key: bytes(key), value: bytes(value) }
}

function putBytes(key: readonly number[]): StoreOp {
  return { type: 'put', key: Uint8Array.from(key), value: new Uint8Array(0) }
}

function remove(key: string): StoreOp {
  return { type: 'delete', key: bytes(key) }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function bytes(of: string): Uint8Array {
  return encodeUtf8(of)
}

function text(of: Uint8Array): string {
  return decodeUtf8(of)
}

function textOrNone(of: Uint8Array | undefined): string | undefined {
  return of === undefined ? undefined : text(of)
}
