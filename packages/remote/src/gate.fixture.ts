/** Gate fixture: a store that can be held at a call, so that a test says what comes between. */
import { createMemoryStore, type Store } from '@blindcopy/secondary'

/** Before a read, before a write, and when a write is on the disk but nobody knows it yet. */
export type GatePoint = 'get' | 'write' | 'written'

export type Held = {
  /** Resolves when the call is there. */
  readonly reached: Promise<void>
  release(): void
}

export type GatedStore = {
  readonly store: Store
  /** The next call that comes to the point waits there until it is released. */
  hold(point: GatePoint): Held
}

export function gateStore(inner: Store = createMemoryStore()): GatedStore {
  const gates = new Map<GatePoint, () => Promise<void>>()
  const pass = async (point: GatePoint): Promise<void> => {
    const gate = gates.get(point)
    gates.delete(point)
    await gate?.()
  }
  const store: Store = {
    async get(key) {
      await pass('get')
      return inner.get(key)
    },
    getMany: (keys) => inner.getMany(keys),
    pages: (range, bounds) => inner.pages(range, bounds),
    keyPages: (range, bounds) => inner.keyPages(range, bounds),
    async write(batch, options) {
      await pass('write')
      await inner.write(batch, options)
      await pass('written')
    },
    close: () => inner.close(),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
  function hold(point: GatePoint): Held {
    const reached = makeLatch()
    const released = makeLatch()
    gates.set(point, () => {
      reached.release()
      return released.promise
    })
    return { reached: reached.promise, release: released.release }
  }
  return { store, hold }
}

export type Latch = { readonly promise: Promise<void>; release(): void }

export function makeLatch(): Latch {
  let release = (): void => {}
  const promise = new Promise<void>((resolve) => {
    release = resolve
  })
  return { promise, release }
}
