/** The memory twin keeps the contract of the port, and is quick enough to stand in for LevelDB. */

import { describe, expect, it } from 'vitest'
import { createMemoryStore } from './memory-store.ts'
import { describeStore } from './suite.ts'

describeStore('memory store', async () => ({ store: createMemoryStore() }))

describe('createMemoryStore', () => {
  it('keeps many chunks in order through writes and deletes at random places', async () => {
    const store = createMemoryStore()
    const count = 20_000
    // A step coprime to the count visits every key once, far from the one before.
    const keyOf = (index: number) => {
      const key = new Uint8Array(4)
      new DataView(key.buffer).setUint32(0, (index * 7919) % count)
      return key
    }
    const indexes = Array.from({ length: count }, (_, index) => index)
    const puts = indexes.map((index) => ({
      type: 'put' as const,
      key: keyOf(index),
      value: keyOf(0),
    }))
    const deletes = indexes
      .filter((index) => index % 3 === 0)
      .map((index) => ({ type: 'delete' as const, key: keyOf(index) }))
    await store.write([...puts, ...deletes], { sync: false })

    for (const reverse of [false, true]) {
      const found: number[] = []
      for await (const page of store.keyPages({ reverse })) {
        found.push(...page.map((key) => new DataView(key.buffer).getUint32(0)))
      }
      expect(found.length).toBe(count - deletes.length)
      const sorted = [...found].sort((left, right) => (reverse ? right - left : left - right))
      expect(found).toEqual(sorted)
    }
  })
})
