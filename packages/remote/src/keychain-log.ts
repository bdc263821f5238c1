/**
 * Keychain log: a vault's keychain on the disk, and how entries are appended to it.
 *
 *   stored entry = seq of its append (8) ‖ the entry's bytes, as they were signed
 *
 * An append takes a seq of its own in the vault's log. What is offered at once and is larger than a
 * frame may be takes several: every append can then be sent in one frame.
 */
import {
  chainNext,
  concat,
  encodeUint64,
  equalBytes,
  type Keychain,
  keychainDigest,
  PAGE_BYTES_MAX,
  parseKeychainEntry,
  TRANSACTION_BYTES_MAX,
} from '@blindcopy/protocol'
import type { StoreOp } from '@blindcopy/secondary'
import type { CommittedAppend } from './live-frame.ts'
import { encodeAppendEntry } from './log-entry.ts'
import type { Parts } from './parts.ts'
import { ENTRY_SEQ_BYTES, type Vault } from './vaults.ts'

export type Extension = {
  readonly vault: Vault
  readonly batch: StoreOp[]
  readonly committed: readonly CommittedAppend[]
}

/** The vault and the batch once `entries` are appended; `extended` is the keychain with them. */
export function draftExtension(
  vault: Vault,
  entries: readonly Uint8Array[],
  extended: Keychain,
): Extension {
  const { keys } = vault
  const batch: StoreOp[] = []
  const committed: CommittedAppend[] = []
  let { head, keychainLength } = vault.state
  for (const group of groupBySize(entries)) {
    const firstEntry = keychainLength
    const seq = head.seq + 1
    for (const entry of group) {
      const value = concat(encodeUint64(seq), entry)
      batch.push({ type: 'put', key: keys.keychainEntry(keychainLength++), value })
    }
    const digest = keychainDigest(extended.hashes.slice(firstEntry, keychainLength))
    head = { seq, chain: chainNext(head.chain, digest) }
    const value = encodeAppendEntry({ chain: head.chain, firstEntry, endEntry: keychainLength })
    batch.push({ type: 'put', key: keys.logEntry(seq), value })
    committed.push({ type: 'append', seq, chain: head.chain, entries: group })
  }
  const keychainBytes = extended.sizeBytes
  const state = { ...vault.state, head, keychainLength, keychainBytes }
  return { vault: { ...vault, state, keychain: extended }, batch, committed }
}

function groupBySize(entries: readonly Uint8Array[]): Uint8Array[][] {
  const groups: Uint8Array[][] = []
  let group: Uint8Array[] = []
  let bytes = 0
  for (const entry of entries) {
    if (group.length > 0 && bytes + entry.length > TRANSACTION_BYTES_MAX) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(entry)
    bytes += entry.length
  }
  if (group.length > 0) groups.push(group)
  return groups
}

/**
 * Stored entries from an index on, as many as fit a page, each without its seq. Whoever needs the
 * rest asks again from where it ends.
 */
export async function readEntries(
  parts: Pick<Parts, 'store'>,
  { keys }: Vault,
  from: number,
): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = []
  let bytes = 0
  for await (const page of parts.store.pages(keys.keychainFrom(from))) {
    for (const [, value] of page) {
      bytes += value.length
      if (entries.length > 0 && bytes > PAGE_BYTES_MAX) return entries
      entries.push(value.subarray(ENTRY_SEQ_BYTES))
    }
  }
  return entries
}

/** How many of the entries are signed by somebody else than the root. Throws `keychain-invalid`. */
export function countMemberSigned(keychain: Keychain, entries: readonly Uint8Array[]): number {
  const { memberId } = keychain.root
  return entries.filter((entry) => !equalBytes(parseKeychainEntry(entry).signer, memberId)).length
}
