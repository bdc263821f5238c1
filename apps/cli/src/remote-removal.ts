/**
 * remote reset, delete: takes the records of a vault, or the vault, from this remote.
 */
import type { VaultDetails } from '@blindcopy/remote'
import { count } from './layout.ts'
import { jsonOf, linesOf, type RemoteOptions, withRemote } from './remote-access.ts'
import { confirm } from './remote-restore.ts'
import { shortId } from './remote-text.ts'
import { pathOf } from './remote-vaults.ts'
import type { Terminal } from './terminal.ts'

export type RemovalOptions = RemoteOptions & { readonly yes?: boolean }
export type ResetOptions = RemovalOptions & { readonly keepRecords?: boolean }

export async function resetVault(
  id: string,
  options: ResetOptions,
  terminal: Terminal,
): Promise<void> {
  const { yes, keepRecords = false } = options
  await withRemote(options, terminal, async ({ ask }) => {
    const vault = await jsonOf<VaultDetails>(ask(pathOf(id)))
    const name = shortId(vault.id)
    if (!keepRecords) {
      const records = count(vault.records ?? 0, 'record')
      const what = [
        `All ${records} of ${name} and their history go from this remote.`,
        'Its devices send back what they hold;',
        'WHAT NO DEVICE HOLDS IS GONE, so make a backup first.',
      ].join(' ')
      await confirm(what, { yes, answer: name, terminal })
    }
    const query = keepRecords ? '?keep=1' : ''
    const after = await jsonOf<VaultDetails>(
      ask(pathOf(vault.id, `/reset${query}`), { method: 'POST' }),
    )
    const text = keepRecords
      ? `${name} has a new SyncId: its devices compare all they hold with what is here.`
      : `${name} is empty, and keeps its devices and keys: they send back what they hold.`
    await terminal.answer({ id: vault.id, syncId: after.syncId, records: after.records }, text)
  })
}

export async function deleteVault(
  id: string,
  options: RemovalOptions,
  terminal: Terminal,
): Promise<void> {
  await withRemote(options, terminal, async ({ ask }) => {
    // One that is damaged can be deleted too, and cannot be described.
    const found = await jsonOf<VaultDetails>(ask(pathOf(id))).catch(() => undefined)
    const whole = found?.id ?? id
    const name = shortId(whole)
    const records = found === undefined ? 'what is left' : count(found.records ?? 0, 'record')
    const what = [
      `${records} of ${name}, its history and its list of devices go from this remote.`,
      'Backups and devices keep what they have;',
      'a device that comes again brings it back, if registration lets it.',
    ].join(' ')
    if (found === undefined) await checkThere(id, ask)
    await confirm(what, { yes: options.yes, answer: name, terminal })
    const answer = await jsonOf<{ id: string }>(ask(pathOf(whole), { method: 'DELETE' }))
    await terminal.answer(answer, `${shortId(answer.id)} is no longer on this remote.`)
  })
}

/** Throws `no-such-vault` or `vault-ambiguous` before anybody is asked. */
async function checkThere(
  id: string,
  ask: Parameters<Parameters<typeof withRemote>[2]>[0]['ask'],
): Promise<void> {
  const path = `/check?vault=${encodeURIComponent(id)}`
  for await (const _ of linesOf<unknown>(ask(path, { method: 'POST' })));
}
