/**
 * Commits: the one way in which a vault's batch comes to the disk, and how long that took.
 *
 * That pushes of different vaults share a disk sync is the store's doing (decision 0032): it writes
 * together what waits together.
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
  /** Told of each batch that the disk has. */
  readonly onWrite?: (write: Written) => void
}

export type Written = {
  /** Of keys and values. */
  readonly bytes: number
  /** Waiting for those before it included. */
  readonly ms: number
}

export function createCommits({ store, uptimeMs, onWrite }: CommitsParts): Commits {
  return {
    async write(batch) {
      const startMs = uptimeMs?.() ?? 0
      await store.write(batch, { sync: true })
      if (onWrite === undefined) return
      const ms = (uptimeMs?.() ?? startMs) - startMs
      onWrite({ bytes: bytesOf(batch), ms })
    },
  }
}

function bytesOf(batch: readonly StoreOp[]): number {
  let bytes = 0
  for (const op of batch) bytes += op.key.length + (op.type === 'put' ? op.value.length : 0)
  return bytes
}
