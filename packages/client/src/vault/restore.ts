/**
 * Restore: this device becomes a member of a vault by what is left of it: the phrase, a key file or
 * shares, and a remote that has the vault.
 *
 *   open the key ─▶ find the vault ─▶ check its keychain ─▶ who stays? ─▶ append ─▶ write folder
 *
 * Nothing is written here before the key was found to open the vault, and all that is appended
 * (this device, and the members that go with the epoch that they do not get) is one append.
 */
import {
  type Keychain,
  keychainHead,
  type MemberId,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  admitMember,
  type DeviceKeys,
  generateDeviceKeys,
  memberProof,
  openKeyring,
  type Root,
  replaceBranches,
  verifySignature,
} from '@blindcopy/vault'
import { ClientError, codeOf } from '../error.ts'
import type { Platform } from '../platform.ts'
import { logIn } from '../sync/session.ts'
import type { Transport } from '../sync/transport.ts'
import { createHttpTransport, formatRemoteUrl } from '../transport/http-transport.ts'
import { repeated } from './keychain-desk.ts'
import { judgeMembers, type MemberReview, type ReviewMembers } from './member-review.ts'
import { checkRecovery, openRecovery, type Recovery } from './recovery-source.ts'
import type { RestoreOptions } from './restore-door.ts'
import type { Vault } from './vault.ts'
import { emptyFolder, writeVault } from './vault-doors.ts'

export async function restore(platform: Platform, options: RestoreOptions): Promise<Vault> {
  const folder = await emptyFolder(platform, options.path)
  const recovery = await openRecovery(options)
  try {
    const remote = formatRemoteUrl(options.remote ?? recovery.remote)
    const device = generateDeviceKeys(platform.random)
    const transport = createHttpTransport(remote, platform)
    const deviceName = options.deviceName ?? platform.deviceName()
    const vaultId = await findVault(transport, recovery)
    const token = await logInAs(transport, recovery, vaultId)
    const { review } = options
    const joining = { transport, recovery, device, deviceName, platform, review, vaultId, token }
    const entries = (): Promise<Uint8Array[]> => joinBy(joining)
    return await writeVault(platform, folder, { ...options, vaultId, remote, entries, device })
  } finally {
    recovery.wipe()
  }
}

type Joining = {
  readonly transport: Transport
  readonly recovery: Recovery
  readonly device: DeviceKeys
  readonly deviceName: string
  readonly platform: Platform
  readonly review: ReviewMembers | undefined
  readonly vaultId: VaultId
  readonly token: string
}

const ATTEMPTS_MAX = 10

/** Appends this device to the keychain, and returns the whole of it. */
async function joinBy(joining: Joining): Promise<Uint8Array[]> {
  const { transport, recovery, review, vaultId, token } = joining
  let keep: readonly MemberId[] | undefined
  for (let attempt = 1; ; attempt++) {
    const served = await transport.keychain(token, 0)
    const keychain = validateKeychain(vaultId, served, verifySignature)
    checkRecovery(recovery, keychain)
    const members = judgeMembers(keychain, recovery.keys)
    // Asked once: whoever came while the person was choosing goes, unless nobody was asked.
    keep ??= await members.ask(review)
    const written = writeJoin(joining, keychain, members.after(keep))
    try {
      const { previous, entries } = written
      await repeated(() => transport.appendKeychain(token, { previous, entries: [...entries] }))
      return [...written.keychain.entries]
    } catch (error) {
      if (codeOf(error) !== 'keychain-race' || attempt >= ATTEMPTS_MAX) throw error
    }
  }
}

type Join = {
  readonly previous: ReturnType<typeof keychainHead>
  readonly entries: readonly Uint8Array[]
  readonly keychain: Keychain
}

function writeJoin(joining: Joining, keychain: Keychain, review: MemberReview): Join {
  const { recovery, device, deviceName: name, platform } = joining
  const { keys } = recovery
  const proof = memberProof(keychain.vaultId, device)
  const { signingKey, kemKey } = device
  const newcomer = { kind: 'device', signingKey, kemKey, proof } as const
  const writing = { nowMs: platform.nowMs(), random: platform.random }
  if (review.base !== undefined) {
    // Somebody who was thrown out stays: the root goes back to before that.
    const root = keys as Root
    const branch = { root, base: review.base, branches: [keychain], keep: review.keep }
    const joined = replaceBranches({ ...branch, ...writing, newcomer: { newcomer, name } })
    return { previous: keychainHead(review.base), ...joined }
  }
  const keyring = openKeyring({ keychain, holder: keys })
  try {
    const admitted = { keychain, keyring, signer: keys, newcomer, name, revoke: review.revoke }
    return { previous: keychainHead(keychain), ...admitMember({ ...admitted, ...writing }) }
  } finally {
    keyring.wipe()
  }
}

async function findVault(transport: Transport, { keys, vaultId }: Recovery): Promise<VaultId> {
  if (vaultId !== undefined) return vaultId
  try {
    return await transport.findVault(keys.signingKey)
  } catch (cause) {
    throw codeOf(cause) === 'unknown-vault' ? unknownKey(cause) : cause
  }
}

async function logInAs(
  transport: Transport,
  { form, keys }: Recovery,
  vaultId: VaultId,
): Promise<string> {
  try {
    const { memberId } = keys
    const identity = { vaultId, memberId, sign: (message: Uint8Array) => keys.sign(message) }
    return (await logIn(transport, identity)).token
  } catch (cause) {
    const code = codeOf(cause)
    if (code === 'not-a-member' && form !== 'phrase') {
      throw new ClientError(
        'key-revoked',
        'the remote does not take this key: it was revoked, or the remote is older than the key; use the recovery phrase, or another backup of the keys',
        { cause },
      )
    }
    if (code !== 'unknown-vault') throw cause
    if (form !== 'phrase') throw unknownKey(cause)
    throw new ClientError(
      'wrong-phrase',
      'the remote holds no vault of this recovery phrase: check the words, and the address of the remote',
      { cause },
    )
  }
}

function unknownKey(cause: unknown): ClientError {
  return new ClientError(
    'key-unknown',
    'the remote holds no vault with this key: check the address of the remote, and that the key was not revoked long ago',
    { cause },
  )
}
