/**
 * Recovery source: what a person still has when a device is lost, opened: the phrase, a key file
 * with its passphrase, or enough shares. Each gives key pairs that the keychain knows, and what it
 * remembers of the vault it was made for.
 */
import {
  equalBytes,
  equalBytesConstantTime,
  findMember,
  findRevoked,
  type Hash,
  type Keychain,
  knowsEntry,
  type VaultId,
} from '@blindcopy/protocol'
import {
  deriveRoot,
  type MemberKeys,
  parsePhrase,
  type RecoverySeed,
  recoveryKeysOf,
  recoveryVaultProof,
} from '@blindcopy/vault'
import { isKit, parseKit } from '../backup/emergency-kit.ts'
import { ClientError } from '../error.ts'

/** One of the ways back into a vault. */
export type RecoverySource =
  /** The 24 words, or an emergency kit: its page, or the text of its QR code. */
  | { readonly recoveryPhrase: string }
  /** The text of a key file. */
  | { readonly keyFile: string; readonly keyFilePassphrase: string }
  /** At least as many shares of one set as it was made to need. */
  | { readonly shares: readonly string[] }

export type RecoveryForm = 'phrase' | 'key-file' | 'shares'

/** Keys that may open a vault and add a device to it. Wipe it. */
export type Recovery = {
  readonly form: RecoveryForm
  readonly keys: MemberKeys
  /** Unknown to shares, which have no room for it. */
  readonly vaultId: VaultId | undefined
  /** Where the remote was when a key file was made; empty for unknown. */
  readonly remote: string
  readonly madeMs: number | undefined
  /** The keychain then: one that lacks it is another, or older. */
  readonly madeAt: { readonly head: Hash; readonly length: number } | undefined
  /** Of a recovery key; throws nothing. */
  provesVault(keychain: Keychain): boolean
  wipe(): void
}

/** Throws what is wrong with the words, the file, its passphrase or the shares. */
export async function openRecovery(source: RecoverySource): Promise<Recovery> {
  if ('recoveryPhrase' in source) return openPhrase(source.recoveryPhrase)
  if ('shares' in source) {
    const { combineShares } = await import('./recovery-opening.ts')
    return recoveryOf('shares', await combineShares(source.shares))
  }
  const { decodeRecoveryFile } = await import('./recovery-opening.ts')
  const file = await decodeRecoveryFile(source.keyFile, source.keyFilePassphrase)
  const { vaultId, remote, madeAtMs: madeMs, keychainHead: head, keychainLength: length } = file
  const madeAt = { head, length }
  return { ...recoveryOf('key-file', file.seed), vaultId, remote, madeMs, madeAt }
}

function openPhrase(text: string): Recovery {
  const kit = isKit(text) ? parseKit(text) : undefined
  const rootSecret = parsePhrase(kit?.recoveryPhrase ?? text)
  const root = deriveRoot(rootSecret)
  rootSecret.wipe()
  return {
    form: 'phrase',
    keys: root,
    vaultId: root.vaultId,
    remote: kit?.remote ?? '',
    madeMs: undefined,
    madeAt: undefined,
    provesVault: (keychain) => equalBytes(keychain.vaultId, root.vaultId),
    wipe: () => root.wipe(),
  }
}

function recoveryOf(form: RecoveryForm, seed: RecoverySeed): Recovery {
  const keys = recoveryKeysOf(seed)
  return {
    form,
    keys,
    vaultId: undefined,
    remote: '',
    madeMs: undefined,
    madeAt: undefined,
    provesVault: (keychain) => {
      const member = findMember(keychain, keys.memberId) ?? findRevoked(keychain, keys.memberId)
      const expected = recoveryVaultProof(seed, keychain.vaultId)
      const { vaultProof } = member ?? {}
      return (
        vaultProof !== undefined &&
        vaultProof !== null &&
        equalBytesConstantTime(vaultProof, expected)
      )
    },
    wipe: () => {
      keys.wipe()
      seed.wipe()
    },
  }
}

const OF_OLD_COPY =
  'the list of devices is older than this key file: the remote was put back from an old copy; use the recovery phrase, or a device that is left'
const OF_OTHER_LIST =
  'the list of devices is not the one this key file was made with: use the recovery phrase, and do not trust this remote'

/**
 * Whether a keychain is the one that these keys were made for, and still takes them. Throws
 * `wrong-vault`, `key-revoked` or `keychain-outdated`, each with what to do.
 */
export function checkRecovery(recovery: Recovery, keychain: Keychain): void {
  const { form, keys, vaultId, madeAt } = recovery
  const isOther = vaultId !== undefined && !equalBytes(vaultId, keychain.vaultId)
  if (isOther || (!isHere(recovery, keychain) && madeAt === undefined)) throw wrongVault(form)
  if (form !== 'phrase' && findRevoked(keychain, keys.memberId) !== undefined) {
    throw new ClientError(
      'key-revoked',
      `${NAMES[form]} was revoked: use the recovery phrase, or another backup of the keys`,
    )
  }
  if (madeAt !== undefined && !knowsEntry(keychain, madeAt.head)) {
    const isShorter = keychain.hashes.length < madeAt.length
    throw new ClientError('keychain-outdated', isShorter ? OF_OLD_COPY : OF_OTHER_LIST)
  }
  if (!recovery.provesVault(keychain)) throw wrongVault(form)
}

const isHere = ({ form, keys }: Recovery, keychain: Keychain): boolean =>
  form === 'phrase' ||
  findMember(keychain, keys.memberId) !== undefined ||
  findRevoked(keychain, keys.memberId) !== undefined

const NAMES: Readonly<Record<RecoveryForm, string>> = {
  phrase: 'the recovery phrase',
  'key-file': 'this key file',
  shares: 'this set of shares',
}

function wrongVault(form: RecoveryForm): ClientError {
  const code = form === 'phrase' ? 'wrong-phrase' : 'wrong-vault'
  return new ClientError(
    code,
    `${NAMES[form]} does not belong to this vault: check that it is the right one`,
  )
}
