/**
 * init: a new vault, registered with its remote when that can be reached, and its recovery phrase,
 * shown once.
 *
 * The phrase is shown last: whatever fails before it leaves no folder behind, since nobody could
 * ever restore that vault. Once it is shown, nothing takes the vault away again.
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type CreatedVault,
  codeOf,
  createHttpTransport,
  createVault,
  nodePlatform,
} from '@blindcopy/client'
import { ProtocolError } from '@blindcopy/protocol'
import { refuseExisting } from './bundle.ts'
import { CliError, SyncFailure, TOKEN_REFUSED } from './cli-error.ts'
import { describeKit, kitOf, writeKit } from './kit.ts'
import { count, formatWords } from './layout.ts'
import { ask } from './prompt.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { keyStoreOf, newPassphrase, type VaultOptions, vaultPath } from './vault-folder.ts'

export type InitOptions = VaultOptions & {
  readonly remote: string
  readonly registrationToken?: string
  readonly name?: string
  readonly passphrase?: boolean
  readonly confirm: boolean
  /** A file for the emergency kit. */
  readonly kit?: string
}

const CLOSE_MS_MAX = 1_000

export async function init(options: InitOptions, terminal: Terminal): Promise<void> {
  const path = vaultPath(options, terminal)
  const { registrationToken, name: deviceName, kit } = options
  if (kit !== undefined) await refuseExisting(kit)
  const isReachable = await checkRemote(options)
  const passphrase = await newPassphrase(options.passphrase === true, terminal)
  const existed = await exists(path)
  const created = await createVault({
    path,
    remote: options.remote,
    ...(registrationToken === undefined ? {} : { registrationToken }),
    ...(deviceName === undefined ? {} : { deviceName }),
    ...passphrase,
    ...keyStoreOf(options, terminal),
  })
  const { vault } = created
  const isRegistered = await register(created, { isReachable, terminal }).catch(async (error) => {
    // A request under way may take long to end, and nobody waits for its answer any more.
    await Promise.race([vault.close(), setTimeout(CLOSE_MS_MAX)])
    await remove(path, existed)
    if (registrationToken === undefined || codeOf(error) !== 'registration-required') throw error
    throw new SyncFailure('registration-required', TOKEN_REFUSED, { cause: error })
  })
  const page = kit === undefined ? undefined : kitOf(vault, created.recoveryPhrase)
  await vault.close()
  await show(created, { path, isRegistered, options, terminal })
  // After the phrase was shown: a kit that cannot be written must not cost the vault its phrase.
  if (kit === undefined || page === undefined) return
  await writeKit(kit, page)
  if (!terminal.json) terminal.note(describeKit(kit))
}

/** False when it cannot be reached, which is no failure. Throws what would refuse the vault. */
async function checkRemote({ remote, registrationToken }: InitOptions): Promise<boolean> {
  try {
    const transport = createHttpTransport(remote, nodePlatform())
    const { registration } = await transport.capabilities()
    if (registration === 'closed') {
      throw new ProtocolError('registration-closed', 'this remote takes no new vaults')
    }
    if (registration === 'token' && registrationToken === undefined) {
      throw new ProtocolError('registration-required', 'this remote wants a registration token')
    }
    return true
  } catch (error) {
    if (codeOf(error) === 'network') return false
    throw error
  }
}

/** The first sync registers. False when the network did not let it. */
async function register(
  { vault }: CreatedVault,
  { isReachable, terminal }: { isReachable: boolean; terminal: Terminal },
): Promise<boolean> {
  if (!isReachable) return false
  let cancel: () => void = () => undefined
  const interrupted = new Promise<never>((_resolve, reject) => {
    cancel = terminal.onInterrupt(() =>
      reject(new CliError('interrupted', 'stopped before there was a phrase: no vault was made')),
    )
  })
  try {
    await Promise.race([syncPass(vault, terminal), interrupted])
    return true
  } catch (error) {
    if (codeOf(error) === 'network') return false
    throw error
  } finally {
    cancel()
  }
}

async function show(
  { vault, recoveryPhrase }: CreatedVault,
  parts: { path: string; isRegistered: boolean; options: InitOptions; terminal: Terminal },
): Promise<void> {
  const { path, isRegistered, options, terminal } = parts
  const { vaultId, deviceId } = vault
  const words = recoveryPhrase.split(' ')
  const text = [
    `Made a vault in ${terminal.bold(path)}`,
    `  vault   ${vaultId}`,
    `  device  ${deviceId}`,
    '',
    terminal.bold('Recovery phrase'),
    '',
    formatWords(words, terminal.columns),
    '',
    'Write these words on paper, in this order. They are shown this once and kept',
    'nowhere, and are the only way back when every device is lost. Whoever has them',
    'has the vault.',
  ].join('\n')
  await terminal.answer({ vaultId, deviceId, recoveryPhrase }, text)
  if (!isRegistered) {
    terminal.warn(
      'network',
      'the remote cannot be reached now: `blindcopy sync` registers the vault when it can',
    )
  }
  if (terminal.canAsk && options.confirm) await confirmWords(words, terminal)
}

const CONFIRMED_WORDS = 3

/** Asks for words until they are right; the phrase is on the screen above. */
async function confirmWords(words: readonly string[], terminal: Terminal): Promise<void> {
  terminal.note(`\nTo be sure that your copy is right, ${count(CONFIRMED_WORDS, 'word')} of it:`)
  for (const index of drawIndexes(words.length)) {
    for (;;) {
      const answer = await ask(terminal, `  word ${index + 1}: `)
      if (answer.trim().toLowerCase() === words[index]) break
      terminal.note('  That is another word. Compare your copy with the list above.')
    }
  }
  terminal.note('Your copy is right.')
}

function drawIndexes(size: number): number[] {
  const drawn = new Set<number>()
  while (drawn.size < CONFIRMED_WORDS) drawn.add(Math.floor(Math.random() * size))
  return [...drawn].sort((a, b) => a - b)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Takes away what init made: the folder, or what it put into one that was there and empty. */
async function remove(path: string, existed: boolean): Promise<void> {
  if (!existed) return rm(path, { recursive: true, force: true })
  for (const name of ['vault.json', 'device.keys', 'records']) {
    await rm(join(path, name), { recursive: true, force: true })
  }
}
