/**
 * Keychain append: a member adds signed entries at the end it knows.
 *
 * Whoever comes second gets `keychain-race` and looks again. An append that is there already, byte
 * for byte, was answered once and the answer lost: it succeeds again, with the seq it got then.
 */
import {
  decodeUint64,
  equalBytes,
  extendKeychain,
  type Hash,
  type KeychainAppendAnswer,
  type KeychainAppendRequest,
  keychainHead,
  ProtocolError,
  parseKeychainEntry,
} from '@blindcopy/protocol'
import { spend } from './allowance.ts'
import { countMemberSigned, draftExtension } from './keychain-log.ts'
import { logEntryChain } from './log-entry.ts'
import type { Parts } from './parts.ts'
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
    if (!equalBytes(previous, keychainHead(vault.keychain))) {
      return answerRepeat(parts, vault, { previous, entries })
    }
    const extended = extendKeychain(vault.keychain, entries, parts.verify)
    const allowance = spend(vault.state.allowance, {
      memberId: session.memberId,
      what: 'appends',
      amount: countMemberSigned(vault.keychain, entries),
      nowMs: parts.nowMs(),
    })
    const charged = { ...vault, state: { ...vault.state, allowance } }
    const extension = draftExtension(charged, entries, extended)
    await parts.vaults.commit(extension.vault, extension.batch)
    parts.live.broadcast(extension.vault, extension.committed, session)
    return extension.vault.state.head
  })
}

/** Throws `keychain-race` unless exactly these entries follow `previous` already. */
async function answerRepeat(
  parts: Parts,
  vault: Vault,
  { previous, entries }: KeychainAppendRequest,
): Promise<KeychainAppendAnswer> {
  const { hashes } = vault.keychain
  const first = hashes.findIndex((hash) => equalBytes(hash, previous)) + 1
  const isThere = entries.every((entry, i) => {
    const stored = hashes[first + i]
    return stored !== undefined && equalBytes(stored, parseKeychainEntry(entry).hash)
  })
  if (first === 0 || !isThere) throw race(vault, keychainHead(vault.keychain))
  const last = await parts.store.get(vault.keys.keychainEntry(first + entries.length - 1))
  const seq = last === undefined ? 0 : decodeUint64(last)
  const logEntry = await parts.store.get(vault.keys.logEntry(seq))
  if (logEntry === undefined) throw new Error('a keychain entry without its log entry')
  return { seq, chain: logEntryChain(logEntry) }
}

function race(vault: Vault, head: Hash): ProtocolError {
  return new ProtocolError(
    'keychain-race',
    'the keychain has other entries by now: fetch them and decide again',
    { details: { head, length: vault.keychain.hashes.length } },
  )
}
