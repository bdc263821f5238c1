/**
 * Faults: every kind that the simulator can bring about, and how often each was reached. A kind
 * that is never reached over a whole range of seeds is a fault of the simulator, and fails its
 * test.
 */

/** What the engine can already survive; each goes to true with the code that makes it so. */
export const FEATURES = {
  /** A remote that was wiped or put back is reconciled with. */
  healing: true,
  /** A clock that is wrong by hours is corrected by the remote's time. */
  clockCorrection: true,
  /**
   * A transaction of which a part is missing is not shown in part, and no head check is made while
   * a pull has met a push that moved a record past the head.
   */
  parking: true,
  /** Collections with other policies than the newest write, and custom mutations. */
  policies: true,
  /**
   * A write that was acknowledged, and then beaten by one that had not seen it because the remote
   * was put back, is listed as a conflict wherever that is found out.
   */
  listedAfterHealing: true,
  /** Two processes with the keys of one device. */
  copiedFolders: true,
}

const NETWORK = [
  'request lost',
  'request refused',
  'request duplicated',
  'request late',
  'request overtaken',
  'answer lost',
  'answer cut',
  'answer late',
  'frame duplicated',
  'frame overtaken',
  'line cut',
  'line silent',
  'partition, silent',
  'partition, refused',
] as const

const PROCESSES = [
  'device killed',
  'device killed before a write',
  'device killed after a write',
  'device without power',
  'device lost unsynced writes',
  'remote killed',
  'remote killed before a write',
  'remote killed after a write',
  'remote without power',
] as const

const DISKS = [
  'device disk full',
  'remote disk full',
  'device disk slow',
  'remote disk slow',
] as const

const CLOCKS = [
  'clock skewed',
  'clock frozen',
  'clock jumped forward',
  'clock jumped back',
  'remote clock jumped',
] as const

const FOLDERS = ['folder put back', 'folder deleted'] as const
const COPIES = ['folder copied'] as const
const REMOTES = ['remote wiped', 'remote put back', 'remote put back under new writes'] as const
const HOURS = ['clock wrong by hours', 'remote clock wrong by hours'] as const

export type Fault =
  | (typeof NETWORK)[number]
  | (typeof PROCESSES)[number]
  | (typeof DISKS)[number]
  | (typeof CLOCKS)[number]
  | (typeof FOLDERS)[number]
  | (typeof COPIES)[number]
  | (typeof REMOTES)[number]
  | (typeof HOURS)[number]

/** What has to be reached with the features that are on. */
export function expectedFaults(): readonly Fault[] {
  return [
    ...NETWORK,
    ...PROCESSES,
    ...DISKS,
    ...CLOCKS,
    ...FOLDERS,
    ...(FEATURES.copiedFolders ? COPIES : []),
    ...(FEATURES.healing ? REMOTES : []),
    ...(FEATURES.clockCorrection ? HOURS : []),
  ]
}

/** How often each fault and each operation was reached. */
export class Tally {
  readonly counts = new Map<string, number>()

  count(what: Fault | `op: ${string}`): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  add(other: ReadonlyMap<string, number>): void {
    for (const [what, count] of other) this.counts.set(what, (this.counts.get(what) ?? 0) + count)
  }

  missing(): readonly string[] {
    return expectedFaults().filter((fault) => !this.counts.has(fault))
  }
}
