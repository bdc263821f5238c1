/**
 * Restoring a vault from a backup and a way to recover it, onto a new device.
 *
 *   remote           this device is added to
 *   has the vault    the remote's keychain, which must continue that of the backup, or be continued
 *                    by it; at once, so that the next sync can log in
 *   does not         the backup's; the first sync registers the vault with that
 *   out of reach     the same; a remote that has gone on since then refuses this device, and the
 *                    backup is restored again when it can be reached
 *
 * Nothing is written before all of the backup was read once and the key has opened its keychain.
 * What follows may be killed: the folder is a vault by then, and taking the backup again goes on.
 */
import {
  extendKeychain,
  type Keychain,
  keychainHead,
  ProtocolError,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  addMember,
  type DeviceKeys,
  generateDeviceKeys,
  type KemHolder,
  memberProof,
  openKeyring,
  type Signer,
  verifySignature,
} from '@blindcopy/vault'
import { candidateKeychain } from '../carry/carrier.ts'
import { codeOf } from '../error.ts'
import { putRestoring } from '../local/restoring.ts'
import type { Platform } from '../platform.ts'
import { logIn } from '../sync/session.ts'
import type { Transport } from '../sync/transport.ts'
import { createHttpTransport, formatRemoteUrl } from '../transport/http-transport.ts'
import { repeated } from '../vault/keychain-desk.ts'
import { checkRecovery, openRecovery, type Recovery } from '../vault/recovery-source.ts'
import { emptyFolder, writeVault } from '../vault/vault-doors.ts'
import type { RestoreBackupOptions, RestoredBackup, WrittenOptions } from './restore-backup-door.ts'
import { type CheckedBackup, checkBackup } from './verify-backup.ts'

/** Whoever may add a device: the root of a phrase, or a recovery key. */
type Restorer = Signer & KemHolder

export async function restoreFromBackup(
  platform: Platform,
  options: RestoreBackupOptions,
): Promise<RestoredBackup> {
  const recovery = await openRecovery(options)
  try {
    return await restoreBackupBy(platform, recovery, options)
  } finally {
    recovery.wipe()
  }
}

/** As `restoreBackupOn`; `recovery` is borrowed. */
export async function restoreBackupBy(
  platform: Platform,
  recovery: Recovery,
  options: WrittenOptions,
): Promise<RestoredBackup> {
  const { backup, onProgress, registrationToken, path, passphrase } = options
  const remoteUrl = formatRemoteUrl(options.remote)
  const folder = await emptyFolder(platform, path)
  const checked = await checkBackup(backup)
  checkRecovery(recovery, checked.keychain)
  const restorer = recovery.keys
  const device = generateDeviceKeys(platform.random)
  const deviceName = options.deviceName ?? platform.deviceName()
  const joining = { restorer, device, deviceName, platform }
  // The key must open the vault before the remote is told of this device.
  const alone = joinKeychain(checked.keychain, joining)
  const transport = createHttpTransport(remoteUrl, platform)
  const { remote, entries } = await joinAt(transport, checked, { ...joining, alone })
  const { vaultId } = checked.keychain
  const { keyStore } = options
  const initial = [putRestoring(checked.digest)]
  const written = { vaultId, remote: remoteUrl, entries, device, passphrase, keyStore, initial }
  const vault = await writeVault(platform, folder, written)
  try {
    const report = await vault.backup.take(backup, { onProgress })
    // After the one that the backup holds, which it takes the place of.
    if (registrationToken !== undefined) await vault.setRegistrationToken(registrationToken)
    return { vault, report, remote }
  } catch (error) {
    await vault.close()
    throw error
  }
}

type Joining = {
  readonly restorer: Restorer
  readonly device: DeviceKeys
  readonly deviceName: string
  readonly platform: Platform
}

/** The entry that adds this device behind a keychain. Throws `key-mismatch`. */
function joinKeychain(keychain: Keychain, joining: Joining): Uint8Array {
  const { restorer, device, deviceName: name, platform } = joining
  const { signingKey, kemKey } = device
  const proof = memberProof(keychain.vaultId, device)
  const newcomer = { kind: 'device', signingKey, kemKey, proof } as const
  const keyring = openKeyring({ keychain, holder: restorer })
  try {
    const nowMs = platform.nowMs()
    const { random } = platform
    const writing = { keychain, signer: restorer, keyring, newcomer, name, nowMs, random }
    const entry = addMember(writing)
    extendKeychain(keychain, [entry], verifySignature)
    return entry
  } finally {
    keyring.wipe()
  }
}

const JOIN_ATTEMPTS_MAX = 10

async function joinAt(
  transport: Transport,
  backup: CheckedBackup,
  joining: Joining & { readonly alone: Uint8Array },
): Promise<{ remote: RestoredBackup['remote']; entries: readonly Uint8Array[] }> {
  const { restorer, alone } = joining
  const { vaultId } = backup.keychain
  const identity = { ...signerOf(restorer), vaultId }
  const offline = [...backup.entries, alone]
  let token: string
  try {
    token = (await logIn(transport, identity)).token
  } catch (error) {
    const code = codeOf(error)
    if (code === 'unknown-vault') return { remote: 'new', entries: offline }
    if (code === 'network') return { remote: 'unreachable', entries: offline }
    throw error
  }
  for (let attempt = 1; ; attempt++) {
    const served = validateKeychain(vaultId, await transport.keychain(token, 0), verifySignature)
    const keychain = continued(served, backup)
    const entry = joinKeychain(keychain, joining)
    const lacking = keychain.entries.slice(served.entries.length)
    const append = { previous: keychainHead(served), entries: [...lacking, entry] }
    try {
      await repeated(() => transport.appendKeychain(token, append))
      return { remote: 'joined', entries: [...keychain.entries, entry] }
    } catch (error) {
      // Another device appended first: look again, and sign for the chain as it is then.
      if (codeOf(error) !== 'keychain-race' || attempt >= JOIN_ATTEMPTS_MAX) throw error
    }
  }
}

const signerOf = ({ memberId, sign }: Restorer): Signer => ({ memberId, sign })

/** The longer of the two. Throws `keychain-forked` when neither continues the other. */
function continued(served: Keychain, backup: CheckedBackup): Keychain {
  try {
    return candidateKeychain(served, backup.entries)
  } catch (cause) {
    if (codeOf(cause) !== 'keychain-forked') throw cause
    throw new ProtocolError(
      'keychain-forked',
      'the remote has another list of devices than the backup: nothing was written; restore onto another remote, or ask your other devices',
      { cause },
    )
  }
}
