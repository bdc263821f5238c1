/**
 * Keychain append: a member adds signed entries at the end it knows; the root may also put a branch
 * in the place of entries that are there.
 *
 * Whoever comes second gets `keychain-race` and looks again. An append that is there already, byte
 * for byte, was answered once and the answer lost: it succeeds again, with the seq it got then.
 * Sockets of members that the append takes out are closed before anything more is told.
 */
import {
  equalBytes,
  type Hash,
  type KeychainAppendAnswer,
  type KeychainAppendRequest,
  type KeychainMerge,
  keychainHead,
  mergeKeychain,
  ProtocolError,
  parseKeychainEntry,
  replacesHead,
} from '@blindcopy/protocol'
import { spend } from './allowance.ts'
import { countCounted, draftExtension, findEntrySeq } from './keychain-log.ts'
import { logEntryChain } from './log-entry.ts'
import type { Parts } from './parts.ts'
import { checkDevices, quotaOf } from './quota.ts'
import { mustMember } from './session.ts'
import type { Session } from './token.ts'
import { mustVault, type Vault } from './vaults.ts'

export async function appendToKeychain(
  parts: Parts,
  session: Session,
  { previous, entries }: KeychainAppendRequest,
): Promise<KeychainAppendAnswer> {
  if (entries.length === 0) throw new ProtocolError('malformed', 'an append has no entries')
  return parts.vaults.exclusively(session.vaultId, async (found) => {
    const vault = mustVault(found)
    mustMember(vault, session.memberId)
    const { keychain } = vault
    const first = parseKeychainEntry(entries[0] as Uint8Array)
    const isAsSaid = equalBytes(first.previous, previous)
    const answered = isAsSaid ? await answerRepeat(parts, vault, entries) : undefined
    if (answered !== undefined) return answered
    const follows = equalBytes(previous, keychainHead(keychain))
    if (!follows && !replacesHead(keychain, first)) throw race(vault, keychainHead(keychain))
    if (!isAsSaid) {
      throw new ProtocolError('keychain-invalid', 'the entries follow another one than is said')
    }
    const merge = mergeKeychain(keychain, entries, parts.verify)
    if (merge.added.length !== entries.length) {
      throw new ProtocolError('keychain-invalid', 'an append has entries that are there already')
    }
    checkDevices(quotaOf(vault.state, parts.limits), keychain, merge.keychain)
    const amount = countCounted(keychain, entries)
    const charge = { memberId: session.memberId, what: 'appends', amount } as const
    const allowance = spend(vault.state.allowance, { ...charge, nowMs: parts.nowMs() })
    const charged = { ...vault, state: { ...vault.state, allowance } }
    return commitMerge(parts, charged, merge, session)
  })
}

/** Inside the vault's section. */
export async function commitMerge(
  parts: Parts,
  vault: Vault,
  merge: KeychainMerge,
  session: Session | undefined,
): Promise<KeychainAppendAnswer> {
  const extension = draftExtension(vault, merge.added, merge.keychain)
  await parts.vaults.commit(extension.vault, extension.batch)
  parts.live.broadcast(extension.vault, extension.committed, session)
  return extension.vault.state.head
}

/** Undefined unless exactly these entries follow one another in the chain. */
async function answerRepeat(
  parts: Parts,
  vault: Vault,
  entries: readonly Uint8Array[],
): Promise<KeychainAppendAnswer | undefined> {
  const { hashes } = vault.keychain
  const isThere = entries.every((entry) => {
    const { index, hash } = parseKeychainEntry(entry)
    const stored = hashes[index]
    return stored !== undefined && equalBytes(stored, hash)
  })
  if (!isThere) return undefined
  const seq = await findEntrySeq(parts, vault, entries[entries.length - 1] as Uint8Array)
  const logEntry = seq === undefined ? undefined : await parts.store.get(vault.keys.logEntry(seq))
  if (seq === undefined || logEntry === undefined) {
    throw new Error('a keychain entry without its log entry')
  }
  return { seq, chain: logEntryChain(logEntry) }
}

function race(vault: Vault, head: Hash): ProtocolError {
  return new ProtocolError(
    'keychain-race',
    'the keychain has other entries by now: fetch them and decide again',
    { details: { head, length: vault.keychain.hashes.length } },
  )
}
