/**
 * Vault image: one vault as it was at one moment, as the parts of a remote file.
 *
 * The moment is the begin of the scans, inside the vault's section: nothing is committed between
 * two of them. From then on pushes go on, and the parts are read as slowly as they are taken.
 */
import type { VaultId } from '@blindcopy/protocol'
import {
  type Entry,
  opIndexOfKey,
  parseHistory,
  remoteKeyspace,
  type Store,
  seqOfKey,
} from '@blindcopy/secondary'
import type { VaultState } from '../vault-state.ts'
import { decodeVaultState } from '../vault-state.ts'
import { ENTRY_SEQ_BYTES, type Vaults } from '../vaults.ts'
import { isNamed } from './index-rows.ts'
import { type Manifest, manifestOf } from './manifest.ts'
import { type FilePart, type LogItem, PART_BYTES_AIM } from './remote-file.ts'
import { StoreScan, sections, tryUint64 } from './store-scan.ts'

export type VaultImage = {
  readonly manifest: Manifest
  /** To be read once. */
  parts(): AsyncGenerator<FilePart>
  close(): Promise<void>
}

export type ImageOptions = {
  /** Told of each envelope that stands beside no log entry; it is in no part. */
  readonly onStray?: (entry: Entry) => void
}

/** Undefined when this remote does not have the vault. */
export function openImage(
  { store, vaults }: { readonly store: Store; readonly vaults: Vaults },
  vaultId: VaultId,
): Promise<VaultImage | undefined> {
  return vaults.alone(vaultId, async () => {
    const stateBytes = await store.get(remoteKeyspace(vaultId).state)
    if (stateBytes === undefined) return undefined
    return beginImage(store, vaultId, decodeVaultState(stateBytes))
  })
}

/** Inside the vault's section. */
export async function beginImage(
  store: Store,
  vaultId: VaultId,
  state: VaultState,
  options: ImageOptions = {},
): Promise<VaultImage> {
  const keys = remoteKeyspace(vaultId)
  const scans = {
    keychain: new StoreScan(store, keys.keychainFrom(0)),
    log: new StoreScan(store, sections.log(keys)),
    envelopes: new StoreScan(store, sections.envelopes(keys)),
    checkpoints: new StoreScan(store, sections.checkpoints(keys)),
    history: new StoreScan(store, sections.history(keys)),
  }
  const close = async (): Promise<void> => {
    for (const scan of Object.values(scans)) await scan.close()
  }
  try {
    for (const scan of Object.values(scans)) await scan.peek()
  } catch (error) {
    await close()
    throw error
  }
  return {
    manifest: manifestOf(vaultId, state),
    parts: () => partsOf(scans, options),
    close,
  }
}

type Scans = Readonly<
  Record<'keychain' | 'log' | 'envelopes' | 'checkpoints' | 'history', StoreScan>
>

async function* partsOf(scans: Scans, options: ImageOptions): AsyncGenerator<FilePart> {
  for await (const entries of grouped(scans.keychain, readEntry)) {
    yield { type: 'keychain', entries }
  }
  yield* logParts(scans, options)
  for await (const checkpoints of grouped(scans.checkpoints, ([, value]) => value)) {
    yield { type: 'checkpoints', checkpoints }
  }
  for await (const versions of grouped(scans.history, readVersion)) {
    yield { type: 'history', versions }
  }
}

/** What is too short to be one is left to the check, as one that says nothing. */
function readEntry([, value]: Entry): { seq: number; entry: Uint8Array } {
  const seq = tryUint64(value)
  return seq === undefined
    ? { seq: 0, entry: NOTHING }
    : { seq, entry: value.subarray(ENTRY_SEQ_BYTES) }
}

const NOTHING = new Uint8Array(0)

function readVersion(entry: Entry): { supersededMs: number; envelope: Uint8Array } {
  // Under another name than its own it is no version of anything.
  if (tryUint64(entry[1]) === undefined || !isNamed(entry))
    return { supersededMs: 0, envelope: NOTHING }
  const { supersededMs, envelope } = parseHistory(entry)
  return { supersededMs, envelope }
}

async function* grouped<T>(scan: StoreScan, read: (entry: Entry) => T): AsyncGenerator<T[]> {
  let group: T[] = []
  let bytes = 0
  for (;;) {
    const entry = await scan.take()
    if (entry === undefined) break
    group.push(read(entry))
    bytes += entry[1].length
    if (bytes < PART_BYTES_AIM) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

async function* logParts(
  { log, envelopes }: Scans,
  { onStray }: ImageOptions,
): AsyncGenerator<FilePart> {
  let items: LogItem[] = []
  let bytes = 0
  for (;;) {
    const found = await log.take()
    if (found === undefined) break
    const [key, entry] = found
    const seq = seqOfKey(key)
    const live: { opIndex: number; envelope: Uint8Array }[] = []
    for (;;) {
      const next = await envelopes.peek()
      if (next === undefined || seqOfKey(next[0]) > seq) break
      await envelopes.take()
      if (seqOfKey(next[0]) < seq) {
        onStray?.(next)
        continue
      }
      live.push({ opIndex: opIndexOfKey(next[0]), envelope: next[1] })
      bytes += next[1].length
    }
    items.push({ seq, entry, live })
    bytes += entry.length
    if (bytes < PART_BYTES_AIM) continue
    yield { type: 'log', items }
    items = []
    bytes = 0
  }
  if (items.length > 0) yield { type: 'log', items }
  for (let next = await envelopes.take(); next !== undefined; next = await envelopes.take()) {
    onStray?.(next)
  }
}
