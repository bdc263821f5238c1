/**
 * Keychain check: validates a long chain without holding up everybody else.
 *
 * The check of an entry takes about half a millisecond, so that of as long a chain as there can be
 * takes seconds, and whoever may make a vault may send one. Between some entries and the next ones
 * others get their turn.
 */
import {
  appendEntries,
  checkSettled,
  type Keychain,
  ProtocolError,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import type { Parts } from './parts.ts'

/** About ten milliseconds. */
const ENTRIES_A_TURN = 20

type CheckParts = Pick<Parts, 'verify' | 'nextTurn'>

/** As `validateKeychain`. Throws `keychain-invalid`. */
export async function validateInTurns(
  parts: CheckParts,
  vaultId: VaultId,
  entries: readonly Uint8Array[],
): Promise<Keychain> {
  const [first, ...rest] = entries
  if (first === undefined) throw new ProtocolError('keychain-invalid', 'the keychain is empty')
  return extendInTurns(parts, validateKeychain(vaultId, [first], parts.verify), rest)
}

/** As `extendKeychain`. Throws `keychain-invalid`. */
export async function extendInTurns(
  parts: CheckParts,
  keychain: Keychain,
  entries: readonly Uint8Array[],
): Promise<Keychain> {
  return checkSettled(await appendInTurns(parts, keychain, entries))
}

/** As `appendEntries`. Throws `keychain-invalid`. */
export async function appendInTurns(
  { verify, nextTurn }: CheckParts,
  keychain: Keychain,
  entries: readonly Uint8Array[],
): Promise<Keychain> {
  let extended = keychain
  for (let at = 0; at < entries.length; at += ENTRIES_A_TURN) {
    if (at > 0) await nextTurn()
    extended = appendEntries(extended, entries.slice(at, at + ENTRIES_A_TURN), verify)
  }
  return extended
}
