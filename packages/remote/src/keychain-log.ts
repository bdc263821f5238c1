/**
 * Keychain log: a vault's keychain on the disk, and how entries are appended to it.
 *
 *   stored entry = seq of its append (8) ‖ the entry's bytes, as they were signed
 *
 * Entries are numbered as they came and none is ever removed: what a branch of the root's replaces
 * stays, because the log's chain is over it. An append takes a seq of its own in the vault's log.
 * What is offered at once and is larger than a frame may be takes several, cut only where no epoch
 * is missing: every append can then be sent in one frame, and taken.
 */
import {
  chainNext,
  concat,
  decodeUint64,
  encodeUint64,
  equalBytes,
  type Keychain,
  keychainDigest,
  PAGE_BYTES_MAX,
  parseKeychainEntry,
  TRANSACTION_BYTES_MAX,
} from '@blindcopy/protocol'
import { memberIndexKey, type StoreOp } from '@blindcopy/secondary'
import type { CommittedAppend } from './live-frame.ts'
import { encodeAppendEntry } from './log-entry.ts'
import type { Parts } from './parts.ts'
import { ENTRY_SEQ_BYTES, type Vault } from './vaults.ts'

export type Extension = {
  readonly vault: Vault
  readonly batch: StoreOp[]
  readonly committed: readonly CommittedAppend[]
}

/** The vault and the batch once `entries` are added; `keychain` is what they lead to. */
export function draftExtension(
  vault: Vault,
  entries: readonly Uint8Array[],
  keychain: Keychain,
): Extension {
  const { keys, vaultId } = vault
  const batch: StoreOp[] = []
  const committed: CommittedAppend[] = []
  let { head, keychainLength, keychainBytes, bytes } = vault.state
  for (const group of groupEntries(entries)) {
    const firstEntry = keychainLength
    const seq = head.seq + 1
    const hashes = group.map((entry) => {
      const { hash, payload } = parseKeychainEntry(entry)
      const value = concat(encodeUint64(seq), entry)
      batch.push({ type: 'put', key: keys.keychainEntry(keychainLength++), value })
      keychainBytes += entry.length
      // Who restores with a recovery key alone asks by it for the vault.
      if (payload.type === 'member-add' && payload.kind === 'recovery') {
        batch.push({ type: 'put', key: memberIndexKey(payload.signingKey), value: vaultId })
      }
      return hash
    })
    head = { seq, chain: chainNext(head.chain, keychainDigest(hashes)) }
    const value = encodeAppendEntry({ chain: head.chain, firstEntry, endEntry: keychainLength })
    batch.push({ type: 'put', key: keys.logEntry(seq), value })
    bytes += value.length
    committed.push({ type: 'append', seq, chain: head.chain, entries: group })
  }
  const state = { ...vault.state, head, keychainLength, keychainBytes, bytes }
  return { vault: { ...vault, state, keychain }, batch, committed }
}

/** Groups that fit a frame, none of which ends before an epoch that must follow. */
function groupEntries(entries: readonly Uint8Array[]): Uint8Array[][] {
  const groups: Uint8Array[][] = []
  let group: Uint8Array[] = []
  let bytes = 0
  for (const unit of unitsOf(entries)) {
    const unitBytes = unit.reduce((sum, entry) => sum + entry.length, 0)
    if (group.length > 0 && bytes + unitBytes > TRANSACTION_BYTES_MAX) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(...unit)
    bytes += unitBytes
  }
  if (group.length > 0) groups.push(group)
  return groups
}

/** What may not be parted: from a revocation or replacement to its epoch, or one entry alone. */
function unitsOf(entries: readonly Uint8Array[]): Uint8Array[][] {
  const units: Uint8Array[][] = []
  let isSettled = true
  for (const entry of entries) {
    if (isSettled) units.push([entry])
    else units[units.length - 1]?.push(entry)
    const { type } = parseKeychainEntry(entry).payload
    if (type === 'member-revoke' || type === 'replace') isSettled = false
    if (type === 'epoch') isSettled = true
  }
  return units
}

/**
 * Entries of the chain as it is, from an index on, as many as fit a page. Whoever needs the rest
 * asks again from where it ends.
 */
export function entriesFrom({ keychain }: Vault, from: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let bytes = 0
  for (const entry of keychain.entries.slice(from)) {
    bytes += entry.length
    if (entries.length > 0 && bytes > PAGE_BYTES_MAX) return entries
    entries.push(entry)
  }
  return entries
}

/** The seq of the append that brought an entry; undefined for one that is not stored. */
export async function findEntrySeq(
  parts: Pick<Parts, 'store'>,
  { keys }: Vault,
  entry: Uint8Array,
): Promise<number | undefined> {
  // Replaced entries stand between: what has an index is stored there or later.
  const { index } = parseKeychainEntry(entry)
  for await (const page of parts.store.pages(keys.keychainFrom(index))) {
    for (const [, value] of page) {
      if (equalBytes(value.subarray(ENTRY_SEQ_BYTES), entry)) return decodeUint64(value)
    }
  }
  return undefined
}

/**
 * How many of the entries count against what a member may append in a day: those of the root, and
 * what takes a member out, its epoch included, are never refused for that. What else stands in the
 * same append counts, or one revocation would open the way for any number. Throws
 * `keychain-invalid`.
 */
export function countCounted(keychain: Keychain, entries: readonly Uint8Array[]): number {
  const { memberId } = keychain.root
  let isEpochDue = false
  let count = 0
  for (const entry of entries) {
    const { signer, payload } = parseKeychainEntry(entry)
    const isFree = payload.type === 'member-revoke' || (payload.type === 'epoch' && isEpochDue)
    if (payload.type === 'member-revoke') isEpochDue = true
    if (payload.type === 'epoch') isEpochDue = false
    if (!isFree && !equalBytes(signer, memberId)) count++
  }
  return count
}
