/**
 * backup create, backup verify, backup restore: the vault as one sealed file, and back.
 */
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  type BackupCheck,
  type BackupDrill,
  type BackupOpening,
  type BackupReport,
  backupFile,
  codeOf,
  type RecoverySource,
  restoreBackup,
  type Vault,
  verifyBackup,
  verifyBackupBy,
  writeBackupFile,
} from '@blindcopy/client'
import { checkReadable, refuseExisting } from './bundle.ts'
import { CliError } from './cli-error.ts'
import { formatDevices } from './devices.ts'
import { count, formatAgo, formatTime, printable } from './layout.ts'
import { createProgress } from './progress.ts'
import { readPhrase } from './read-phrase.ts'
import { type RecoveryOptions, readRecovery } from './recovery-input.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import {
  keyStoreOf,
  newPassphrase,
  type VaultOptions,
  vaultPath,
  withVault,
} from './vault-folder.ts'

export type BackupCreateOptions = VaultOptions & { readonly force?: boolean }

export async function createBackup(
  path: string,
  options: BackupCreateOptions,
  terminal: Terminal,
): Promise<void> {
  if (!options.force) await refuseExisting(path)
  await withVault(options, terminal, async (vault) => {
    const created = await watched(terminal, 'Backing up', (onProgress) =>
      writeBackupFile(vault, path, { onProgress }),
    )
    const { count: records, sizeBytes, keptBytes, isAnew } = created
    const text = [
      `Wrote ${count(records, 'version')}, deletions included, to ${printable(path)} (${formatSize(sizeBytes)}).`,
      ...(keptBytes > 0 ? [`  ${formatSize(keptBytes)} of it were there from last time.`] : []),
      ...(isAnew ? ['  What an earlier try had left was of another state: begun anew.'] : []),
      'It opens with the recovery phrase, a key file or shares: `blindcopy backup verify` tries it.',
    ]
    const answer = { path: resolve(path), records, sizeBytes, keptBytes, isAnew }
    await terminal.answer({ ...answer, madeMs: created.madeMs }, text.join('\n'))
  })
}

export type BackupVerifyOptions = VaultOptions & RecoveryOptions & { readonly phrase?: boolean }

/** With a vault: what changed since. With a way back: whether it opens all. Else: whether whole. */
export async function verify(
  path: string,
  options: BackupVerifyOptions,
  terminal: Terminal,
): Promise<void> {
  await checkReadable(path)
  const source = backupFile(path)
  const folder = options.vault ?? terminal.env.BLINDCOPY_VAULT ?? ''
  const way = await wayBack(options, terminal)
  if (way !== undefined) {
    const found = await watched(terminal, 'Opening', (onProgress) =>
      verifyBackupBy(source, way, { onProgress }),
    )
    const text = [...describeCheck(found, path), describeOpening(found, nameOf(way))]
    return terminal.answer(found, text.join('\n'))
  }
  if (folder !== '') {
    return withVault(options, terminal, async (vault) => {
      const drill = await watched(terminal, 'Opening', (onProgress) =>
        vault.backup.verify(source, { onProgress }),
      )
      await terminal.answer(drill, describeDrill(drill, path))
    })
  }
  const check = await watched(terminal, 'Reading', (onProgress) =>
    verifyBackup(source, { onProgress }),
  )
  const hint =
    'Whether it opens: give --phrase, --key-file FILE, --shares, or --vault DIR of a device.'
  await terminal.answer(check, [...describeCheck(check, path), hint].join('\n'))
}

/** Undefined where none is to be tried. */
async function wayBack(
  { phrase = false, ...options }: BackupVerifyOptions,
  terminal: Terminal,
): Promise<RecoverySource | undefined> {
  const { keyFile, kit, shares, share } = options
  const isOther = [keyFile, kit, shares, share].some((option) => option !== undefined)
  if (phrase && isOther) {
    throw new CliError('usage', 'one way back is tried at a time: the phrase, or another')
  }
  if (phrase) return { recoveryPhrase: await readPhrase(terminal) }
  return isOther ? readRecovery(options, terminal) : undefined
}

function nameOf(way: RecoverySource): string {
  if ('keyFile' in way) return 'the key file'
  return 'shares' in way ? 'the shares' : 'the recovery phrase'
}

function describeCheck(check: BackupCheck, path: string): string[] {
  const { vaultId, madeMs, madeBy, count: records, deleted, sizeBytes, members } = check
  return [
    `${printable(path)} is whole: ${formatSize(sizeBytes)}.`,
    `  vault     ${vaultId}`,
    `  made      ${formatTime(madeMs)} (${formatAgo(madeMs, Date.now())})`,
    `  by        ${madeBy}`,
    `  holds     ${count(records, 'version')}, ${count(deleted, 'deletion')} among them`,
    `  members   ${members} then: devices, key files and sets of shares`,
  ]
}

function describeOpening({ opened, unopened, unopenedIds }: BackupOpening, by: string): string {
  if (unopened === 0) return `All ${count(opened, 'version')} open with ${by}.`
  const ids = unopenedIds.slice(0, 10).map((id) => `  ${id}`)
  return [`${count(unopened, 'version')} do not open with ${by}:`, ...ids].join('\n')
}

function describeDrill(drill: BackupDrill, path: string): string {
  const lines: readonly (readonly [number, string])[] = [
    [drill.same, 'as they are here'],
    [drill.newerHere, 'changed here since'],
    [drill.missingInBackup, 'new here since'],
    [drill.newerInBackup, 'newer in the backup than here'],
    [drill.missingHere, 'in the backup and not here'],
  ]
  const rows = lines
    .filter(([number]) => number > 0)
    .map(([number, text]) => `  ${count(number, 'record')} ${text}`)
  return [
    ...describeCheck(drill, path),
    describeOpening(drill, 'the keys of this device'),
    ...(rows.length > 0 ? ['Beside this device:', ...rows] : []),
    ...(drill.keychain === 'same' ? [] : [KEYCHAINS[drill.keychain]]),
  ].join('\n')
}

const KEYCHAINS: Readonly<Record<Exclude<BackupDrill['keychain'], 'same'>, string>> = {
  older: 'Devices or keys changed since it was made: make a new one.',
  newer: 'It knows devices or keys that this device does not: run `blindcopy sync`.',
  forked: 'Its list of devices contradicts that of this device: find out which one to trust.',
}

export type BackupRestoreOptions = VaultOptions &
  RecoveryOptions & {
    readonly remote: string
    readonly registrationToken?: string
    readonly name?: string
    readonly passphrase?: boolean
  }

/** Run again after it was killed, it goes on with the vault that is there by then. */
export async function restoreFromBackup(
  path: string,
  options: BackupRestoreOptions,
  terminal: Terminal,
): Promise<void> {
  await checkReadable(path)
  const folder = vaultPath(options, terminal)
  if (await isVault(folder)) {
    return withVault(options, terminal, async (vault) => {
      checkSameRemote(vault, options)
      const report = await watched(terminal, 'Restoring', (onProgress) =>
        vault.backup.take(backupFile(path), { onProgress }),
      )
      const { registrationToken: token } = options
      if (token !== undefined) await vault.setRegistrationToken(token)
      await finish(vault, { report, remote: 'unreachable' }, terminal)
    })
  }
  const passphrase = await newPassphrase(options.passphrase === true, terminal)
  const source = await readRecovery(options, terminal)
  const { vault, ...restored } = await watched(terminal, 'Restoring', (onProgress) =>
    restoreBackup({
      ...{ path: folder, remote: options.remote, ...source, onProgress, ...passphrase },
      ...keyStoreOf(options, terminal),
      backup: backupFile(path),
      deviceName: options.name,
      registrationToken: options.registrationToken,
    }),
  )
  try {
    await finish(vault, restored, terminal)
  } finally {
    await vault.close()
  }
}

/** What is there may be a vault that its person did not think of. */
function checkSameRemote(vault: Vault, { remote }: BackupRestoreOptions): void {
  if (remote.replace(/\/+$/, '') === vault.remote.replace(/\/+$/, '')) return
  throw new CliError(
    'usage',
    `there is a vault of the remote ${vault.remote} already: choose another folder`,
  )
}

type Restored = { readonly report: BackupReport; readonly remote: 'joined' | 'new' | 'unreachable' }

/** The vault is on this device by now, whatever the network does. */
async function finish(
  vault: Vault,
  { report, remote }: Restored,
  terminal: Terminal,
): Promise<void> {
  const isSynced = await syncPass(vault, terminal).then(
    () => true,
    (error) => {
      terminal.warn(
        'restored-without-sync',
        'the vault is restored, and the remote does not have it yet: run `blindcopy sync`',
      )
      if (codeOf(error) !== 'network') throw error
      return false
    },
  )
  const { count: records, received, unopened, aside, conflicts, madeMs } = report
  const { vaultId, deviceId } = vault
  const counts = { records, new: received, conflicts, unopened, aside, madeMs }
  const text = [
    `Restored the vault from a backup of ${formatTime(madeMs)}`,
    `  vault   ${vaultId}`,
    `  device  ${deviceId}`,
    `${count(received, 'version')} of ${records.toLocaleString('en-US')} were new here.`,
    ...(conflicts > 0
      ? [`  ${count(conflicts, 'version')} lost to newer ones: see \`blindcopy conflicts\`.`]
      : []),
    ...(aside > 0 ? [`  ${count(aside, 'version')} set aside until the clock is right.`] : []),
    ...(unopened > 0 ? [`  ${count(unopened, 'version')} did not open and were left out.`] : []),
    isSynced
      ? `The remote ${remote === 'joined' ? 'and this device are in step' : 'has it all'}.`
      : 'Everything in it waits here for the remote.',
    '',
    terminal.bold('Devices of the vault'),
    formatDevices(vault.devices(), terminal),
    '',
    'Is one of them lost, stolen, or not yours? `blindcopy devices revoke` removes it.',
  ]
  await terminal.answer({ vaultId, deviceId, ...counts, isSynced }, text.join('\n'))
}

async function isVault(folder: string): Promise<boolean> {
  return stat(join(folder, 'vault.json')).then(
    () => true,
    () => false,
  )
}

/** With a bar, for whatever takes long. */
async function watched<T>(
  terminal: Terminal,
  label: string,
  work: (onProgress: (progress: { done: number; total: number }) => void) => Promise<T>,
): Promise<T> {
  const progress = createProgress(terminal, label)
  try {
    return await work(({ done, total }) => progress.update(done, total))
  } finally {
    progress.end()
  }
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

/** `812 bytes`, `3.4 MB`. */
function formatSize(bytes: number): string {
  let [value, unit] = [bytes, 0]
  for (; value >= 1_000 && unit < UNITS.length - 1; unit++) value /= 1_000
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}
