/**
 * Judge: compares what a device holds in the end with what the ledger says must be left.
 */
import type { Vault } from '@blindcopy/client'
import type { Fields } from '@blindcopy/protocol'
import { type Card, type Choice, type Counter, writesIn } from './collections.ts'
import { FEATURES } from './faults.ts'
import { clockOf, type Ledger } from './ledger.ts'
import type { Hex } from './lens.ts'

/** What every device of a run lists as conflicts: the numbers of the writes that lost. */
export type Listed = ReadonlySet<number>

const RESERVED = '$'

/** By collection and key. */
export async function recordsOf(vault: Vault): Promise<Map<string, Fields>> {
  const records = new Map<string, Fields>()
  for await (const { collection, key, fields } of vault.records()) {
    records.set(`${collection}/${key}`, fields)
  }
  return records
}

export async function listConflicts(vaults: readonly Vault[]): Promise<Listed> {
  const listed = new Set<number>()
  for (const vault of vaults) {
    for (const { collection, lost } of await vault.conflicts.list()) {
      for (const write of writesIn(collection, lost)) listed.add(write)
    }
  }
  return listed
}

/** What is wrong, a line each. */
export function judge(
  held: ReadonlyMap<string, Fields>,
  ledger: Ledger,
  options: Omit<Case, 'recordId'>,
): string[] {
  const problems: string[] = []
  const seen = new Set<string>()
  for (const recordId of ledger.versionsById.keys()) {
    const winner = ledger.winner(recordId)
    if (winner === undefined || winner.collection.startsWith(RESERVED)) continue
    const place = `${winner.collection}/${winner.key}`
    seen.add(place)
    const fields = held.get(place) ?? null
    const found = judgeOne(fields, ledger, { recordId, ...options })
    problems.push(...found.map((problem) => `${place}: ${problem}`))
  }
  for (const place of held.keys()) if (!seen.has(place)) problems.push(`${place} was never written`)
  return problems
}

type Case = {
  readonly recordId: Hex
  readonly listed: Listed
  /** A folder was copied or put back: what it had not sent then may have been sent since. */
  readonly mayRepeat: boolean
  /**
   * A remote was put back: of two versions that it had both confirmed the newer one stands, and the
   * other is listed.
   */
  readonly mayBeListed: boolean
}

function judgeOne(fields: Fields | null, ledger: Ledger, options: Case): string[] {
  const kind = ledger.kindOf(options.recordId)
  const isCounted = kind === 'manual' || kind === 'ids'
  if (isCounted && options.mayBeListed && !FEATURES.listedAfterHealing) return []
  switch (kind) {
    case 'lww':
      return judgeNote(fields, ledger.winner(options.recordId)?.fields ?? null)
    case 'merge':
      return judgeCard((fields ?? {}) as Card, ledger, options)
    case 'manual':
      return judgeChoice(fields as unknown as Choice | null, ledger, options)
    case 'ids':
      return judgeIds(fields as unknown as Counter | null, ledger, options)
  }
}

function judgeNote(held: Fields | null, expected: Fields | null): string[] {
  if (JSON.stringify(held) === JSON.stringify(expected)) return []
  return [`is write ${held?.w ?? 'none'}, and should be ${expected?.w ?? 'none'}`]
}

function judgeCard(card: Card, ledger: Ledger, { recordId }: Case): string[] {
  const expected = new Map<string, { clock: Hex; value: number }>()
  for (const version of ledger.kept(recordId)) {
    for (const [field, value] of Object.entries((version.fields ?? {}) as Card)) {
      const clock = clockOf(version, field)
      if (clock > (expected.get(field)?.clock ?? '')) expected.set(field, { clock, value })
    }
  }
  return [...expected].flatMap(([field, { value }]) =>
    card[field] === value ? [] : [`field ${field} is write ${card[field]}, should be ${value}`],
  )
}

function judgeIds(held: Counter | null, ledger: Ledger, options: Case): string[] {
  const problems: string[] = []
  const ids = held?.ids ?? []
  const kept = ledger.keptWrites(options.recordId)
  const { listed, mayBeListed } = options
  const isFound = (id: number): boolean => ids.includes(id) || (mayBeListed && listed.has(id))
  const missing = [...kept].filter((id) => !isFound(id))
  if (missing.length > 0) problems.push(`the writes ${missing} are lost`)
  const isRepeated = new Set(ids).size < ids.length
  if (isRepeated && !options.mayRepeat) problems.push(`a write counts twice: ${ids}`)
  if (held?.sum !== undefined && held.sum !== ids.length) {
    problems.push(`the sum is ${held.sum} of ${ids.length}`)
  }
  return problems
}

/** A write is there, was seen by the writer of one that is, or is listed somewhere. */
function judgeChoice(held: Choice | null, ledger: Ledger, options: Case): string[] {
  const overByWrite = new Map<number, number | null>()
  for (const { fields } of ledger.versionsById.get(options.recordId)?.values() ?? []) {
    const choice = fields as unknown as Choice | null
    if (choice !== null) overByWrite.set(choice.w, choice.over)
  }
  const found = new Set<number>()
  for (const write of [held?.w, ...options.listed]) {
    for (let at = write; typeof at === 'number'; at = overByWrite.get(at) ?? undefined) {
      if (found.has(at)) break
      found.add(at)
    }
  }
  const vanished = [...ledger.keptWrites(options.recordId)].filter((write) => !found.has(write))
  return vanished.length > 0 ? [`the writes ${vanished} are neither there nor listed`] : []
}
