/**
 * What the types of the API refuse. Compiled with the tests, never run: each `@ts-expect-error` is
 * an error of its own when the line below it compiles.
 */
import type { Envelope } from '@blindcopy/protocol'
import { expect, it } from 'vitest'
import { z } from 'zod'
import type { Vault } from './index.ts'

const Note = z.object({
  title: z.string(),
  done: z.boolean(),
  rank: z.number().default(0),
  due: z.date().optional(),
})

type Page = { readonly title: string; readonly size: number }

export async function misuseASchema(vault: Vault): Promise<void> {
  const notes = vault.collection('notes', { schema: Note })
  await notes.put('n', { title: 'Hello', done: false })
  // @ts-expect-error a field is missing
  await notes.put('n', { title: 'Hello' })
  // @ts-expect-error a field is of another type
  await notes.put('n', { title: 'Hello', done: 'no' })
  // @ts-expect-error a field is misspelt
  await notes.put('n', { title: 'Hello', done: false, titel: 'Hello' })
  // @ts-expect-error a key is text
  await notes.put(1, { title: 'Hello', done: false })
  // @ts-expect-error add takes no key
  await notes.add('n', { title: 'Hello', done: false })
  // @ts-expect-error a change is of another type
  await notes.update('n', { done: 'no' })
  // @ts-expect-error a change to a field there is not
  await notes.update('n', { finished: true })
  // @ts-expect-error what is read may not be there
  ;(await notes.get('n')).title
  // @ts-expect-error what is read has no such field
  ;(await notes.list()).map(({ fields }) => fields.titel)
}

export async function misuseAQuery(vault: Vault): Promise<void> {
  const notes = vault.collection('notes', { schema: Note })
  await notes.query({ where: { done: true, rank: { gte: 1 } }, orderBy: { rank: 'desc' } })
  // @ts-expect-error where names a field there is not
  await notes.query({ where: { finished: true } })
  // @ts-expect-error where compares with another type
  await notes.query({ where: { done: 'yes' } })
  // @ts-expect-error where has no such operator
  await notes.query({ where: { rank: { greater: 1 } } })
  // @ts-expect-error orderBy names a field there is not
  await notes.query({ orderBy: 'finished' })
  // @ts-expect-error orderBy knows two directions
  await notes.query({ orderBy: { rank: 'down' } })
  // @ts-expect-error a limit is a number
  notes.watch({ limit: '10' })
  // @ts-expect-error a predicate sees the fields
  await notes.query({ where: (fields) => fields.finished })
}

export async function misuseIndexes(vault: Vault): Promise<void> {
  const pages = vault.collection<Page>('pages', { indexes: ['size', ['title', 'size']] })
  await pages.query({ key: { startsWith: 'p' }, where: { size: 1 } })
  // @ts-expect-error an index names a field there is not
  vault.collection<Page>('pages', { indexes: ['sise'] })
  // @ts-expect-error one of its fields is none
  vault.collection<Page>('pages', { indexes: [['title', 'sise']] })
  // @ts-expect-error an index has a field at least
  vault.collection<Page>('pages', { indexes: [[]] })
  // @ts-expect-error indexes are a list
  vault.collection<Page>('pages', { indexes: 'size' })
  // @ts-expect-error a key is text
  await pages.query({ key: { gt: 3 } })
}

export async function misuseFields(vault: Vault, envelope: Envelope): Promise<void> {
  const pages = vault.collection<Page>('pages')
  await pages.put('p', { title: 'Hello', size: 1 })
  // @ts-expect-error what is sealed already is not fields
  await pages.put('p', envelope)
  await vault.transaction(async (transaction) => {
    const inside = transaction.collection(pages)
    // @ts-expect-error the fields are of another type
    await inside.put('p', { title: 'Hello', size: '1' })
    // @ts-expect-error what is sealed already is not fields
    await inside.put('p', envelope)
    // @ts-expect-error a transaction takes a collection, not its name
    transaction.collection('pages')
  })
  // @ts-expect-error a write alone is no transaction
  await vault.transaction(pages.put('p', { title: 'Hello', size: 1 }))
}

export async function misuseConflicts(vault: Vault): Promise<void> {
  vault.collection('notes', { schema: Note, conflict: 'merge' })
  vault.collection<Page>('pages', { conflict: { custom: ({ local, remote }) => local ?? remote } })
  // @ts-expect-error no policy has this name
  vault.collection('notes', { conflict: 'newest' })
  // @ts-expect-error custom needs its function
  vault.collection('notes', { conflict: 'custom' })
  // @ts-expect-error a resolver answers at once
  vault.collection<Page>('pages', { conflict: { custom: async ({ local }) => local } })
  // @ts-expect-error a resolver answers a record, or null
  vault.collection<Page>('pages', { conflict: { custom: () => ({ title: 'Hello' }) } })
  // @ts-expect-error a side may be deleted
  vault.collection<Page>('pages', { conflict: { custom: ({ local }) => ({ ...local }) } })
  // @ts-expect-error a version is a number
  vault.collection('notes', { version: '2' })
  // @ts-expect-error a migration answers at once
  vault.collection('notes', { version: 2, migrate: async (fields) => fields })
  // @ts-expect-error a choice is one of two words, or fields
  await vault.conflicts.resolve('id', 'both')
  // @ts-expect-error a mutation has arguments, if only null
  await vault.mutate('add')
}

it('is compiled with the tests, and never run', () => {
  const all = [misuseASchema, misuseAQuery, misuseIndexes, misuseFields, misuseConflicts]
  expect(all).toHaveLength(5)
})
