/**
 * remote restore, import: vaults out of files, into an empty data folder or beside a server that
 * runs. Every file is read and checked as a whole before any of it is taken.
 *
 *   nothing here of that vault       restored
 *   the same log, or a longer one    kept
 *   the file goes on from it         replaced: nothing is lost by that
 *   anything else                    refused, unless --replace says that it may be taken away
 */
import type { Defect, VaultRow, VerifiedVault } from '@blindcopy/remote'
import { AdminError } from '@blindcopy/remote'
import { CliError } from './cli-error.ts'
import { count, formatRows, printable } from './layout.ts'
import { ask as askPerson } from './prompt.ts'
import { type Access, jsonOf, linesOf, type RemoteOptions, withRemote } from './remote-access.ts'
import { filesAt, readFileChunks, verifyPath } from './remote-file-disk.ts'
import { describeDefects, formatDefects, hexOf, shortId } from './remote-text.ts'
import type { Terminal } from './terminal.ts'

export type RemoteRestoreOptions = RemoteOptions & {
  readonly only?: readonly string[]
  readonly replace?: boolean
  readonly yes?: boolean
}

type Outcome = 'restored' | 'replaced' | 'kept' | 'refused' | 'left-out'

type Restored = {
  readonly id: string
  readonly outcome: Outcome
  readonly why: 'there' | 'damaged' | null
  readonly seq: number
  readonly count: number
  readonly defects: readonly Defect[]
}

export async function restoreRemote(
  target: string,
  options: RemoteRestoreOptions,
  terminal: Terminal,
): Promise<void> {
  const files = await filesAt(target)
  await withRemote(
    options,
    terminal,
    (access) => restoreFiles(files, { options, access, terminal }),
    {
      makes: true,
    },
  )
}

/** One vault, from another host. */
export async function importVault(
  target: string,
  options: RemoteRestoreOptions,
  terminal: Terminal,
): Promise<void> {
  await withRemote(
    options,
    terminal,
    async (access) => {
      const { vaults } = await verifyPath(target)
      if (vaults.length !== 1) {
        const held = count(vaults.length, 'vault')
        throw new CliError('usage', `${printable(target)} holds ${held}: restore takes such a file`)
      }
      await restoreFiles([target], { options, access, terminal })
    },
    { makes: true },
  )
}

type Parts = {
  readonly options: RemoteRestoreOptions
  readonly access: Access
  readonly terminal: Terminal
}

type File = { readonly path: string; readonly vaults: readonly VerifiedVault[] }

async function restoreFiles(paths: readonly string[], parts: Parts): Promise<void> {
  const { options, access, terminal } = parts
  const present = new Map<string, VaultRow>()
  for await (const row of linesOf<VaultRow>(access.ask('/vaults'))) present.set(row.id, row)
  const seqs = new Map<string, number>()
  for (const { id, seq } of present.values()) if (seq !== null) seqs.set(id, seq)
  const files: File[] = []
  for (const path of paths) {
    const { vaults } = await verifyPath(path, seqs)
    files.push({ path, vaults })
  }
  const wanted = wantedIds(files, options.only)
  const replace = await whatToReplace(files, { ...parts, present, wanted })
  const restored: Restored[] = []
  for (const { path } of files) {
    const query = new URLSearchParams()
    if (wanted !== undefined) query.set('only', [...wanted].join(','))
    if (replace.length > 0) query.set('replace', replace.join(','))
    const body = readFileChunks(path)
    const answer = access.ask(`/restore?${query}`, { method: 'POST', body })
    restored.push(...(await jsonOf<{ vaults: Restored[] }>(answer)).vaults)
  }
  await answerRestored(
    restored.filter(({ outcome }) => outcome !== 'left-out'),
    terminal,
  )
}

function wantedIds(
  files: readonly File[],
  only: readonly string[] | undefined,
): Set<string> | undefined {
  if (only === undefined) return undefined
  const ids = files.flatMap(({ vaults }) => vaults.map(({ manifest }) => hexOf(manifest.vaultId)))
  return new Set(
    only.map((prefix) => {
      const found = new Set(ids.filter((id) => id.startsWith(prefix.toLowerCase())))
      const [id] = found
      if (id !== undefined && found.size === 1) return id
      const code = id === undefined ? 'no-such-vault' : 'vault-ambiguous'
      const many = id === undefined ? 'no vault' : `${found.size} vaults`
      throw new AdminError(code, `${many} of the backup begin with ${printable(prefix)}`)
    }),
  )
}

/** `id:seq` of each vault here that may be taken away for one of the file. */
async function whatToReplace(
  files: readonly File[],
  parts: Parts & {
    readonly present: ReadonlyMap<string, VaultRow>
    readonly wanted: ReadonlySet<string> | undefined
  },
): Promise<string[]> {
  const { options, present, wanted, terminal } = parts
  const replace: string[] = []
  const lost: string[] = []
  for (const { manifest, chainAt } of files.flatMap(({ vaults }) => vaults)) {
    const id = hexOf(manifest.vaultId)
    const here = present.get(id)
    if (here === undefined || (wanted !== undefined && !wanted.has(id))) continue
    const goesOn = here.seq !== null && manifest.head.seq > here.seq && chainAt === here.chain
    const name = here.seq === null ? id : `${id}:${here.seq}`
    if (goesOn) replace.push(name)
    else if (options.replace) {
      replace.push(name)
      lost.push(shortId(id))
    }
  }
  if (lost.length > 0) {
    const what = [
      `What is here of ${lost.join(', ')} is taken away for what the backup holds.`,
      'Devices bring back what they have.',
    ].join(' ')
    await confirm(what, { yes: options.yes, answer: 'replace', terminal })
  }
  return replace
}

/** Goes on when the person types the word. Throws `usage` where nobody can be asked. */
export async function confirm(
  what: string,
  parts: {
    readonly yes: boolean | undefined
    readonly answer: string
    readonly terminal: Terminal
  },
): Promise<void> {
  const { yes, answer, terminal } = parts
  if (yes) return
  if (!terminal.canAsk) throw new CliError('usage', `${what} Give --yes to go on`)
  terminal.note(terminal.fit(what, 0))
  const typed = await askPerson(terminal, `Type ${answer} to go on: `)
  if (typed.trim().toLowerCase() !== answer)
    throw new CliError('interrupted', 'nothing was changed')
}

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  restored: 'restored',
  replaced: 'restored in the place of what was here',
  kept: 'kept: what is here is the same or newer',
  refused: 'REFUSED',
  'left-out': 'left out',
}

async function answerRestored(restored: readonly Restored[], terminal: Terminal): Promise<void> {
  const rows = restored.flatMap(({ id, outcome, why, seq, count: records, defects }) => {
    const mended =
      defects.length === 0 || outcome === 'refused' ? '' : `, put right: ${formatDefects(defects)}`
    const there = why === 'there' ? ': another history of it is here' : ': it is damaged'
    const end = outcome === 'refused' ? there : mended
    const row = [
      shortId(id),
      count(records, 'record'),
      `log to ${seq}`,
      `${OUTCOMES[outcome]}${end}`,
    ]
    return [row, ...(outcome === 'refused' ? describeDefects(defects) : []).map((line) => [line])]
  })
  if (terminal.json) for (const one of restored) await terminal.print(JSON.stringify(one))
  else
    await terminal.print(
      rows.length === 0 ? 'There is no vault in it.' : formatRows(rows, terminal.columns, 3),
    )
  const refused = restored.filter(({ outcome }) => outcome === 'refused')
  const there = refused.filter(({ why }) => why === 'there')
  const names = (of: readonly Restored[]): string => of.map(({ id }) => shortId(id)).join(', ')
  if (refused.length > there.length) {
    const damaged = refused.filter(({ why }) => why === 'damaged')
    throw new AdminError(
      'backup-damaged',
      `what the backup holds of ${names(damaged)} is not sound`,
    )
  }
  if (there.length > 0) {
    throw new AdminError('vault-there', `another history of ${names(there)} is on this remote`)
  }
}
