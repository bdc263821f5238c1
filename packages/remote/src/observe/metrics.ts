/**
 * Metrics: what the remote counts of its own work, as a port; prometheus.ts is the one behind it,
 * and `NO_METRICS` counts nothing.
 *
 * Whatever is counted is of all vaults together. Nothing that is handed in names a vault, a device,
 * an address or a path, and every word is one of a short list: routes are patterns, codes are those
 * of the protocol. So no request can make the number of series grow (decision 0035).
 */
import type { ProtocolErrorCode } from '@blindcopy/protocol'

export type Metrics = {
  requested(request: CountedRequest): void
  loggedIn(isRight: boolean): void
  pushed(tally: PushTally): void
  commit(commit: Commit): void
  /** A checkpoint was taken. */
  checkpointed(): void
  socketClosed(why: SocketEnd): void
  /** Somebody offered a wrong admin token. */
  adminRefused(): void
  /** What is read when somebody asks. Each part of the remote adds its own. */
  watch(gauges: Partial<Gauges>): void
  /** In the text format of Prometheus; undefined when nothing is counted. */
  render(): Promise<Exposition | undefined>
}

export type Exposition = { readonly contentType: string; readonly text: string }

export type CountedRequest = {
  readonly method: string
  /** The pattern of the route, never the path that was asked for. */
  readonly route: string
  readonly status: number
  /** Of a refusal, from the protocol's list; `internal` of a fault. */
  readonly code: string | undefined
  readonly ms: number
}

/** What became of the transactions of one push. */
export type PushTally = {
  readonly applied: number
  /** Applied by an earlier push, whose answer was lost. */
  readonly repeated: number
  readonly conflicts: number
  readonly refused: readonly ProtocolErrorCode[]
  /** Ops of the applied ones: those that took effect, and those that a newer version had won. */
  readonly opsApplied: number
  readonly opsStale: number
}

/** One batch of a vault that is on the disk, synced. */
export type Commit = { readonly ms: number; readonly bytes: number }

/** Why a live socket ended: the device left, it took nothing, or a refusal with its code. */
export type SocketEnd = ProtocolErrorCode | 'left' | 'too-slow'

export type Gauges = {
  readonly sockets: () => number
  /** Requests that wait for their vault or are at work in it. */
  readonly waiting: () => number
  readonly bodyBytes: () => number
  readonly traffic: () => Traffic
  readonly disk: () => Promise<DiskUse | undefined>
  readonly totals: () => Promise<Totals | undefined>
}

/** Bytes of all connections since the start, heads and frames included. */
export type Traffic = { readonly receivedBytes: number; readonly sentBytes: number }

export type DiskUse = {
  /** Of the data folder. */
  readonly storeBytes: number
  /** Of its file system: what this process may still write, and the whole. */
  readonly freeBytes: number
  readonly sizeBytes: number
}

export type Totals = {
  readonly vaults: number
  /** Keys stand under their ids, but no state that can be read. */
  readonly unreadable: number
  /** Vaults that have used most of their quota. */
  readonly nearQuota: number
  readonly records: number
  readonly bytes: number
  readonly historyBytes: number
}

const nothing = (): void => {}

export const NO_METRICS: Metrics = {
  requested: nothing,
  loggedIn: nothing,
  pushed: nothing,
  commit: nothing,
  checkpointed: nothing,
  socketClosed: nothing,
  adminRefused: nothing,
  watch: nothing,
  render: async () => undefined,
}
