/**
 * Creation: how a vault comes to be here, and how it comes back to a remote that lost it or lags.
 *
 *   offered chain, against the stored one   answer
 *     no vault stored                       created, if registration allows
 *     equal, or shorter                     the stored one's further entries
 *     an extension                          its new part is appended
 *     one that the root has replaced        the stored one's entries from where they part
 *     a branch of the root's that names
 *       the stored head                     it takes the place of what it names
 *     any other fork                        keychain-forked
 *
 * Whoever offers signs a nonce of ours, and must be a member at the end of what it offers. The
 * chain proves itself from the vault id alone, so a vault that is known here needs no token.
 */
import {
  type CreateAnswer,
  type CreateRequest,
  chainStart,
  checkSignature,
  createSignedBytes,
  equalBytes,
  formatHex,
  type Keychain,
  type KeychainMerge,
  keychainBefore,
  keychainHead,
  mergeKeychain,
  ProtocolError,
  parseKeychainEntry,
  parseSyncId,
} from '@blindcopy/protocol'
import { remoteKeyspace } from '@blindcopy/secondary'
import { spend } from './allowance.ts'
import { challengeFailed } from './challenge.ts'
import { appendInTurns, extendInTurns, validateInTurns } from './keychain-check.ts'
import { countCounted, draftExtension, entriesFrom } from './keychain-log.ts'
import { clearVaultKeys } from './leftovers.ts'
import { checkOrigin } from './origin.ts'
import type { Parts } from './parts.ts'
import { checkDevices, quotaOf } from './quota.ts'
import { checkRegistration } from './registration.ts'
import { mustMember } from './session.ts'
import { beginState } from './vault-state.ts'
import type { Vault } from './vaults.ts'

/** What a timestamp can hold. */
const MILLISECONDS_MAX = 2 ** 48 - 1

export async function createVault(parts: Parts, request: CreateRequest): Promise<CreateAnswer> {
  parts.challenges.take(request.vaultId, request.nonce)
  checkOrigin(parts, request.origin)
  if (request.greatestMs > MILLISECONDS_MAX) {
    throw new ProtocolError('malformed', 'greatestMs is beyond what a timestamp can hold')
  }
  return parts.vaults.exclusively(request.vaultId, (vault) =>
    vault === undefined ? createNew(parts, request) : offerTo(parts, vault, request),
  )
}

async function createNew(parts: Parts, request: CreateRequest): Promise<CreateAnswer> {
  const { vaultId, entries, greatestMs } = request
  // Before the chain is checked, which costs us more than it costs whoever sends it.
  checkRegistration(parts.registration, request.registrationToken)
  const keychain = await validateInTurns(parts, vaultId, entries)
  checkOffer(parts, keychain, request)
  const empty: Vault = {
    vaultId,
    keys: remoteKeyspace(vaultId),
    keychain,
    state: beginState({
      syncId: parseSyncId(parts.random(16)),
      head: { seq: 0, chain: chainStart(vaultId) },
      greatestMs,
      createdMs: parts.nowMs(),
    }),
  }
  checkDevices(parts.limits.quota, undefined, keychain)
  // What an interrupted deletion or restore has left would be taken for this vault's.
  await clearVaultKeys(parts.store, vaultId)
  const { vault, batch } = draftExtension(empty, entries, keychain)
  await parts.vaults.commit(vault, batch)
  return answerOf(vault, [])
}

async function offerTo(parts: Parts, vault: Vault, request: CreateRequest): Promise<CreateAnswer> {
  const { entries } = request
  const stored = vault.keychain
  const common = countCommon(stored, entries)
  const isBehind = common === entries.length || hasGivenWay(stored, entries, common)
  const offered = await validateOffered(parts, vault, entries, common)
  checkOffer(parts, offered, request)
  if (isBehind) {
    // Who was revoked by entries beyond what it offers learns nothing of them.
    mustMember(vault, request.memberId)
    return takeOffer(parts, vault, { request, merge: { keychain: stored, added: [] }, common })
  }
  if (common === stored.hashes.length) {
    const merge = { keychain: offered, added: entries.slice(common) }
    return takeOffer(parts, vault, { request, merge, common: entries.length })
  }
  // Throws `keychain-forked` unless it is the root's word against the stored one. Every signature
  // was checked above, or when it was stored.
  const merge = mergeKeychain(stored, entries, () => true)
  return takeOffer(parts, vault, { request, merge, common: merge.keychain.hashes.length })
}

/** Whether the root has put other entries in the place of what is offered. */
function hasGivenWay(stored: Keychain, entries: readonly Uint8Array[], common: number): boolean {
  const last = entries[entries.length - 1]
  if (last === undefined || common >= stored.hashes.length) return false
  return stored.replaced.has(formatHex(parseKeychainEntry(last).hash))
}

/** What is equal to the stored part was checked when it was stored. */
async function validateOffered(
  parts: Parts,
  { vaultId, keychain }: Vault,
  entries: readonly Uint8Array[],
  common: number,
): Promise<Keychain> {
  if (common === 0) return validateInTurns(parts, vaultId, entries)
  if (common === keychain.hashes.length) {
    return extendInTurns(parts, keychain, entries.slice(common))
  }
  const { nextTurn } = parts
  const unchecked = { nextTurn, verify: () => true }
  const begun = await appendInTurns(
    unchecked,
    keychainBefore(keychain, 1),
    entries.slice(1, common),
  )
  return extendInTurns(parts, begun, entries.slice(common))
}

async function takeOffer(
  parts: Parts,
  vault: Vault,
  offer: {
    readonly request: CreateRequest
    readonly merge: Pick<KeychainMerge, 'keychain' | 'added'>
    /** From where on the one who offers lacks what is stored. */
    readonly common: number
  },
): Promise<CreateAnswer> {
  const { request, merge, common } = offer
  const { added } = merge
  const greatestMs = Math.max(vault.state.greatestMs, request.greatestMs)
  const allowance = spend(vault.state.allowance, {
    memberId: request.memberId,
    what: 'appends',
    // As one, however many: a remote that was put back must get back all it lost.
    amount: countCounted(vault.keychain, added) > 0 ? 1 : 0,
    nowMs: parts.nowMs(),
  })
  const stated: Vault = { ...vault, state: { ...vault.state, greatestMs, allowance } }
  if (added.length === 0) {
    if (greatestMs > vault.state.greatestMs) await parts.vaults.commit(stated, [])
    return answerOf(stated, entriesFrom(stated, common))
  }
  checkDevices(quotaOf(stated.state, parts.limits), stated.keychain, merge.keychain)
  const extension = draftExtension(stated, added, merge.keychain)
  await parts.vaults.commit(extension.vault, extension.batch)
  parts.live.broadcast(extension.vault, extension.committed, undefined)
  return answerOf(extension.vault, [])
}

function checkOffer(parts: Parts, keychain: Keychain, request: CreateRequest): void {
  const signingKey = mustMember({ keychain }, request.memberId)
  const statement = { ...request, keychainHead: keychainHead(keychain) }
  if (!checkSignature(parts.verify, createSignedBytes(statement), request.signature, signingKey)) {
    challengeFailed('the signature is wrong')
  }
}

/** How many entries from the first on are those that are stored. */
function countCommon(stored: Keychain, entries: readonly Uint8Array[]): number {
  let common = 0
  for (const entry of entries) {
    // An entry has one spelling, so that none has to be parsed to be compared.
    const own = stored.entries[common]
    if (own === undefined || !equalBytes(own, entry)) break
    common++
  }
  return common
}

const answerOf = ({ state }: Vault, entries: Uint8Array[]): CreateAnswer => ({
  syncId: state.syncId,
  head: [state.head.seq, state.head.chain],
  entries,
})
