/**
 * Recovery backup: a new recovery key becomes a member of the keychain, and its seed leaves this
 * device once, as a file or as shares.
 *
 * The entry is appended before the seed is handed out: what the person keeps opens the vault from
 * the first moment. Where the answer is lost in between, a recovery key is listed that nobody has,
 * and can be revoked.
 */
import { formatMemberId, keychainHead, parseKeychainEntry } from '@blindcopy/protocol'
import {
  addMember,
  encodeRecoveryFile,
  generateRecoverySeed,
  memberProof,
  type RecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
  splitSeed,
  type WrittenShare,
} from '@blindcopy/vault'
import { appendAtRemote } from './keychain-desk.ts'
import type { CreatedKey, KeysDesk } from './vault-keys.ts'

export async function addKeyFile(
  desk: KeysDesk,
  options: { passphrase: string; name?: string },
): Promise<CreatedKey & { text: string }> {
  const { membership, platform, remote } = desk
  const seed = generateRecoverySeed(platform.random)
  try {
    const { vaultId } = membership.keychain
    const madeAtMs = platform.nowMs()
    const content = { seed, vaultId, madeAtMs, remote }
    const head = keychainHead(membership.keychain)
    // Before anything is appended: a passphrase that is refused leaves nothing behind.
    await encodeRecoveryFile(
      { ...content, keychainHead: head, keychainLength: 0 },
      options.passphrase,
      platform.random,
    )
    const { keyId, place } = await addRecoveryKey(desk, seed, options.name ?? 'key file')
    const text = await encodeRecoveryFile(
      { ...content, ...place },
      options.passphrase,
      platform.random,
    )
    return { keyId, text }
  } finally {
    seed.wipe()
  }
}

export async function addShares(
  desk: KeysDesk,
  options: { threshold: number; count: number; name?: string },
): Promise<CreatedKey & { shares: readonly WrittenShare[] }> {
  const { threshold, count } = options
  const { random } = desk.platform
  const seed = generateRecoverySeed(random)
  try {
    const shares = await splitSeed({ seed, threshold, count, random })
    const name = options.name ?? `shares, ${threshold} of ${count}`
    const { keyId } = await addRecoveryKey(desk, seed, name)
    return { keyId, shares }
  } finally {
    seed.wipe()
  }
}

type Added = CreatedKey & {
  /** Of the keychain with the key in it. */
  readonly place: {
    readonly keychainHead: ReturnType<typeof keychainHead>
    readonly keychainLength: number
  }
}

async function addRecoveryKey(desk: KeysDesk, seed: RecoverySeed, name: string): Promise<Added> {
  const { membership, platform } = desk
  const { vaultId } = membership.keychain
  const keys = recoveryKeysOf(seed)
  try {
    const { signingKey, kemKey, memberId } = keys
    const newcomer = {
      ...({ kind: 'recovery', signingKey, kemKey } as const),
      proof: memberProof(vaultId, keys),
      vaultProof: recoveryVaultProof(seed, vaultId),
    }
    const [entry] = await appendAtRemote(desk, (state) => {
      const { device: signer } = membership
      const { random } = platform
      return [addMember({ ...state, signer, newcomer, name, nowMs: platform.nowMs(), random })]
    })
    const { hash, index } = parseKeychainEntry(entry as Uint8Array)
    const place = { keychainHead: hash, keychainLength: index + 1 }
    return { keyId: formatMemberId(memberId), place }
  } finally {
    keys.wipe()
  }
}
