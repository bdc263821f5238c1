/**
 * keys backup: a recovery key as a key file under a passphrase, or in shares for several people.
 * Each leaves this program once, to its file or its screen, and can be revoked later.
 */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Vault, WrittenShare } from '@blindcopy/client'
import { atRemote } from './at-remote.ts'
import { refuseExisting } from './bundle.ts'
import { CliError } from './cli-error.ts'
import { formatWords, printable, wrap } from './layout.ts'
import { ask, askNewPassphrase } from './prompt.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type KeyFileOptions = VaultOptions & { readonly name?: string }

export async function backupKeyFile(
  path: string,
  options: KeyFileOptions,
  terminal: Terminal,
): Promise<void> {
  await refuseExisting(path)
  await withVault(options, terminal, async (vault) => {
    const passphrase = await newKeyFilePassphrase(terminal)
    const naming = options.name === undefined ? {} : { name: options.name }
    const keyId = await writeSecrets([path], async () => {
      const created = await atRemote(vault, terminal, () =>
        vault.keys.createKeyFile({ passphrase, ...naming }),
      )
      return { texts: [created.text], result: created.keyId }
    })
    const text = [
      `Wrote a key file to ${printable(path)}.`,
      'With its passphrase it brings the vault back onto a new device: `blindcopy restore --key-file`.',
      'Keep it apart from your devices, and the passphrase apart from it: nobody can reset that.',
      `Try it now and then: \`blindcopy keys verify ${printable(path)}\`. Lost it? \`blindcopy keys revoke\`.`,
    ]
    await terminal.answer({ keyId, path: resolve(path) }, text.join('\n'))
  })
}

/** What the file itself refuses below that is asked for again here. */
const CHARACTERS_MIN = 8

/** From the environment, or asked for twice. Not that of the device's own keys. */
async function newKeyFilePassphrase(terminal: Terminal): Promise<string> {
  const given = terminal.env.BLINDCOPY_KEY_FILE_PASSPHRASE ?? ''
  if (given !== '') return given
  if (!terminal.canAsk) {
    throw new CliError('usage', 'a passphrase needs a terminal, or BLINDCOPY_KEY_FILE_PASSPHRASE')
  }
  return askNewPassphrase(terminal, 'New passphrase for the key file: ', CHARACTERS_MIN)
}

/**
 * The files are made first, so that no key is added for one that cannot be written. Readable by
 * their owner alone, never written over, and all gone where one of them or the key fails.
 */
async function writeSecrets<T>(
  paths: readonly string[],
  make: () => Promise<{ readonly texts: readonly string[]; readonly result: T }>,
): Promise<T> {
  const files: (readonly [path: string, file: FileHandle])[] = []
  let isWhole = false
  try {
    for (const path of paths) files.push([path, await openNew(path)])
    const { texts, result } = await make()
    for (const [i, [path, file]] of files.entries()) await writeWhole(path, file, texts[i] ?? '')
    isWhole = true
    return result
  } finally {
    for (const [path, file] of files) {
      await file.close()
      if (!isWhole) await rm(path, { force: true })
    }
  }
}

function openNew(path: string): Promise<FileHandle> {
  return open(path, 'wx', 0o600).catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') await refuseExisting(path)
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  })
}

async function writeWhole(path: string, file: FileHandle, text: string): Promise<void> {
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (cause) {
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  }
}

export type SharesOptions = VaultOptions & {
  readonly threshold: number
  readonly count: number
  readonly out?: string
  readonly name?: string
}

export async function backupShares(options: SharesOptions, terminal: Terminal): Promise<void> {
  const { threshold, count, out } = options
  const paths = Array.from({ length: count }, (_, i) =>
    join(out ?? '', `share-${i + 1}-of-${count}.txt`),
  )
  if (out !== undefined) for (const path of paths) await refuseExisting(path)
  await withVault(options, terminal, async (vault) => {
    const naming = options.name === undefined ? {} : { name: options.name }
    const create = (): ReturnType<Vault['keys']['createShares']> =>
      atRemote(vault, terminal, () => vault.keys.createShares({ threshold, count, ...naming }))
    if (out !== undefined) {
      await makeFolder(out)
      const keyId = await writeSecrets(paths, async () => {
        const created = await create()
        return {
          texts: created.shares.map((share) => fileOf(share, vault.remote)),
          result: created.keyId,
        }
      })
      const text = [
        `Wrote ${count} shares to ${printable(out)}. ${enoughOf(threshold, count)} bring the vault back.`,
        ...KEEP_SHARES,
      ]
      const files = paths.map((path) => resolve(path))
      return terminal.answer({ keyId, threshold, count, files }, text.join('\n'))
    }
    const { keyId, shares } = await create()
    const shown = shares.map(({ number, words }) => ({ number, words }))
    if (terminal.json)
      return terminal.print(JSON.stringify({ keyId, threshold, count, shares: shown }))
    if (terminal.canAsk && !terminal.isPiped) return showOneByOne(shares, vault.remote, terminal)
    await terminal.print(shares.map((share) => fileOf(share, vault.remote)).join('\n'))
  })
}

const KEEP_SHARES = [
  'Give each to another person or place, and delete the files: fewer than needed say nothing at all.',
  'Write down who has which. To try them: `blindcopy keys verify --shares`.',
]

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new CliError('unwritable', `the folder ${printable(path)} cannot be made`, { cause })
  })
}

/** What follows # is for people: `restore` and `keys verify` pass over it. */
function fileOf({ number, threshold, count, words }: WrittenShare, remote: string): string {
  const lines = [
    `# Share ${number} of ${count} of a Blindcopy vault. ${enoughOf(threshold, count)} bring it back:`,
    `# blindcopy restore --shares --remote ${remote}`,
    formatWords(words.split(' ')),
  ]
  return `${lines.join('\n')}\n`
}

const enoughOf = (threshold: number, count: number): string =>
  threshold === count ? `All ${count} together` : `Any ${threshold} of them`

/** Each share alone on the screen, so that each person can be shown theirs. */
async function showOneByOne(
  shares: readonly WrittenShare[],
  remote: string,
  terminal: Terminal,
): Promise<void> {
  for (const { number, threshold, count, words } of shares) {
    const text = [
      terminal.bold(`Share ${number} of ${count}`),
      '',
      formatWords(words.split(' '), terminal.columns),
      '',
      wrap(
        `For one person or place. Write it on paper with its number, who else has one, and the address of the remote: ${remote}. ${enoughOf(threshold, count)} bring the vault back; fewer say nothing at all. It is shown this once.`,
        terminal.columns,
      ),
    ]
    await terminal.print(`${CLEAR}${text.join('\n')}\n`)
    const next = number < count ? 'show the next one' : 'clear the screen'
    await ask(terminal, `Enter to ${next} `)
  }
  const done = [`${shares.length} shares were shown, and are kept nowhere.`, KEEP_SHARES[1] ?? '']
  await terminal.print(`${CLEAR}${done.join('\n')}`)
}

/** The screen, and what has scrolled out of it. */
const CLEAR = '\u001b[H\u001b[2J\u001b[3J'
