/**
 * Verifying a backup, which changes nothing: without keys, that it is whole and was made by a
 * device of the vault it names; with keys, that everything in it opens; and beside an open vault,
 * how old it is: what has changed here since.
 *
 * The keychain is checked from the vault id alone. A backup of a made-up vault is whole as well:
 * whose it is, only a key or the vault itself can say.
 */
import {
  type Envelope,
  envelopeRecordId,
  envelopeTimestamp,
  formatBase64Url,
  formatHex,
  formatMemberId,
  formatVaultId,
  type Hash,
  isTombstone,
  type Keychain,
  type RecordId,
  type Timestamp,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  deriveRoot,
  type KemHolder,
  type Keyring,
  openEnvelope,
  openKeyring,
  parsePhrase,
  verifySignature,
} from '@blindcopy/vault'
import { checkMaker } from '../carry/bundle.ts'
import { readHeld, scanHeld } from '../carry/carried-source.ts'
import { type Carrier, candidateKeychain } from '../carry/carrier.ts'
import { type FileChecked, FileReading, readWholeFile } from '../carry/sealed-file.ts'
import { ClientError, codeOf } from '../error.ts'
import { opens } from '../local/arrival.ts'
import { isLater } from '../local/row.ts'
import { checkRecovery, openRecovery, type RecoverySource } from '../vault/recovery-source.ts'
import { BACKUP, type BackupProgress, type BackupSource } from './backup.ts'

export type BackupCheck = {
  readonly vaultId: string
  readonly madeMs: number
  /** The device that made it. */
  readonly madeBy: string
  /** Versions in it, and how many of them are deletions. */
  readonly count: number
  readonly deleted: number
  readonly sizeBytes: number
  /** Devices and recovery keys of the vault when it was made. */
  readonly members: number
}

export type BackupOpening = {
  readonly opened: number
  readonly unopened: number
  /** The first of what does not open, by record id. */
  readonly unopenedIds: readonly string[]
}

export type BackupComparison = {
  /** Of the list of devices: that of this device, an earlier or a later one, or another. */
  readonly keychain: 'same' | 'older' | 'newer' | 'forked'
  /** Records that are here in the same version. */
  readonly same: number
  /** Records that changed here since, and those that the backup has in a newer version. */
  readonly newerHere: number
  readonly newerInBackup: number
  /** Records that are not here, and those that the backup does not have. */
  readonly missingHere: number
  readonly missingInBackup: number
}

export type BackupDrill = BackupCheck & BackupOpening & BackupComparison

/** What opens a backup without a device: the root of a phrase, or a recovery key. */
export type BackupHolder = KemHolder & { readonly vaultId?: VaultId | undefined }

export const UNOPENED_LISTED_MAX = 100

export type CheckedBackup = BackupCheck & {
  readonly keychain: Keychain
  readonly entries: readonly Uint8Array[]
  readonly digest: Hash
}

type Look = (envelopes: readonly Envelope[]) => void | Promise<void>

/**
 * Reads all of a backup. Throws `backup-damaged`, `backup-cut`, `not-a-member`, `wrong-vault` or
 * `unsupported-version`.
 */
export async function checkBackup(
  source: BackupSource,
  options: {
    readonly vaultId?: VaultId | undefined
    readonly onProgress?: ((progress: BackupProgress) => void) | undefined
    /** How to look at what is in it, told when its keychain is known. */
    readonly look?: ((keychain: Keychain) => Look) | undefined
  } = {},
): Promise<CheckedBackup> {
  let keychain: Keychain | undefined
  let look: Look | undefined
  let deleted = 0
  let done = 0
  const checked = await readWholeFile(BACKUP, source(), {
    vaultId: options.vaultId,
    onEntries(entries, vaultId) {
      keychain = keychainOf(vaultId, entries)
      look = options.look?.(keychain)
    },
    async onEnvelopes(envelopes, total) {
      deleted += envelopes.filter((envelope) => isTombstone(envelope as Envelope)).length
      await look?.(envelopes as Envelope[])
      done += envelopes.length
      options.onProgress?.({ done, total: Math.max(total, done) })
    },
  })
  if (keychain === undefined) throw BACKUP.damaged('it has no list of devices', {})
  checkMaker(BACKUP, checked, keychain)
  const { entries, end } = checked
  return { ...factsOf(checked, keychain), deleted, keychain, entries, digest: end[1] }
}

function factsOf(
  { header, end, sizeBytes }: FileChecked,
  keychain: Keychain,
): Omit<BackupCheck, 'deleted'> {
  const [count, , madeBy] = end
  return {
    vaultId: formatVaultId(header.vaultId),
    madeMs: header.madeMs,
    madeBy: formatMemberId(madeBy),
    count,
    sizeBytes,
    members: keychain.membersById.size,
  }
}

function keychainOf(vaultId: VaultId, entries: readonly Uint8Array[]): Keychain {
  try {
    return validateKeychain(vaultId, entries, verifySignature)
  } catch (cause) {
    if (codeOf(cause) === 'keychain-unsupported') throw cause
    throw BACKUP.damaged('its list of devices does not hold', { cause })
  }
}

/** The vault of a backup and its keychain, checked; reads no further than that. */
export async function readBackupKeychain(source: BackupSource): Promise<{
  readonly vaultId: VaultId
  readonly keychain: Keychain
  readonly entries: readonly Uint8Array[]
}> {
  const reading = new FileReading(BACKUP)
  const entries: Uint8Array[] = []
  for await (const message of reading.messages(source())) {
    if (message.kind !== 'keychain') break
    for (const entry of message.content[0]) entries.push(entry.slice())
  }
  const { vaultId } = reading.header
  return { vaultId, keychain: keychainOf(vaultId, entries), entries }
}

export type VerifyOptions = {
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined
}

/** Whether a backup is whole; needs no key. */
export async function verifyBackup(
  source: BackupSource,
  options: VerifyOptions = {},
): Promise<BackupCheck> {
  const {
    keychain: _keychain,
    entries: _entries,
    digest: _digest,
    ...check
  } = await checkBackup(source, options)
  return check
}

/** The same, and whether a recovery phrase opens all of it. */
export async function verifyBackupByPhrase(
  source: BackupSource,
  recoveryPhrase: string,
  options: VerifyOptions = {},
): Promise<BackupCheck & BackupOpening> {
  const rootSecret = parsePhrase(recoveryPhrase)
  const root = deriveRoot(rootSecret)
  rootSecret.wipe()
  try {
    return await verifyBackupWith(source, root, options)
  } finally {
    root.wipe()
  }
}

/**
 * The same by any way to recover the vault. Throws what `restoreBackup` would: `wrong-vault`,
 * `key-revoked`, `keychain-outdated` for a key file that was made after the backup.
 */
export async function verifyBackupBy(
  source: BackupSource,
  recoverySource: RecoverySource,
  options: VerifyOptions = {},
): Promise<BackupCheck & BackupOpening> {
  const recovery = await openRecovery(recoverySource)
  try {
    const { keychain } = await readBackupKeychain(source)
    checkRecovery(recovery, keychain)
    return await verifyBackupWith(source, recovery.keys, options)
  } finally {
    recovery.wipe()
  }
}

/** The same by any key that may restore the vault. Throws `wrong-phrase` for another's. */
export async function verifyBackupWith(
  source: BackupSource,
  holder: BackupHolder,
  options: VerifyOptions = {},
): Promise<BackupCheck & BackupOpening> {
  const tally = new Tally()
  let keyring: Keyring | undefined
  try {
    const checked = await checkBackup(source, {
      ...options,
      look(keychain) {
        checkHolder(holder, keychain)
        const opened = openKeyring({ keychain, holder })
        keyring = opened
        return (envelopes) => {
          for (const envelope of envelopes) tally.add(envelope, opensWith(opened, envelope))
        }
      },
    })
    const { keychain: _keychain, entries: _entries, digest: _digest, ...check } = checked
    return { ...check, ...tally.opening }
  } finally {
    keyring?.wipe()
  }
}

/** Throws `wrong-phrase` when the backup is of another vault than the key. */
export function checkHolder({ vaultId }: BackupHolder, keychain: Keychain): void {
  if (vaultId === undefined || formatHex(vaultId) === formatHex(keychain.vaultId)) return
  throw new ClientError(
    'wrong-phrase',
    'the recovery phrase is of another vault than the backup: check the words, or use another file',
  )
}

function opensWith(keyring: Keyring, envelope: Envelope): boolean {
  try {
    return openEnvelope(keyring, envelope).type === 'opened'
  } catch (error) {
    if (codeOf(error) === 'tampered') return false
    throw error
  }
}

/** Beside the vault it is of: what opens with the keys of this device, and what changed since. */
export async function drillBackup(
  carrier: Carrier,
  source: BackupSource,
  options: VerifyOptions = {},
): Promise<BackupDrill> {
  const { local, membership, vaultId } = carrier
  const { store } = local.state
  const tally = new Tally()
  const counts = { same: 0, newerHere: 0, newerInBackup: 0, missingHere: 0 }
  const look: Look = async (envelopes) => {
    const held = await readHeld(store, envelopes.map(envelopeRecordId))
    const heldById = new Map(held.map(({ recordId, timestamp }) => [idOf(recordId), timestamp]))
    for (const envelope of envelopes) {
      tally.add(envelope, opens(envelope, carrier.open))
      counts[compare(envelope, heldById.get(idOf(envelopeRecordId(envelope))))]++
    }
  }
  const checked = await checkBackup(source, { ...options, vaultId, look: () => look })
  const { keychain, entries, digest: _digest, ...check } = checked
  const { count: heldCount } = await scanHeld(local.state)
  return {
    ...check,
    ...tally.opening,
    ...counts,
    missingInBackup: Math.max(0, heldCount - (check.count - counts.missingHere)),
    keychain: compareKeychains(membership.keychain, keychain, entries),
  }
}

const idOf = (recordId: RecordId): string => formatHex(recordId)

function compare(
  envelope: Envelope,
  held: Timestamp | undefined,
): 'same' | 'newerHere' | 'newerInBackup' | 'missingHere' {
  if (held === undefined) return 'missingHere'
  const timestamp = envelopeTimestamp(envelope)
  if (isLater(held, timestamp)) return 'newerHere'
  return isLater(timestamp, held) ? 'newerInBackup' : 'same'
}

function compareKeychains(
  pinned: Keychain,
  found: Keychain,
  entries: readonly Uint8Array[],
): BackupComparison['keychain'] {
  try {
    candidateKeychain(pinned, entries)
  } catch (error) {
    if (codeOf(error) === 'keychain-forked') return 'forked'
    throw error
  }
  const difference = pinned.hashes.length - found.hashes.length
  if (difference === 0) return 'same'
  return difference > 0 ? 'older' : 'newer'
}

class Tally {
  #opened = 0
  #unopened = 0
  readonly #ids: string[] = []

  add(envelope: Envelope, isOpen: boolean): void {
    if (isOpen) {
      this.#opened++
      return
    }
    this.#unopened++
    if (this.#ids.length >= UNOPENED_LISTED_MAX) return
    this.#ids.push(formatBase64Url(envelopeRecordId(envelope)))
  }

  get opening(): BackupOpening {
    return { opened: this.#opened, unopened: this.#unopened, unopenedIds: [...this.#ids] }
  }
}
