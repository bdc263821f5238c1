/**
 * Summaries: the set summary of each vault that was reconciled lately, kept in step by every push.
 *
 *   first asked    one scan of the record index, a page at a time, each inside the vault's section:
 *                  pushes go on between two pages
 *   a push         what it adds and removes is applied once it is on the disk; of a summary that is
 *                  being loaded, only for records that the scan has passed: it meets the others
 *   a failed push  nobody knows what the disk holds, and the summary is dropped
 *   no room        the least recently used goes, and the next who asks scans again
 *
 * A summary that was dropped stays good for whoever is reading it: what is pushed from then on
 * comes later in the log than the head that reader was told. Decision 0016.
 */
import {
  compareBytes,
  concat,
  formatHex,
  ProtocolError,
  RECORD_ID_BYTES,
  type RecordId,
  SetSummary,
  type VaultId,
} from '@blindcopy/protocol'
import {
  type Entry,
  type RecordVersion,
  recordIdOfKey,
  recordVersionTimestamp,
  type Store,
} from '@blindcopy/secondary'
import { createSections } from './section.ts'
import { mustVault, type Vaults } from './vaults.ts'

/** What a push adds to the live set of a vault, and takes from it. */
export type SetChange = {
  readonly added: readonly Uint8Array[]
  readonly removed: readonly Uint8Array[]
}

export type Summaries = {
  /** In step with the last commit. Throws `unknown-vault`, and `busy` when too many wait. */
  read(vaultId: VaultId): Promise<SetSummary>
  /** Commits, and then applies the change. Only inside the vault's section. */
  follow(vaultId: VaultId, change: SetChange, commit: () => Promise<void>): Promise<void>
  /** The set has become another one. Only inside the vault's section. */
  forget(vaultId: VaultId): void
}

export type SummariesParts = {
  readonly store: Store
  readonly vaults: Vaults
  /** All tables together. */
  readonly bytesMax: number | undefined
}

/** `passed`: the last record id that the scan has read; undefined before the first. */
type Loading = { readonly summary: SetSummary; passed: RecordId | undefined; isWhole: boolean }

/** Some eighty vaults of a million records each, or two thousand of a hundred thousand. */
const SUMMARIES_BYTES_MAX = 64 * 1024 * 1024
/** So many scans go on at once, however many vaults are asked for after a restart. */
const SCANS_AT_ONCE = 4
const SCAN_ENTRIES = 1_024
const LOAD_ATTEMPTS_MAX = 3
const FIRST_ID = new Uint8Array(RECORD_ID_BYTES) as RecordId
const LAST_ID = new Uint8Array(RECORD_ID_BYTES).fill(255) as RecordId

export function createSummaries(parts: SummariesParts): Summaries {
  const held = createHeld(parts.bytesMax ?? SUMMARIES_BYTES_MAX)
  const scans = createSections()

  /** In its lane; those who ask while it is loaded wait for the same. */
  async function load(vaultId: VaultId): Promise<SetSummary> {
    const id = formatHex(vaultId)
    for (let attempt = 0; attempt < LOAD_ATTEMPTS_MAX; attempt++) {
      const present = held.get(id)
      if (present !== undefined && isReady(present)) return present.summary
      const { state } = mustVault(await parts.vaults.read(vaultId))
      const count = Math.max(state.count, present?.summary.count ?? 0)
      const loading: Loading = { summary: new SetSummary(count), passed: undefined, isWhole: false }
      held.set(id, loading)
      try {
        while (!loading.isWhole) await scanPage(parts, vaultId, loading)
      } catch (error) {
        held.delete(id, loading)
        throw error
      }
      // Not if a push that failed meanwhile has dropped it.
      if (held.get(id) === loading) return loading.summary
    }
    throw new ProtocolError('busy', 'pushes to this vault fail again and again: try later', {
      details: { retryAfterSeconds: 1 },
    })
  }

  return {
    async read(vaultId) {
      const present = held.get(formatHex(vaultId))
      if (present !== undefined && isReady(present)) return present.summary
      return scans.run(String((vaultId[0] as number) % SCANS_AT_ONCE), () => load(vaultId))
    },
    async follow(vaultId, change, commit) {
      const id = formatHex(vaultId)
      try {
        await commit()
      } catch (error) {
        held.delete(id)
        throw error
      }
      const present = held.peek(id)
      if (present !== undefined) applyChange(present, change)
    },
    forget: (vaultId) => held.delete(formatHex(vaultId)),
  }
}

const isReady = ({ isWhole, summary }: Loading): boolean => isWhole && !summary.isCrowded

/** Inside the section no push comes between the read and the note of how far it went. */
async function scanPage(parts: SummariesParts, vaultId: VaultId, loading: Loading): Promise<void> {
  await parts.vaults.exclusively(vaultId, async (vault) => {
    const { keys } = mustVault(vault)
    const { gte, lte } = keys.records({ first: loading.passed ?? FIRST_ID, last: LAST_ID })
    const from = loading.passed === undefined ? { gte } : { gt: gte }
    const range = { ...from, lte, limit: SCAN_ENTRIES } as Parameters<Store['pages']>[0]
    let count = 0
    for await (const page of parts.store.pages(range, { entriesMax: SCAN_ENTRIES })) {
      for (const entry of page) loading.summary.add(pairOfEntry(entry))
      count += page.length
      loading.passed = recordIdOfKey((page[page.length - 1] as Entry)[0])
    }
    loading.isWhole = count < SCAN_ENTRIES
  })
}

function applyChange({ summary, passed, isWhole }: Loading, { added, removed }: SetChange): void {
  const isKnown = (pair: Uint8Array): boolean =>
    isWhole ||
    (passed !== undefined && compareBytes(pair.subarray(0, RECORD_ID_BYTES), passed) <= 0)
  // Added first: a pair that one push brings and supersedes is in both lists.
  for (const pair of added) if (isKnown(pair)) summary.add(pair)
  for (const pair of removed) if (isKnown(pair)) summary.remove(pair)
}

/** Of an entry of the record index. */
export const pairOfEntry = ([key, value]: Entry): Uint8Array =>
  concat(recordIdOfKey(key), recordVersionTimestamp(value as RecordVersion))

/**
 * The least recently used go first, but none that is being loaded: pushes would not reach it then.
 * A Map remembers the order of `set`.
 */
function createHeld(bytesMax: number) {
  const loadedById = new Map<string, Loading>()
  let bytes = 0
  const remove = (id: string): Loading | undefined => {
    const loading = loadedById.get(id)
    if (loading !== undefined) bytes -= loading.summary.sizeBytes
    loadedById.delete(id)
    return loading
  }
  const set = (id: string, loading: Loading): void => {
    remove(id)
    loadedById.set(id, loading)
    bytes += loading.summary.sizeBytes
    for (const [oldest, { isWhole }] of loadedById) {
      if (bytes <= bytesMax || oldest === id) break
      if (isWhole) remove(oldest)
    }
  }
  return {
    set,
    get(id: string): Loading | undefined {
      const loading = remove(id)
      if (loading !== undefined) set(id, loading)
      return loading
    },
    /** Without counting as a use. */
    peek: (id: string): Loading | undefined => loadedById.get(id),
    /** Only that one, when it is named. */
    delete(id: string, only?: Loading): void {
      if (only === undefined || loadedById.get(id) === only) remove(id)
    },
  }
}
