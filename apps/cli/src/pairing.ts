/**
 * devices invite: shows a code or six words to a new device, and lets it into the vault when the
 * person has compared the digits.
 */
import { writeFile } from 'node:fs/promises'
import type { Invitation, Newcomer, Vault } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { clip, formatTime, printable } from './layout.ts'
import { drawPicture, formatPicture, pictureColumns } from './pairing-picture.ts'
import { type Asker, askYesOrNo, createAsker, formatDigits } from './pairing-prompt.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type InviteOptions = VaultOptions & { readonly words?: boolean; readonly svg?: string }

/** What a name may take of the line in which a person is asked about it. */
const NAME_COLUMNS_MAX = 40

export async function invite(options: InviteOptions, terminal: Terminal): Promise<void> {
  if (options.words === true && options.svg !== undefined) {
    throw new CliError('usage', '--svg is a picture of a code: words have none')
  }
  await withVault(options, terminal, async (vault) => {
    const form = options.words === true ? 'words' : 'code'
    const invitation = await vault.pairing.invite({ form })
    const asker = createAsker(terminal)
    try {
      await show(invitation, options, terminal)
      const newcomer = await awaitNewcomer(invitation, terminal)
      await decide(vault, newcomer, { asker, terminal })
    } catch (error) {
      await invitation.cancel()
      throw error
    } finally {
      asker.close()
    }
  })
}

async function show(
  invitation: Invitation,
  { svg }: InviteOptions,
  terminal: Terminal,
): Promise<void> {
  const { code, words, remote, expiresMs } = invitation
  if (svg !== undefined && code !== undefined) await writePicture(svg, code)
  const join = 'blindcopy devices join'
  const shown =
    code === undefined
      ? [`On the new device run \`${join} --remote ${remote}\` and type:`, '', `  ${words}`]
      : describeCode(code, join, terminal)
  const until = `It can be used once, until ${formatTime(expiresMs)}.`
  const { newcomer: _, cancel: __, ...facts } = invitation
  await terminal.answer(facts, [...shown, '', until].join('\n'))
}

/** In a narrow terminal only the line, as the picture does not fit. */
function describeCode(code: string, join: string, terminal: Terminal): string[] {
  if (terminal.columns < pictureColumns(code)) {
    return [`On the new device run \`${join}\` and paste this line:`, '', code]
  }
  const isPlain = terminal.isPiped || (terminal.env.NO_COLOR ?? '') !== ''
  return [
    `On the new device scan this, or run \`${join}\` and paste the line below it:`,
    '',
    formatPicture(code, isPlain),
    '',
    code,
  ]
}

/** Readable by its owner alone: who sees it can ask to join. */
async function writePicture(path: string, code: string): Promise<void> {
  await writeFile(path, drawPicture(code), { mode: 0o600, flag: 'wx' }).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CliError('file-exists', `there is a file ${printable(path)} already`)
    }
    throw new CliError('unwritable', `${printable(path)} cannot be written`, { cause })
  })
}

async function awaitNewcomer(invitation: Invitation, terminal: Terminal): Promise<Newcomer> {
  const stop = new AbortController()
  const release = terminal.onInterrupt(() =>
    stop.abort(new CliError('interrupted', 'the invitation was taken back')),
  )
  try {
    return await invitation.newcomer(stop.signal)
  } finally {
    release()
  }
}

async function decide(
  vault: Vault,
  newcomer: Newcomer,
  { asker, terminal }: { asker: Asker; terminal: Terminal },
): Promise<void> {
  const { name, digits } = newcomer
  if (terminal.json) await terminal.print(JSON.stringify({ name, digits }))
  const shown = clip(printable(name), NAME_COLUMNS_MAX) || '(no name)'
  const question =
    `\nA device that calls itself "${shown}" asks to join. It must show the digits\n\n` +
    `  ${terminal.bold(formatDigits(digits))}\n\nDoes it, and do you let it in?`
  if (!(await askYesOrNo(asker, question))) {
    await newcomer.deny()
    await terminal.answer({ approved: false }, 'It was not let in.')
    return
  }
  await newcomer.approve()
  await terminal.answer({ approved: true }, `"${shown}" is a device of the vault now.`)
  await bringRecords(vault, terminal)
}

/** So that the newcomer finds what was written here; it is in the vault whether that succeeds. */
async function bringRecords(vault: Vault, terminal: Terminal): Promise<void> {
  try {
    await syncPass(vault, terminal)
  } catch (error) {
    terminal.warn('approved-without-sync', 'the device is in the vault, but this sync failed')
    throw error
  }
}
