/**
 * Member choice: who stays in a vault that is restored, or whose fork is ended. Whoever lost a
 * phone, or never let a device in, says so before anything is written.
 */
import type { ReviewedMember, ReviewMembers } from '@blindcopy/client'
import { CliError } from './cli-error.ts'
import { formatAgo, formatRows, wrap } from './layout.ts'
import { findMemberId, shortLength, shownName } from './member-names.ts'
import { askYesOrNo } from './pairing-prompt.ts'
import { ask } from './prompt.ts'
import type { Terminal } from './terminal.ts'

export type ChoiceOptions = { readonly keepAll?: boolean; readonly revoke?: readonly string[] }

/** Undefined where all stay and nobody is asked. Throws `usage`. */
export function choiceOf(
  { keepAll = false, revoke = [] }: ChoiceOptions,
  terminal: Terminal,
  { mayBringBack }: { readonly mayBringBack: boolean },
): ReviewMembers | undefined {
  if (keepAll && revoke.length > 0) {
    throw new CliError('usage', 'either --keep-all, or --revoke those that go')
  }
  if (revoke.length > 0) return async (members) => keptWithout(members, revoke)
  if (keepAll || !terminal.canAsk) return undefined
  return (members) => askWhoStays(members, terminal, mayBringBack)
}

function keptWithout(members: readonly ReviewedMember[], given: readonly string[]): string[] {
  const active = members.filter(({ revoked }) => revoked === null)
  const named = active.map((member) => ({ ...member, id: member.memberId }))
  const gone = new Set(given.map((text) => findMemberId(text, named)))
  return active.map(({ memberId }) => memberId).filter((id) => !gone.has(id))
}

async function askWhoStays(
  members: readonly ReviewedMember[],
  terminal: Terminal,
  mayBringBack: boolean,
): Promise<string[]> {
  const active = members.filter(({ revoked }) => revoked === null)
  const removed = members.filter(({ revoked }) => revoked !== null)
  const length = shortLength(members.map(({ memberId }) => memberId))
  const row = rowOf(members, length)
  terminal.note('\nThe key opens the vault. In it are:\n')
  terminal.note(formatRows(active.map(row), terminal.messageColumns, 3))
  if (removed.length > 0) {
    terminal.note('\nRemoved before:\n')
    const rows = removed.map((member, i) => row(member, active.length + i))
    terminal.note(formatRows(rows, terminal.messageColumns, 3))
  }
  const sentence =
    'Is one of them lost, stolen, or not yours? It can be removed now: it then reads nothing that is written from here on.'
  terminal.note(`\n${wrap(sentence, terminal.messageColumns)}`)
  const gone = await askNumbers('Numbers of those to remove (Enter: all stay): ', active, terminal)
  const withAdded = await askAboutAdded(gone, active, { terminal, row })
  const kept = active.filter((member) => !withAdded.has(member.memberId))
  const back =
    mayBringBack && removed.length > 0
      ? await askNumbers('Numbers of those to take back (Enter: none): ', removed, terminal, {
          first: active.length + 1,
        })
      : []
  return [...kept, ...back].map(({ memberId }) => memberId)
}

type Row = (member: ReviewedMember, index: number) => string[]

function rowOf(members: readonly ReviewedMember[], length: number): Row {
  const nameOf = (id: string | null): string => {
    if (id === null) return 'the phrase'
    const name = members.find(({ memberId }) => memberId === id)?.name ?? ''
    return name === '' ? id.slice(0, length) : shownName(name)
  }
  return ({ memberId, kind, name, addedMs, addedBy, revoked }, index) => {
    const nowMs = Date.now()
    return [
      `  ${String(index + 1).padStart(2)}`,
      memberId.slice(0, length),
      `${shownName(name)}${kind === 'recovery' ? ' (recovery key)' : ''}`,
      revoked === null
        ? `added ${formatAgo(addedMs, nowMs)} by ${nameOf(addedBy)}`
        : `removed ${formatAgo(revoked.atMs, nowMs)} by ${nameOf(revoked.by)}`,
    ]
  }
}

async function askNumbers(
  question: string,
  members: readonly ReviewedMember[],
  terminal: Terminal,
  { first = 1 }: { readonly first?: number } = {},
): Promise<ReviewedMember[]> {
  for (;;) {
    const answer = await ask(terminal, question)
    const numbers = answer.split(/[\s,]+/u).filter((text) => text !== '')
    const chosen = numbers.map((text) =>
      /^\d+$/.test(text) ? members[Number(text) - first] : undefined,
    )
    const isGood = (member: ReviewedMember | undefined): member is ReviewedMember =>
      member !== undefined
    if (chosen.every(isGood)) return chosen
    const last = first + members.length - 1
    terminal.note(`Numbers from ${first} to ${last}, with spaces between, or Enter.`)
  }
}

/** What a stolen device has added may be the thief's. */
async function askAboutAdded(
  gone: readonly ReviewedMember[],
  active: readonly ReviewedMember[],
  { terminal, row }: { readonly terminal: Terminal; readonly row: Row },
): Promise<ReadonlySet<string>> {
  const goneIds = new Set(gone.map(({ memberId }) => memberId))
  const added = addedByAny(goneIds, active)
  if (added.length === 0) return goneIds
  const were = added.length === 1 ? 'This one was' : 'These were'
  terminal.note(`\n${were} let in by what you remove:\n`)
  const rows = added.map((member) => row(member, active.indexOf(member)))
  terminal.note(formatRows(rows, terminal.messageColumns, 3))
  const asker = { ask: (question: string) => ask(terminal, question), close: () => undefined }
  const go = await askYesOrNo(
    asker,
    `${added.length === 1 ? 'Does it' : 'Do they'} go too? Say no only for what is surely yours.`,
  )
  return go ? new Set([...goneIds, ...added.map(({ memberId }) => memberId)]) : goneIds
}

/** And what these have added, and so on: each comes after the one that added it. */
function addedByAny(ids: ReadonlySet<string>, active: readonly ReviewedMember[]): ReviewedMember[] {
  const all = new Set(ids)
  return active.filter(({ memberId, addedBy }) => {
    if (addedBy === null || !all.has(addedBy) || all.has(memberId)) return false
    all.add(memberId)
    return true
  })
}
