/**
 * What an app does with the keys of a vault: who holds some, taking members out, new keys, ways
 * back in, and trying one of them without changing anything.
 *
 * All that changes the keychain is appended at the remote first, so that two devices never decide
 * against each other: it needs the remote. Nothing here ever hands out a key but the one backup
 * that was asked for. What is rarely done is loaded when it is.
 */
import {
  equalBytes,
  formatMemberId,
  type Keychain,
  type Member,
  type MemberId,
  newestEpoch,
} from '@blindcopy/protocol'
import type { WrittenShare } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import type { Platform } from '../platform.ts'
import type { DeviceNames } from './device-names.ts'
import type { KeyCheck } from './key-check.ts'
import type { KeychainDesk } from './keychain-desk.ts'
import { addedBy, findListed } from './listed-members.ts'
import type { ReviewMembers } from './member-review.ts'
import type { MembershipTrouble } from './membership.ts'
import type { RecoverySource } from './recovery-source.ts'

/** One device or recovery key of the vault, as a person would want it listed. */
export type VaultDevice = {
  readonly deviceId: string
  readonly kind: 'device' | 'recovery'
  readonly name: string
  readonly addedMs: number
  /** The id of the member that added it; null for the recovery phrase. */
  readonly addedBy: string | null
  readonly isThis: boolean
}

export type RevokedDevice = VaultDevice & {
  readonly revokedMs: number
  readonly revokedBy: string | null
}

export type KeysStatus = {
  /** The period of the vault key that everything is sealed under now. */
  readonly epoch: number
  readonly epochBegunMs: number
  readonly devices: readonly VaultDevice[]
  readonly recoveryKeys: readonly VaultDevice[]
  readonly revoked: readonly RevokedDevice[]
  /** Why this device may not write any more; null for nothing. */
  readonly trouble: MembershipTrouble | null
}

export type RevokeOptions = {
  /** Members that these have added since then go with them; those of after the call always do. */
  readonly withAddedSinceMs?: number | undefined
}

export type CreatedKey = { readonly keyId: string }

export type VaultKeys = {
  /** As far as this device knows. */
  status(): KeysStatus
  /** Those that would go with members because these have added them. Throws `not-found`. */
  addedBy(memberIds: readonly string[], sinceMs: number): readonly VaultDevice[]
  /**
   * Takes members out, and begins an epoch whose key they do not get. Returns who went. Throws
   * `not-found`, `last-way-in`, `invalid-argument` for this device, `network`.
   */
  revoke(memberIds: readonly string[], options?: RevokeOptions): Promise<readonly VaultDevice[]>
  /** A new key for what is written from now on. */
  rotate(): Promise<void>
  /**
   * A recovery key as the text of a file, under a passphrase. Takes about a second. Throws
   * `passphrase-weak` and `network`.
   */
  createKeyFile(options: {
    passphrase: string
    name?: string
  }): Promise<CreatedKey & { readonly text: string }>
  /** A recovery key in shares, of which `threshold` are needed. Throws `share-count-refused`. */
  createShares(options: {
    threshold: number
    count: number
    name?: string
  }): Promise<CreatedKey & { readonly shares: readonly WrittenShare[] }>
  /**
   * Tries a way back in, and changes nothing, here or at the remote: whether it opens the keys of
   * now. Throws what would stop a restore.
   */
  verify(source: RecoverySource): Promise<KeyCheck>
  /**
   * Ends a fork of the list of devices (problem `keychain-forked`) by the recovery phrase. `review`
   * is shown the members of both, answers who stays; without it all do but those whom this device
   * knows to be removed.
   */
  endFork(options: { recoveryPhrase: string; review?: ReviewMembers }): Promise<void>
  /** Calls a device or recovery key something else, on every device. */
  rename(memberId: string, name: string): Promise<void>
}

export type KeysDesk = KeychainDesk & {
  readonly platform: Platform
  readonly remote: string
  readonly names: DeviceNames
  /** Throws `closed` or `locked`. */
  readonly checkOpen: () => void
  /** The keychain has changed: what waits may have to be sealed again. */
  readonly changed: () => void
}

export function vaultKeysOf(desk: KeysDesk): VaultKeys {
  const { membership, platform, checkOpen, changed } = desk
  const keychain = (): Keychain => membership.keychain
  const changing = async <T>(work: () => Promise<T>): Promise<T> => {
    checkOpen()
    try {
      return await work()
    } finally {
      changed()
    }
  }
  const listedIds = (ids: readonly string[]): MemberId[] => {
    if (Array.isArray(ids)) return ids.map((id) => findListed(keychain(), id))
    throw new ClientError('invalid-argument', 'give a list of the ids of devices or keys')
  }
  return {
    status: () => statusOf(desk),
    addedBy: (ids, sinceMs) =>
      addedBy(keychain(), listedIds(ids), { ms: sinceMs }).map((member) => deviceOf(desk, member)),
    revoke: (ids, { withAddedSinceMs = platform.nowMs() } = {}) =>
      changing(async () => {
        const memberIds = listedIds(ids)
        const { revoke } = await import('./key-changes.ts')
        const gone = await revoke(desk, memberIds, withAddedSinceMs)
        return gone.map((member) => deviceOf(desk, member))
      }),
    rotate: () => changing(async () => (await import('./key-changes.ts')).rotate(desk)),
    createKeyFile: (options) =>
      changing(async () => (await import('./recovery-backup.ts')).addKeyFile(desk, options)),
    createShares: (options) =>
      changing(async () => (await import('./recovery-backup.ts')).addShares(desk, options)),
    async verify(source) {
      checkOpen()
      return (await import('./key-check.ts')).checkKey(desk, source)
    },
    endFork: (options) => changing(async () => (await import('./fork.ts')).endFork(desk, options)),
    async rename(id, name) {
      checkOpen()
      const member = [...keychain().membersById.values()].find(
        ({ memberId }) => formatMemberId(memberId) === id,
      )
      if (member === undefined) findListed(keychain(), id)
      if (member === undefined) throw notActive()
      await desk.names.rename(member, name)
    },
  }
}

const notActive = (): ClientError =>
  new ClientError('not-found', 'that device was removed from the vault')

export function deviceOf({ membership, names }: KeysDesk, member: Member): VaultDevice {
  const { memberId, kind, addedMs } = member
  return {
    deviceId: formatMemberId(memberId),
    kind,
    name: names.nameOf(member),
    addedMs,
    addedBy: idOrRoot(membership.keychain, member.addedBy),
    isThis: equalBytes(memberId, membership.memberId),
  }
}

const idOrRoot = ({ root }: Keychain, memberId: MemberId): string | null =>
  equalBytes(memberId, root.memberId) ? null : formatMemberId(memberId)

function statusOf(desk: KeysDesk): KeysStatus {
  const { keychain, trouble = null } = desk.membership
  const members = [...keychain.membersById.values()].map((member) => deviceOf(desk, member))
  const newest = newestEpoch(keychain)
  return {
    epoch: newest?.epoch ?? 0,
    epochBegunMs: newest?.begunMs ?? 0,
    devices: members.filter(({ kind }) => kind === 'device'),
    recoveryKeys: members.filter(({ kind }) => kind === 'recovery'),
    revoked: [...keychain.revokedById.values()].map((member) => ({
      ...deviceOf(desk, member),
      revokedMs: member.revokedMs,
      revokedBy: idOrRoot(keychain, member.revokedBy),
    })),
    trouble,
  }
}
