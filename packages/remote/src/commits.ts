/**
 * Commits: group commit. Batches of different vaults that wait for the disk together are written
 * as one, and share one disk sync.
 *
 *   a batch comes, a lane is free      written at once
 *   more come while none is            they wait, and go together as the next write
 *
 * Two lanes, so that the disk has the next write at hand when it is done with one; batches of one
 * vault never wait together, since each is made inside the vault's section.
 *
 * One write is atomic, so a batch is on the disk whole or not at all, whoever it went with. When a
 * write fails all that went with it have failed: nobody knows what the disk holds.
 */
import type { Store, StoreOp } from '@blindcopy/secondary'

export type Commits = {
  /** Resolves when the batch is on the disk. */
  write(batch: readonly StoreOp[]): Promise<void>
}

export type CommitsParts = {
  readonly store: Pick<Store, 'write'>
  /** Monotonic, for how long writes take. */
  readonly uptimeMs?: () => number
  /** Told of each write that the disk has. */
  readonly onWrite?: (write: Written) => void
}

export type Written = {
  /** How many batches shared it. */
  readonly batches: number
  readonly ops: number
  /** Of keys and values. */
  readonly bytes: number
  readonly ms: number
}

/** So that one write holds a bounded part of memory, and of the time of those who wait. */
export const OPS_AT_ONCE_MAX = 20_000

const LANES = 2

type Waiting = {
  readonly batch: readonly StoreOp[]
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

export function createCommits({ store, uptimeMs, onWrite }: CommitsParts): Commits {
  const waiting: Waiting[] = []
  let lanesFree = LANES

  async function writeAll(): Promise<void> {
    lanesFree--
    while (waiting.length > 0) {
      const group = takeGroup(waiting)
      const ops = (group.length === 1 && group[0]?.batch) || group.flatMap(({ batch }) => batch)
      const startMs = uptimeMs?.() ?? 0
      try {
        await store.write(ops, { sync: true })
        const ms = (uptimeMs?.() ?? 0) - startMs
        onWrite?.({ batches: group.length, ops: ops.length, bytes: bytesOf(ops), ms })
        for (const { done } of group) done()
      } catch (error) {
        for (const { failed } of group) failed(error)
      }
    }
    lanesFree++
  }

  return {
    write: (batch) =>
      new Promise((done, failed) => {
        waiting.push({ batch, done, failed })
        if (lanesFree > 0) void writeAll()
      }),
  }
}

function bytesOf(ops: readonly StoreOp[]): number {
  let bytes = 0
  for (const op of ops) bytes += op.key.length + (op.type === 'put' ? op.value.length : 0)
  return bytes
}

/** In the order they came, as many as go together, and always one. */
function takeGroup(waiting: Waiting[]): Waiting[] {
  let end = 0
  let ops = 0
  for (const { batch } of waiting) {
    ops += batch.length
    if (end > 0 && ops > OPS_AT_ONCE_MAX) break
    end++
  }
  return waiting.splice(0, end)
}
