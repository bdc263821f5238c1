/**
 * Session: how a member logs in, and how every later request shows that it may.
 *
 * A login is a signature over the vault, the member, a nonce of ours and the address the member
 * believes it talks to. That address must be one of ours: a login that a phishing host relays names
 * the phishing host. Each request looks the member up in the keychain as it is then, so that a
 * revocation needs no list of tokens.
 */
import {
  type ChallengeAnswer,
  type ChallengeRequest,
  checkSignature,
  loginSignedBytes,
  type MemberId,
  ProtocolError,
  parseVaultId,
  type SessionAnswer,
  type SessionRequest,
  type SigningPublicKey,
  signingKeyOf,
} from '@blindcopy/protocol'
import { memberIndexKey } from '@blindcopy/secondary'
import { challengeFailed } from './challenge.ts'
import { checkOrigin } from './origin.ts'
import type { Parts } from './parts.ts'
import { type Session, sessionRequired } from './token.ts'
import { mustVault, type Vault } from './vaults.ts'

/** Who asks, and the vault as it was when the request came. */
export type Caller = { readonly vault: Vault; readonly session: Session }

/**
 * Of a vault, whether it is here or not; or of the one that a recovery key was added to, which only
 * its holder can name. Throws `unknown-vault` for a key that is in none.
 */
export async function beginChallenge(
  parts: Parts,
  request: ChallengeRequest,
): Promise<ChallengeAnswer> {
  if ('vaultId' in request) return parts.challenges.begin(request.vaultId)
  const found = await parts.store.get(memberIndexKey(request.signingKey))
  if (found === undefined) {
    throw new ProtocolError('unknown-vault', 'this remote has no vault with that recovery key')
  }
  const vaultId = parseVaultId(found)
  return { ...parts.challenges.begin(vaultId), vaultId }
}

export async function beginSession(parts: Parts, request: SessionRequest): Promise<SessionAnswer> {
  const { vaultId, memberId } = request
  const expiresMs = parts.challenges.take(vaultId, request.nonce)
  if (expiresMs !== request.expiresMs) challengeFailed('the nonce expires at another time')
  checkOrigin(parts, request.origin)
  const vault = mustVault(await parts.vaults.read(vaultId))
  const signingKey = mustMember(vault, memberId)
  if (!checkSignature(parts.verify, loginSignedBytes(request), request.signature, signingKey)) {
    challengeFailed('the signature is wrong')
  }
  // Asked again where nothing can come between: a revocation that is being written wins. Only now,
  // so that nobody without a good signature waits in the vault's section.
  return parts.vaults.exclusively(vaultId, async (found) => {
    const present = mustVault(found)
    mustMember(present, memberId)
    const { syncId, head, keychainLength } = present.state
    return {
      ...parts.tokens.issue({ vaultId, memberId }),
      syncId,
      head: [head.seq, head.chain],
      keychainLength,
    }
  })
}

/** Checks the `Authorization` header. */
export async function authorize(parts: Parts, header: string | undefined): Promise<Caller> {
  const token = /^Bearer ([A-Za-z0-9_-]+)$/i.exec(header ?? '')?.[1]
  return authorizeToken(parts, token ?? sessionRequired())
}

async function authorizeToken(parts: Parts, token: string): Promise<Caller> {
  const session = parts.tokens.open(token)
  const vault = mustVault(await parts.vaults.read(session.vaultId))
  mustMember(vault, session.memberId)
  return { vault, session }
}

/** The key of an active member, or of the root. Throws `not-a-member`. */
export function mustMember(vault: Pick<Vault, 'keychain'>, memberId: MemberId): SigningPublicKey {
  const signingKey = signingKeyOf(vault.keychain, memberId)
  if (signingKey !== undefined) return signingKey
  throw new ProtocolError('not-a-member', 'this device is not a member of the vault')
}
