/**
 * Keychain merge: what becomes of the chain that is held when another end serves entries.
 *
 *   an entry that stands here             nothing
 *   one that follows the head             it is appended
 *   one that the root has replaced        nothing: its branch has given way
 *   a root's `replace` that names my head the chain goes back to where it stands, and on from there
 *   anything else that differs            `keychain-forked`: nothing chooses between two members
 *
 * So an end may store entries in the order they came to it, replaced ones included: going through
 * them again leads to the same chain (`replayKeychain`). Another end, which stood on another
 * branch, needs the chain as it is now.
 */
import { equalBytes, formatHex } from './bytes.ts'
import { ProtocolError } from './error.ts'
import type { Hash, VaultId } from './ids.ts'
import {
  appendEntries,
  checkSettled,
  type Keychain,
  keychainBefore,
  keychainHead,
  validateKeychain,
} from './keychain.ts'
import { type KeychainEntry, parseKeychainEntry } from './keychain-entry.ts'
import { invalid } from './keychain-rules.ts'
import type { VerifySignature } from './signature.ts'

export type KeychainMerge = {
  readonly keychain: Keychain
  /** Those of the entries that were not known here, in their order. */
  readonly added: readonly Uint8Array[]
  /** The chain as it was before a branch of the root's took its place; undefined when none did. */
  readonly replaced: Keychain | undefined
}

/**
 * Takes entries that another end serves. Throws `keychain-forked` or `keychain-invalid`, and
 * nothing is changed.
 */
export function mergeKeychain(
  held: Keychain,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): KeychainMerge {
  let keychain = held
  let replaced: Keychain | undefined
  const added: Uint8Array[] = []
  for (const bytes of entries) {
    const entry = parseKeychainEntry(bytes)
    const own = keychain.hashes[entry.index]
    const isKnown = own !== undefined && equalBytes(own, entry.hash)
    if (isKnown || keychain.replaced.has(formatHex(entry.hash))) continue
    // What goes on from a replaced entry is a fork too, wherever it would stand.
    if (own !== undefined || keychain.replaced.has(formatHex(entry.previous))) {
      checkReplaces(keychain, entry)
      replaced ??= keychain
      keychain = keychainBefore(keychain, entry.index)
    }
    keychain = appendEntries(keychain, [bytes], verify)
    added.push(bytes)
  }
  return { keychain: checkSettled(keychain), added, replaced }
}

/** The chain that entries lead to in the order in which they came to one end. */
export function replayKeychain(
  vaultId: VaultId,
  entries: readonly Uint8Array[],
  verify: VerifySignature,
): Keychain {
  const [first, ...rest] = entries
  if (first === undefined) return invalid('it is empty')
  return mergeKeychain(validateKeychain(vaultId, [first], verify), rest, verify).keychain
}

/** Whether whoever holds `held` may go over to a chain that has this entry in it. */
export function replacesHead(held: Keychain, entry: KeychainEntry): boolean {
  const head = keychainHead(held)
  return (
    entry.payload.type === 'replace' &&
    entry.payload.replaced.some((hash) => equalBytes(hash, head))
  )
}

/** The entry's signature is checked when it is appended; until then nothing is kept. */
function checkReplaces(held: Keychain, entry: KeychainEntry): void {
  if (replacesHead(held, entry)) return
  throw new ProtocolError(
    'keychain-forked',
    'there are two lists of devices, and neither follows from the other',
    { details: { length: held.hashes.length, common: entry.index } },
  )
}

/** The longest part that two chains of one vault share and that no epoch is missing after. */
export function commonKeychain(one: Keychain, other: Keychain): Keychain {
  const sizeMax = Math.min(one.hashes.length, other.hashes.length)
  let common = 0
  while (common < sizeMax && equalBytes(one.hashes[common] as Hash, other.hashes[common] as Hash)) {
    common++
  }
  return settledBefore(one, common)
}

/** The longest part of a chain, up to a length, that no epoch is missing after. */
export function settledBefore(whole: Keychain, length: number): Keychain {
  let keychain = keychainBefore(whole, 1)
  let settled = keychain
  for (const entry of whole.entries.slice(1, length)) {
    keychain = appendEntries(keychain, [entry], () => true)
    if (keychain.unsettled === 0) settled = keychain
  }
  return settled
}
