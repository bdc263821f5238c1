/**
 * devices join: this device becomes one of a vault, by the code or the words that another one
 * shows, and gets its records.
 */
import { joinVault, type PairingQuestion, type Vault } from '@blindcopy/client'
import { formatDevices } from './devices.ts'
import { type Asker, askYesOrNo, createAsker, formatDigits } from './pairing-prompt.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { keyStoreOf, newPassphrase, type VaultOptions, vaultPath } from './vault-folder.ts'

export type JoinOptions = VaultOptions & {
  readonly remote?: string
  readonly name?: string
  readonly passphrase?: boolean
}

/** `given` is the code, or with --remote the words; asked for without it. */
export async function join(
  given: string | undefined,
  options: JoinOptions,
  terminal: Terminal,
): Promise<void> {
  const path = vaultPath(options, terminal)
  const passphrase = await newPassphrase(options.passphrase === true, terminal)
  const asker = createAsker(terminal)
  try {
    const { remote, name } = options
    const code = given ?? (await asker.ask(remote === undefined ? 'Code: ' : 'Six words: '))
    const vault = await joinVault({
      path,
      ...(remote === undefined ? { code } : { words: code, remote }),
      ...(name === undefined ? {} : { deviceName: name }),
      ...passphrase,
      ...keyStoreOf(options, terminal),
      confirm: (question) => confirm(question, asker, terminal),
    })
    try {
      await pull(vault, path, terminal)
      await show(vault, path, terminal)
    } finally {
      await vault.close()
    }
  } finally {
    asker.close()
  }
}

async function confirm(
  { digits, vaultId, inviterId }: PairingQuestion,
  asker: Asker,
  terminal: Terminal,
): Promise<boolean> {
  if (terminal.json) await terminal.print(JSON.stringify({ digits, vaultId, inviterId }))
  const question =
    `\nThe other device must show the digits\n\n  ${terminal.bold(formatDigits(digits))}\n\n` +
    'Does it?'
  const isSame = await askYesOrNo(asker, question)
  if (isSame && !terminal.json) terminal.note('Waiting for the other device to let this one in…')
  return isSame
}

/** From here on the vault is on this device, whatever the network does. */
async function pull(vault: Vault, path: string, terminal: Terminal): Promise<void> {
  try {
    await syncPass(vault, terminal)
  } catch (error) {
    terminal.warn(
      'joined-without-records',
      `the vault is in ${path}, and its records are not here yet: run \`blindcopy sync\``,
    )
    throw error
  }
}

async function show(vault: Vault, path: string, terminal: Terminal): Promise<void> {
  const { vaultId, deviceId } = vault
  const devices = vault.devices()
  const text = [
    `This device is one of the vault now, in ${terminal.bold(path)}`,
    `  vault   ${vaultId}`,
    `  device  ${deviceId}`,
    '',
    terminal.bold('Devices of the vault'),
    formatDevices(devices, terminal),
    '',
    'Its records are here: `blindcopy list` shows the collections.',
  ].join('\n')
  await terminal.answer({ vaultId, deviceId, devices }, text)
}
