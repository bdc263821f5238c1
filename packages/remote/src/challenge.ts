/**
 * Challenge: the nonces that logins and creations sign, each good once and for a minute.
 *
 * A nonce is forgotten when it is first presented, whether or not what came with it was right. It
 * is given for any vault id, so asking tells nobody which vaults exist. All that is kept is
 * bounded: a vault that asks too often loses its oldest, a process that holds too many answers
 * `busy`.
 */
import {
  CHALLENGE_MS,
  type ChallengeAnswer,
  formatHex,
  ProtocolError,
  type VaultId,
} from '@blindcopy/protocol'

export type Challenges = {
  begin(vaultId: VaultId): ChallengeAnswer
  /** Forgets the nonce; answers when it expires, or throws `challenge-failed`. */
  take(vaultId: VaultId, nonce: Uint8Array): number
}

type Outstanding = { readonly vault: string; readonly expiresMs: number }

const NONCE_BYTES = 32
const PER_VAULT_MAX = 64
const PER_PROCESS_MAX = 65_536

export function createChallenges(parts: {
  readonly nowMs: () => number
  readonly random: (sizeBytes: number) => Uint8Array
  readonly perProcessMax?: number
}): Challenges {
  const { nowMs, random, perProcessMax = PER_PROCESS_MAX } = parts
  // Both in the order they were given, which is the order they expire in.
  const byNonce = new Map<string, Outstanding>()
  const noncesByVault = new Map<string, Set<string>>()

  function forget(nonce: string): Outstanding | undefined {
    const outstanding = byNonce.get(nonce)
    if (outstanding === undefined) return undefined
    byNonce.delete(nonce)
    const nonces = noncesByVault.get(outstanding.vault)
    nonces?.delete(nonce)
    if (nonces?.size === 0) noncesByVault.delete(outstanding.vault)
    return outstanding
  }

  function forgetExpired(): void {
    for (const [nonce, { expiresMs }] of byNonce) {
      if (expiresMs > nowMs()) break
      forget(nonce)
    }
  }

  function begin(vaultId: VaultId): ChallengeAnswer {
    forgetExpired()
    const vault = formatHex(vaultId)
    const nonces = noncesByVault.get(vault) ?? new Set()
    const [oldest] = nonces
    if (oldest !== undefined && nonces.size >= PER_VAULT_MAX) forget(oldest)
    if (byNonce.size >= perProcessMax) {
      throw new ProtocolError('busy', 'too many logins are under way: try again', {
        details: { retryAfterSeconds: CHALLENGE_MS / 1000 },
      })
    }
    const nonce = random(NONCE_BYTES) as ChallengeAnswer['nonce']
    const expiresMs = nowMs() + CHALLENGE_MS
    const text = formatHex(nonce)
    byNonce.set(text, { vault, expiresMs })
    noncesByVault.set(vault, nonces.add(text))
    return { nonce, expiresMs }
  }

  function take(vaultId: VaultId, nonce: Uint8Array): number {
    const outstanding = forget(formatHex(nonce))
    if (outstanding?.vault !== formatHex(vaultId)) return challengeFailed('the nonce is not known')
    if (outstanding.expiresMs <= nowMs()) return challengeFailed('the nonce has expired')
    return outstanding.expiresMs
  }

  return { begin, take }
}

export function challengeFailed(why: string): never {
  throw new ProtocolError('challenge-failed', `${why}: ask for a new challenge and sign that`)
}
