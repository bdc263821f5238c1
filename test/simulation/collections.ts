/**
 * Collections: what the records of a simulation are, one collection for each way to resolve a
 * conflict. Every write has a number that no other has, and leaves it in the record, so that what
 * became of it can be read from any version that holds it.
 *
 *   notes, groups   lww      {w, by, text}; the records of a group are always written together
 *   cards           merge    {f0 … f3}: each field holds the number of the write that set it
 *   choices         manual   {w, over}: what the writer saw there before
 *   sets            custom   {ids}: the union of both sides
 *   counters        lww, written by a custom mutation: {ids, sum}, one id an increment
 */
import type { Collection, Fields, Transaction, Vault } from '@blindcopy/client'

/** Planted in every name and every text: it must be found on devices only. */
export const CANARY = 'canary'

export const NOTES = `${CANARY} notes`
export const GROUPS = `${CANARY} groups`
export const CARDS = `${CANARY} cards`
export const CHOICES = `${CANARY} choices`
export const SETS = `${CANARY} sets`
export const COUNTERS = `${CANARY} counters`
export const INCREMENT = `${CANARY} increment`

export type Note = { readonly w: number; readonly by: string; readonly text: string }
export type Card = { readonly [field: string]: number }
export type Choice = { readonly w: number; readonly over: number | null }
export type IdSet = { readonly ids: readonly number[] }
export type Counter = IdSet & { readonly sum: number }

export type PolicyKind = 'lww' | 'merge' | 'manual' | 'ids'

export function kindOf(collection: string): PolicyKind {
  if (collection === CARDS) return 'merge'
  if (collection === CHOICES) return 'manual'
  return collection === SETS || collection === COUNTERS ? 'ids' : 'lww'
}

export const notesOf = (vault: Vault): Collection<Note> => vault.collection<Note>(NOTES)
export const groupsOf = (vault: Vault): Collection<Note> => vault.collection<Note>(GROUPS)
export const cardsOf = (vault: Vault): Collection<Card> =>
  vault.collection<Card>(CARDS, { conflict: 'merge' })
export const choicesOf = (vault: Vault): Collection<Choice> =>
  vault.collection<Choice>(CHOICES, { conflict: 'manual' })
export const setsOf = (vault: Vault): Collection<IdSet> =>
  vault.collection<IdSet>(SETS, {
    conflict: {
      custom: ({ local, remote }) => ({
        ids: [...new Set([...(remote?.ids ?? []), ...(local?.ids ?? [])])],
      }),
    },
  })
const countersOf = (vault: Vault): Collection<Counter> => vault.collection<Counter>(COUNTERS)

/** What an app does at every opening, before sync is started. */
export function declare(vault: Vault): void {
  cardsOf(vault)
  choicesOf(vault)
  setsOf(vault)
  vault.mutations({
    [INCREMENT]: async (transaction: Transaction, { key, id }: { key: string; id: number }) => {
      const counters = transaction.collection(countersOf(vault))
      const { sum = 0, ids = [] } = (await counters.get(key)) ?? {}
      await counters.put(key, { sum: sum + 1, ids: [...ids, id] })
    },
  })
}

/** The numbers of the writes that a version holds, whatever its collection. */
export function writesIn(collection: string, fields: Fields | null): readonly number[] {
  if (fields === null) return []
  switch (kindOf(collection)) {
    case 'merge':
      return Object.values(fields as Card)
    case 'ids':
      return (fields as unknown as IdSet).ids
    default:
      return typeof fields.w === 'number' ? [fields.w] : []
  }
}

/** The name of the group of a record that is always written with others. */
export const groupOf = (key: string): string | undefined => /(g\d+)-\d+$/.exec(key)?.[1]
