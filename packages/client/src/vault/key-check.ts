/**
 * Key check, the drill: whether a way back into the vault opens the keys of now, tried against the
 * keychain that this device holds and, where the remote can be reached, against the one that it
 * serves. Nothing is stored, appended or taken.
 */
import {
  equalBytes,
  findMember,
  type Keychain,
  mergeKeychain,
  newestEpoch,
  parseKeychainEntry,
} from '@blindcopy/protocol'
import { openKeyring, verifySignature } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import { fetchKeychain } from '../sync/keychain-fetch.ts'
import { logIn } from '../sync/session.ts'
import {
  checkRecovery,
  openRecovery,
  type Recovery,
  type RecoverySource,
} from './recovery-source.ts'
import type { KeysDesk } from './vault-keys.ts'

export type KeyCheck = {
  readonly form: Recovery['form']
  /** When the backup was made; null for the phrase, which is as old as the vault. */
  readonly madeMs: number | null
  /** The epoch whose keys it opened. */
  readonly epoch: number
  /** Whether the remote was asked too. */
  readonly isRemoteAsked: boolean
  /** What has changed in the list of devices since the backup was made. */
  readonly since: {
    readonly devicesAdded: number
    readonly membersRevoked: number
    readonly epochs: number
  }
}

/** Throws `wrong-phrase`, `wrong-vault`, `key-revoked`, `keychain-outdated` or `key-mismatch`. */
export async function checkKey(desk: KeysDesk, source: RecoverySource): Promise<KeyCheck> {
  const recovery = await openRecovery(source)
  try {
    const served = await askRemote(desk)
    const keychain = served ?? desk.membership.keychain
    checkRecovery(recovery, keychain)
    openKeyring({ keychain, holder: recovery.keys }).wipe()
    const { form } = recovery
    const madeMs = madeMsOf(recovery, keychain)
    const isRemoteAsked = served !== undefined
    const since = changesAfter(keychain, lengthAt(recovery, keychain))
    return { form, madeMs, epoch: newestEpoch(keychain)?.epoch ?? 0, isRemoteAsked, since }
  } finally {
    recovery.wipe()
  }
}

/** The keychain as the remote has it; undefined when it does not answer. */
async function askRemote({
  membership,
  transport,
  identity,
}: KeysDesk): Promise<Keychain | undefined> {
  try {
    const { keychain } = membership
    const { token } = await logIn(transport, identity)
    const entries = await fetchKeychain(transport, token, keychain.entries)
    return mergeKeychain(keychain, entries, verifySignature).keychain
  } catch (error) {
    const isAway = ['network', 'not-a-remote', 'busy', 'unknown-vault'].includes(
      codeOf(error) ?? '',
    )
    if (isAway) return undefined
    throw error
  }
}

/** Shares do not say when they were made; the entry that added their key does. */
function madeMsOf({ madeMs, keys }: Recovery, keychain: Keychain): number | null {
  return madeMs ?? findMember(keychain, keys.memberId)?.addedMs ?? null
}

/** How long the keychain was when the backup was made. */
function lengthAt({ madeAt, keys }: Recovery, keychain: Keychain): number {
  if (madeAt !== undefined) {
    const index = keychain.hashes.findIndex((hash) => equalBytes(hash, madeAt.head))
    return index < 0 ? 0 : index + 1
  }
  return (findMember(keychain, keys.memberId)?.entryIndex ?? 0) + 1
}

function changesAfter(keychain: Keychain, length: number): KeyCheck['since'] {
  const payloads = keychain.entries.slice(length).map((entry) => parseKeychainEntry(entry).payload)
  const revoked = payloads.flatMap((one) => (one.type === 'member-revoke' ? one.memberIds : []))
  return {
    devicesAdded: payloads.filter((one) => one.type === 'member-add' && one.kind === 'device')
      .length,
    membersRevoked: revoked.length,
    epochs: payloads.filter(({ type }) => type === 'epoch').length,
  }
}
