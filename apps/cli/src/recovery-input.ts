/**
 * Recovery input: a way back into a vault as a person gives it: words that are typed, files that
 * are named, or text that is piped in. What it is, is seen from its form; whether it is right is
 * found out by whoever opens it.
 */
import { readFile } from 'node:fs/promises'
import { isKit, type RecoverySource, recoveryKindOf } from '@blindcopy/client'
import { checkReadable } from './bundle.ts'
import { CliError } from './cli-error.ts'
import { askHidden, readInput } from './prompt.ts'
import { askPhrase } from './read-phrase.ts'
import { askShares } from './share-prompt.ts'
import type { Terminal } from './terminal.ts'

export type RecoveryOptions = {
  readonly keyFile?: string
  readonly kit?: string
  /** Shares are asked for, beside those of files. */
  readonly shares?: boolean
  readonly share?: readonly string[]
}

/** Without any option the phrase is asked for, or whatever is piped in is taken. */
export async function readRecovery(
  options: RecoveryOptions,
  terminal: Terminal,
): Promise<RecoverySource> {
  const { keyFile, kit, shares = false, share = [] } = options
  const isByShares = shares || share.length > 0
  if ([keyFile !== undefined, kit !== undefined, isByShares].filter(Boolean).length > 1) {
    throw new CliError('usage', 'one way back is enough: a key file, a kit, or shares')
  }
  if (keyFile !== undefined) return keyFileSource(await readText(keyFile, terminal), terminal)
  if (kit !== undefined) return { recoveryPhrase: await readText(kit, terminal) }
  if (isByShares) return readShares(shares, share, terminal)
  if (terminal.canAsk) return { recoveryPhrase: await askPhrase(terminal) }
  return sourceOf([await readInput(terminal)], terminal)
}

/** Of files, each of which may be anything; `-` is stdin. */
export async function readRecoveryFiles(
  paths: readonly string[],
  terminal: Terminal,
): Promise<RecoverySource> {
  const texts: string[] = []
  for (const path of paths) texts.push(await readText(path, terminal))
  return sourceOf(texts, terminal)
}

/** Whether it says itself where the remote is. */
export const knowsRemote = (source: RecoverySource): boolean =>
  'keyFile' in source || ('recoveryPhrase' in source && isKit(source.recoveryPhrase))

async function readShares(
  isAsked: boolean,
  paths: readonly string[],
  terminal: Terminal,
): Promise<RecoverySource> {
  const texts: string[] = []
  for (const path of paths) texts.push(await readText(path, terminal))
  const given = texts.flatMap(partsOf)
  if (terminal.canAsk && isAsked) return { shares: await askShares(given, terminal) }
  return { shares: paths.length > 0 ? given : partsOf(await readInput(terminal)) }
}

async function sourceOf(texts: readonly string[], terminal: Terminal): Promise<RecoverySource> {
  const [text = ''] = texts
  const parts = texts.flatMap(partsOf)
  // A share among others that are damaged is still meant as one.
  if (parts.some((part) => recoveryKindOf(part) === 'share') && !isKit(text)) {
    const isOnScreen = terminal.canAsk && texts.length === parts.length
    return { shares: isOnScreen ? await askShares(parts, terminal) : parts }
  }
  if (texts.length > 1) {
    throw new CliError('usage', 'only shares come in several files: give one key file, or one kit')
  }
  if (isKit(text)) return { recoveryPhrase: text }
  const kind = recoveryKindOf(text)
  if (kind === 'recovery-file') return keyFileSource(text, terminal)
  // Told for what they are by whoever opens key files.
  const isOtherFile = kind === 'device-key-file' || kind === 'bundle' || kind === 'vault-backup'
  if (isOtherFile) return { keyFile: text, keyFilePassphrase: ' ' }
  return { recoveryPhrase: withoutNotes(text) }
}

async function keyFileSource(keyFile: string, terminal: Terminal): Promise<RecoverySource> {
  const given = terminal.env.BLINDCOPY_KEY_FILE_PASSPHRASE ?? ''
  if (given !== '') return { keyFile, keyFilePassphrase: given }
  if (recoveryKindOf(keyFile) !== 'recovery-file') return { keyFile, keyFilePassphrase: ' ' }
  if (!terminal.canAsk) {
    throw new CliError(
      'usage',
      'the passphrase of the key file needs a terminal, or BLINDCOPY_KEY_FILE_PASSPHRASE',
    )
  }
  return { keyFile, keyFilePassphrase: await askHidden(terminal, 'Passphrase of the key file: ') }
}

async function readText(path: string, terminal: Terminal): Promise<string> {
  if (path === '-') return readInput(terminal)
  await checkReadable(path)
  return readFile(path, 'utf8')
}

/** Shares stand apart by an empty line, or each on a line of its own. */
function partsOf(text: string): string[] {
  const plain = withoutNotes(text)
  const isFilled = (part: string) => part.trim() !== ''
  const lines = plain.split(/\r?\n/u).filter(isFilled)
  if (lines.every((line) => recoveryKindOf(line) === 'share')) return lines
  return plain.split(/\r?\n\s*\n/u).filter(isFilled)
}

/** The lines that say what a file of ours is. */
const withoutNotes = (text: string): string => text.replace(/^#.*$/gmu, '')
