/**
 * Creation: how a vault comes to be here, and how it comes back to a remote that lost it or lags.
 *
 *   offered chain, against the stored one   answer
 *     no vault stored                       created, if registration allows
 *     equal, or shorter                     the stored one's further entries
 *     an extension                          its new part is appended
 *     a fork                                keychain-forked
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
  extendKeychain,
  FINGERPRINT_BYTES,
  type Keychain,
  keychainHead,
  ProtocolError,
  parseKeychainEntry,
  parseSyncId,
  validateKeychain,
} from '@blindcopy/protocol'
import { remoteKeyspace } from '@blindcopy/secondary'
import { ALLOWANCE_NONE, spend } from './allowance.ts'
import { challengeFailed } from './challenge.ts'
import { draftExtension, readEntries } from './keychain-log.ts'
import { checkOrigin } from './origin.ts'
import type { Parts } from './parts.ts'
import { checkRegistration } from './registration.ts'
import { mustMember } from './session.ts'
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
  const keychain = validateKeychain(vaultId, entries, parts.verify)
  checkOffer(parts, keychain, request)
  const empty: Vault = {
    vaultId,
    keys: remoteKeyspace(vaultId),
    keychain,
    state: {
      syncId: parseSyncId(parts.random(16)),
      head: { seq: 0, chain: chainStart(vaultId) },
      count: 0,
      fingerprint: new Uint8Array(FINGERPRINT_BYTES),
      greatestMs,
      keychainLength: 0,
      keychainBytes: 0,
      allowance: ALLOWANCE_NONE,
    },
  }
  const { vault, batch } = draftExtension(empty, entries, keychain)
  await parts.vaults.commit(vault, batch)
  return answerOf(vault, [])
}

async function offerTo(parts: Parts, vault: Vault, request: CreateRequest): Promise<CreateAnswer> {
  const { entries } = request
  const stored = vault.keychain
  const common = countCommon(stored, entries)
  const offered = extendKeychain(
    common === stored.hashes.length ? stored : commonPart(parts, request, common),
    entries.slice(Math.max(common, 1)),
    parts.verify,
  )
  checkOffer(parts, offered, request)
  if (common < entries.length && common < stored.hashes.length) {
    throw new ProtocolError('keychain-forked', 'the keychain forks from the one stored here', {
      details: { length: stored.hashes.length, common, head: keychainHead(stored) },
    })
  }
  // Who was revoked by entries beyond what it offers learns nothing of them.
  if (common === entries.length) mustMember(vault, request.memberId)
  return takeOffer(parts, vault, { request, offered })
}

/** At least the genesis. What is equal to the stored part was checked when it was stored. */
function commonPart(parts: Parts, { vaultId, entries }: CreateRequest, common: number): Keychain {
  if (common === 0) return validateKeychain(vaultId, entries.slice(0, 1), parts.verify)
  return validateKeychain(vaultId, entries.slice(0, common), () => true)
}

async function takeOffer(
  parts: Parts,
  vault: Vault,
  { request, offered }: { request: CreateRequest; offered: Keychain },
): Promise<CreateAnswer> {
  const fresh = request.entries.slice(vault.keychain.hashes.length)
  const greatestMs = Math.max(vault.state.greatestMs, request.greatestMs)
  const allowance = spend(vault.state.allowance, {
    memberId: request.memberId,
    what: 'appends',
    // As one, however many: a remote that was put back must get back all it lost.
    amount: fresh.length > 0 ? 1 : 0,
    nowMs: parts.nowMs(),
  })
  const stated: Vault = { ...vault, state: { ...vault.state, greatestMs, allowance } }
  if (fresh.length === 0) {
    if (greatestMs > vault.state.greatestMs) await parts.vaults.commit(stated, [])
    return answerOf(stated, await readEntries(parts, stated, request.entries.length))
  }
  const extension = draftExtension(stated, fresh, offered)
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
    const hash = stored.hashes[common]
    if (hash === undefined || !equalBytes(hash, parseKeychainEntry(entry).hash)) break
    common++
  }
  return common
}

const answerOf = ({ state }: Vault, entries: Uint8Array[]): CreateAnswer => ({
  syncId: state.syncId,
  head: [state.head.seq, state.head.chain],
  entries,
})
