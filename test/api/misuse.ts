/**
 * Programs that must not compile: the types of the client refuse misuse before it runs. Checked by
 * `npm run types`; nothing here is ever executed.
 */
import type { Vault } from '@blindcopy/client'
import { sealRecord } from '@blindcopy/vault'
import { z } from 'zod'

export async function misuse(vault: Vault): Promise<void> {
  const Note = z.object({ title: z.string(), size: z.number(), done: z.boolean().default(false) })
  const notes = vault.collection('notes', { schema: Note })

  await notes.put('n', { title: 'x', size: 1 })
  // @ts-expect-error a field is missing
  await notes.put('n', { title: 'x' })
  // @ts-expect-error a field has another type
  await notes.put('n', { title: 3, size: 1 })
  // @ts-expect-error a deletion is `delete`, not a put of nothing
  await notes.put('n', null)
  // @ts-expect-error there is no such field
  await notes.update('n', { titel: 'x' })

  const note = await notes.get('n')
  // @ts-expect-error there may be no such record
  note.title

  // @ts-expect-error there is no such field to ask for
  await notes.query({ where: { titel: 'x' } })
  // @ts-expect-error a number is not compared with a text
  await notes.query({ where: { size: { gt: 'x' } } })
  // @ts-expect-error there is no such field to order by
  await notes.query({ orderBy: 'titel' })
  // @ts-expect-error nor such a direction
  await notes.query({ orderBy: { size: 'up' } })

  await vault.transaction(async (tx) => {
    await tx.collection(notes).put('n', { title: 'x', size: 1 })
    // @ts-expect-error a field is missing in a transaction too
    await tx.collection(notes).put('n', { size: 1 })
    // @ts-expect-error a transaction takes a collection, so that its schema comes along
    tx.collection('notes')
  })

  // @ts-expect-error a phrase is no secret to seal with: keys are types of their own
  sealRecord('word word', {}, new Uint8Array(16), () => new Uint8Array(24))
}
