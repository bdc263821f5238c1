/**
 * Index check: names what is wrong with the indexes of a vault, row by row.
 *
 * Each row costs a look at another place of the store, so it is only done where the sums
 * (index-sums.ts) say that something is wrong.
 */
import { compareBytes, decodeUint32, equalBytes } from '@blindcopy/protocol'
import {
  type RecordVersion,
  type RemoteKeyspace,
  recordVersion,
  recordVersionTimestamp,
  type Store,
} from '@blindcopy/secondary'
import type { Defects } from './defects.ts'
import type { SoundItem, SoundPart, SoundVersion } from './image-check.ts'
import {
  envelopeKey,
  historyKey,
  isOfTransaction,
  isOfVersion,
  leadsThere,
  logKey,
  rowsWith,
} from './index-rows.ts'
import { sections, tryUint64 } from './store-scan.ts'

/** What a part says that the indexes should have. */
export async function checkPart(
  store: Store,
  keys: RemoteKeyspace,
  { sound, defects }: { readonly sound: SoundPart; readonly defects: Defects },
): Promise<void> {
  if (sound.type === 'log') {
    for (const item of sound.items) await checkItem(store, keys, { item, defects })
  } else if (sound.type === 'history') {
    for (const version of sound.versions) await checkVersion(store, keys, { version, defects })
  }
}

/** What the indexes have that leads to nothing. */
export async function checkRows(
  store: Store,
  keys: RemoteKeyspace,
  defects: Defects,
): Promise<void> {
  await checkRecords(store, keys, defects)
  await checkTransactions(store, keys, defects)
  await checkExpiries(store, keys, defects)
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
  const expiry = await store.get(keys.expiry(version))
  if (expiry === undefined || decodeSize(expiry) !== version.envelope.length) {
    defects.add('expiry-missing', 'a superseded version would never expire')
  }
}

const decodeSize = (bytes: Uint8Array): number | undefined =>
  bytes.length === 4 ? decodeUint32(bytes) : undefined

async function checkRecords(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  for await (const [entry, target] of rowsWith(store, sections.records(keys), envelopeKey(keys))) {
    if (!leadsThere(entry, target)) {
      defects.add('envelope-lost', 'the index names a version whose envelope is not there')
    }
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

async function checkExpiries(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  const range = keys.expiries(undefined)
  for await (const [entry, target] of rowsWith(store, range, historyKey(keys))) {
    if (!isOfVersion(entry, target)) {
      defects.add('expiry-stray', 'something is to expire that is not in the history')
    }
  }
}
