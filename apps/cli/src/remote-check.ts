/**
 * remote check, repair: whether all that a remote holds fits together, and what can be put right.
 */
import { AdminError, DEFECTS, type Defect } from '@blindcopy/remote'
import { CliError } from './cli-error.ts'
import { count } from './layout.ts'
import { linesOf, type RemoteOptions, withRemote } from './remote-access.ts'
import { describeDefects, shortId } from './remote-text.ts'
import type { Terminal } from './terminal.ts'

type Report = {
  /** Null for what belongs to no vault. */
  readonly id: string | null
  readonly defects: readonly Defect[]
  readonly records?: number
  readonly left?: readonly Defect[]
  readonly hasNewSyncId?: boolean
}

export async function checkRemote(
  id: string | undefined,
  options: RemoteOptions,
  terminal: Terminal,
): Promise<void> {
  let unsound = 0
  let vaults = 0
  await withRemote(options, terminal, async ({ ask }) => {
    for await (const report of linesOf<Report>(ask(`/check${queryOf(id)}`, { method: 'POST' }))) {
      if (report.id !== null) vaults++
      if (report.defects.length > 0) unsound++
      await told(report, terminal, () => {
        const head = report.id === null ? 'beside the vaults' : shortId(report.id)
        if (report.defects.length > 0) {
          return [`${head}  NOT SOUND`, ...describeDefects(report.defects)]
        }
        return report.id === null ? [] : [`${head}  sound, ${count(report.records ?? 0, 'record')}`]
      })
    }
  })
  if (!terminal.json && vaults === 0) await terminal.print('There is no vault on this remote.')
  if (unsound > 0) throw new CliError('remote-unsound', 'not all of this remote is sound')
}

export async function repairRemote(
  id: string | undefined,
  options: RemoteOptions,
  terminal: Terminal,
): Promise<void> {
  let left = 0
  await withRemote(options, terminal, async ({ ask }) => {
    for await (const report of linesOf<Report>(ask(`/repair${queryOf(id)}`, { method: 'POST' }))) {
      if (report.left?.some(({ name }) => DEFECTS[name] === 'fatal')) left++
      await told(report, terminal, () => describeRepair(report))
    }
  })
  if (left === 0) return
  throw new AdminError(
    'unmendable',
    `nothing was changed in ${count(left, 'vault')}: what is broken there proves itself, and cannot be made up`,
  )
}

const queryOf = (id: string | undefined): string =>
  id === undefined ? '' : `?vault=${encodeURIComponent(id)}`

function describeRepair({ id, defects, left = [], hasNewSyncId }: Report): string[] {
  const head = id === null ? 'beside the vaults' : shortId(id)
  if (defects.length === 0) return id === null ? [] : [`${head}  sound, nothing to do`]
  const leftNames = new Set(left.map(({ name }) => name))
  const mended = defects.filter(({ name }) => !leftNames.has(name))
  const isUntouched = left.some(({ name }) => DEFECTS[name] === 'fatal')
  return [
    ...(isUntouched || mended.length === 0
      ? []
      : [`${head}  put right`, ...describeDefects(mended)]),
    ...(hasNewSyncId
      ? ['    It has a new SyncId: devices compare, and bring back what is lacking.']
      : []),
    ...(left.length === 0 ? [] : [`${head}  LEFT AS IT IS`, ...describeDefects(left)]),
  ]
}

async function told(report: Report, terminal: Terminal, text: () => string[]): Promise<void> {
  if (terminal.json) await terminal.print(JSON.stringify(report))
  else for (const line of text()) await terminal.print(line)
}
