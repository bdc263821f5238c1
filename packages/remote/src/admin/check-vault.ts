/**
 * Check: compares all that stands in the store of a vault with itself, and changes nothing.
 *
 * What a backup holds is checked as a backup is (image-check.ts). Beside it stand the indexes:
 *
 *   every live envelope      is the version that the index names for its record
 *   every row of the index   leads to an envelope of that record and time
 *   every transaction id     leads to its log entry, and each such entry is found by its id
 *   every old version        stands in the list by which it expires, and nothing else does
 *   every recovery key       leads to its vault
 *
 * The vault's section is held meanwhile: its pushes wait, those of others do not.
 */
import {
  compareBytes,
  decodeUint32,
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  parseEnvelope,
  type RecordId,
  type VaultId,
} from '@blindcopy/protocol'
import {
  type Entry,
  encodeHistory,
  parseExpiry,
  type RecordVersion,
  type RemoteKeyspace,
  recordIdOfKey,
  recordVersion,
  recordVersionSize,
  recordVersionTimestamp,
  remoteKeyspace,
  type Store,
  seqOfKey,
} from '@blindcopy/secondary'
import { isMemberIndexKey } from '../leftovers.ts'
import { decodeLogEntry } from '../log-entry.ts'
import { decodeVaultState, type VaultState } from '../vault-state.ts'
import type { AdminParts } from './admin-parts.ts'
import { type Defect, Defects } from './defects.ts'
import {
  type Found,
  ImageCheck,
  type SoundItem,
  type SoundPart,
  type SoundVersion,
  sentenceOf,
} from './image-check.ts'
import { indexKeysOf } from './removal.ts'
import { sections, tryUint64 } from './store-scan.ts'
import { beginImage } from './vault-image.ts'

export type CheckedVault = {
  readonly vaultId: VaultId
  readonly defects: readonly Defect[]
  readonly records: number
}

type CheckParts = Pick<AdminParts, 'store' | 'vaults' | 'verify'>

/** Undefined when nothing stands under the id. */
export function checkVault(parts: CheckParts, vaultId: VaultId): Promise<CheckedVault | undefined> {
  return parts.vaults.alone(vaultId, async () => {
    const judged = await judgeInside(parts, vaultId)
    if (judged === undefined) return undefined
    const { defects, found } = judged
    return { vaultId, defects: defects.list, records: found?.count ?? 0 }
  })
}

export type Judged = {
  readonly defects: Defects
  readonly state: VaultState | undefined
  readonly found: Found | undefined
}

/** Inside the vault's section. */
export async function judgeInside(
  { store, verify }: Pick<CheckParts, 'store' | 'verify'>,
  vaultId: VaultId,
): Promise<Judged | undefined> {
  const keys = remoteKeyspace(vaultId)
  const defects = new Defects()
  const stateBytes = await store.get(keys.state)
  if (stateBytes === undefined) {
    if (!(await hasKeys(store, keys))) return undefined
    defects.add('state-missing', 'an interrupted deletion or restore has left keys of the vault')
    return { defects, state: undefined, found: undefined }
  }
  const state = readState(stateBytes, defects)
  if (state === undefined) return { defects, state, found: undefined }
  const onStray = ([key]: Entry): void =>
    defects.add('envelope-stray', `an envelope stands at ${seqOfKey(key)}, where no entry is`)
  const image = await beginImage(store, vaultId, state, { onStray })
  const check = new ImageCheck(image.manifest, verify, defects)
  try {
    for await (const part of image.parts()) {
      const sound = check.take(part)
      if (sound !== undefined) await checkPart(store, keys, { sound, defects })
    }
  } finally {
    await image.close()
  }
  const found = check.finish()
  await checkRecords(store, keys, defects)
  await checkTransactions(store, keys, defects)
  await checkExpiries(store, keys, defects)
  await checkWaysHere(store, vaultId, { found, defects })
  await checkKeys(store, keys, defects)
  return { defects, state, found }
}

async function hasKeys(store: Store, keys: RemoteKeyspace): Promise<boolean> {
  for await (const page of store.keyPages(keys.all)) {
    if (page.some((key) => !isMemberIndexKey(key))) return true
  }
  return false
}

function readState(bytes: Uint8Array, defects: Defects): VaultState | undefined {
  try {
    return decodeVaultState(bytes)
  } catch (error) {
    defects.add('state-damaged', `the state cannot be read: ${sentenceOf(error)}`)
    return undefined
  }
}

type PartCheck = { readonly sound: SoundPart; readonly defects: Defects }

async function checkPart(
  store: Store,
  keys: RemoteKeyspace,
  { sound, defects }: PartCheck,
): Promise<void> {
  if (sound.type === 'log') {
    for (const item of sound.items) await checkItem(store, keys, { item, defects })
  } else if (sound.type === 'history') {
    for (const version of sound.versions) await checkVersion(store, keys, { version, defects })
  }
}

async function checkItem(
  store: Store,
  keys: RemoteKeyspace,
  { item, defects }: { item: SoundItem; defects: Defects },
): Promise<void> {
  const { seq, entry, live } = item
  if (entry.type === 'transaction' && entry.id !== null) {
    const stored = await store.get(keys.transaction(entry.id))
    if (stored?.length !== 8 || tryUint64(stored) !== seq) {
      defects.add('transaction-missing', `the transaction at ${seq} is not found by its id`)
    }
  }
  const rows = await store.getMany(live.map(({ recordId }) => keys.record(recordId)))
  live.forEach(({ opIndex, envelope, timestamp }, i) => {
    const row = rows[i]
    const own = recordVersion(timestamp, { seq, opIndex, sizeBytes: envelope.length })
    if (row === undefined) {
      defects.add('index-missing', `the envelope ${opIndex} at ${seq} is in no index`)
    } else if (row.length !== own.length || compareVersions(row, own) < 0) {
      defects.add('index-wrong', `the index names an older version than stands at ${seq}`)
    } else if (compareVersions(row, own) > 0) {
      defects.add('envelope-superseded', `the envelope ${opIndex} at ${seq} is not the newest`)
    } else if (!equalBytes(row, own)) {
      const isElsewhere = !equalBytes(keys.envelope(row as RecordVersion), keys.envelope(own))
      if (isElsewhere) defects.add('envelope-superseded', `an envelope stands at ${seq} again`)
      else defects.add('index-wrong', `the index says another size of what stands at ${seq}`)
    }
  })
}

/** By their times. */
function compareVersions(a: Uint8Array, b: Uint8Array): number {
  const [one, other] = [a, b].map((row) => recordVersionTimestamp(row as RecordVersion))
  return compareBytes(one as Uint8Array, other as Uint8Array)
}

async function checkVersion(
  store: Store,
  keys: RemoteKeyspace,
  { version, defects }: { version: SoundVersion; defects: Defects },
): Promise<void> {
  const { recordId, timestamp, supersededMs, envelope } = version
  const [stored, expiry] = await store.getMany([
    keys.history(recordId, timestamp),
    keys.expiry(version),
  ])
  if (stored === undefined || !equalBytes(stored, encodeHistory(supersededMs, envelope))) {
    defects.add('history-damaged', 'a superseded version does not stand under its own name')
  } else if (expiry === undefined || decodeSize(expiry) !== envelope.length) {
    defects.add('expiry-missing', 'a superseded version would never expire')
  }
}

const decodeSize = (bytes: Uint8Array): number | undefined =>
  bytes.length === 4 ? decodeUint32(bytes) : undefined

const ROWS_AT_ONCE = 64

/** Rows of a range, some at a time, each with what stands under the key that it leads to. */
export async function* rowsWith(
  store: Store,
  range: Parameters<Store['pages']>[0],
  keyOf: (entry: Entry) => Uint8Array | undefined,
): AsyncGenerator<readonly [entry: Entry, target: Uint8Array | undefined]> {
  for await (const page of store.pages(range)) {
    for (let first = 0; first < page.length; first += ROWS_AT_ONCE) {
      const rows = page.slice(first, first + ROWS_AT_ONCE)
      const wanted = rows.map(keyOf)
      const targets = await store.getMany(wanted.map((key) => key ?? new Uint8Array(1)))
      for (const [i, entry] of rows.entries()) {
        yield [entry, wanted[i] === undefined ? undefined : targets[i]]
      }
    }
  }
}

const VERSION_BYTES = 30

async function checkRecords(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  for await (const [entry, target] of rowsWith(store, sections.records(keys), envelopeKey(keys))) {
    if (!leadsThere(entry, target)) {
      defects.add('envelope-lost', 'the index names a version whose envelope is not there')
    }
  }
}

export const envelopeKey =
  (keys: RemoteKeyspace) =>
  ([, row]: Entry): Uint8Array | undefined =>
    row.length === VERSION_BYTES ? keys.envelope(row as RecordVersion) : undefined

/** Whether a row of the index leads to an envelope of its record and time. */
export function leadsThere([key, row]: Entry, target: Uint8Array | undefined): boolean {
  if (target === undefined) return false
  try {
    const envelope: Envelope = parseEnvelope(target)
    const version = row as RecordVersion
    return (
      equalBytes(envelopeRecordId(envelope), recordIdOfKey(key) as RecordId) &&
      equalBytes(envelopeTimestamp(envelope), recordVersionTimestamp(version)) &&
      recordVersionSize(version) === envelope.length
    )
  } catch {
    return false
  }
}

async function checkTransactions(
  store: Store,
  keys: RemoteKeyspace,
  defects: Defects,
): Promise<void> {
  for await (const [entry, target] of rowsWith(store, sections.transactions(keys), logKey(keys))) {
    if (!isOfTransaction(entry, target, keys)) {
      defects.add('transaction-stray', 'a transaction id leads to no entry of the log')
    }
  }
}

export const logKey =
  (keys: RemoteKeyspace) =>
  ([, value]: Entry): Uint8Array | undefined => {
    const seq = value.length === 8 ? tryUint64(value) : undefined
    return seq === undefined ? undefined : keys.logEntry(seq)
  }

export function isOfTransaction(
  [key]: Entry,
  target: Uint8Array | undefined,
  keys: RemoteKeyspace,
): boolean {
  try {
    const entry = target === undefined ? undefined : decodeLogEntry(target)
    if (entry?.type !== 'transaction' || entry.id === null) return false
    return equalBytes(keys.transaction(entry.id), key)
  } catch {
    return false
  }
}

async function checkExpiries(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  const range = keys.expiries(undefined)
  for await (const [entry, target] of rowsWith(store, range, historyKey(keys))) {
    if (!isOfVersion(entry, target)) {
      defects.add('expiry-stray', 'something is to expire that is not in the history')
    }
  }
}

const EXPIRY_KEY_BYTES = 73

export const historyKey =
  (keys: RemoteKeyspace) =>
  (entry: Entry): Uint8Array | undefined => {
    if (entry[0].length !== EXPIRY_KEY_BYTES || entry[1].length !== 4) return undefined
    const { recordId, timestamp } = parseExpiry(entry)
    return keys.history(recordId, timestamp)
  }

export function isOfVersion(entry: Entry, target: Uint8Array | undefined): boolean {
  return target !== undefined && tryUint64(target) === parseExpiry(entry).supersededMs
}

async function checkWaysHere(
  store: Store,
  vaultId: VaultId,
  { found, defects }: { found: Found; defects: Defects },
): Promise<void> {
  const ways = (found.keychain?.entries ?? []).flatMap(indexKeysOf)
  const owners = await store.getMany(ways)
  for (const owner of owners) {
    if (owner !== undefined && equalBytes(owner, vaultId)) continue
    defects.add('recovery-index-missing', 'a recovery key does not lead to its vault')
  }
}

/** How long the keys of each section are, the vault id included. */
const KEY_BYTES: Readonly<Record<string, number>> = {
  s: 33,
  k: 37,
  r: 49,
  e: 43,
  l: 41,
  t: 49,
  c: 41,
  h: 65,
  x: EXPIRY_KEY_BYTES,
}

async function checkKeys(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  for await (const page of store.keyPages(keys.all)) {
    for (const key of page) {
      const letter = String.fromCharCode(key[32] as number)
      if (key.length === KEY_BYTES[letter] || isMemberIndexKey(key)) continue
      const what = `a key of section ${JSON.stringify(letter)} that this program does not know`
      defects.add('key-unknown', what)
    }
  }
}
