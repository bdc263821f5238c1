/**
 * One collection, checked by each of the schema libraries that apps use, through the one interface
 * they share (standardschema.dev).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVault, type Schema, type Vault } from '@blindcopy/client'
import { type } from 'arktype'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

type Note = { title: string; done: boolean; at: Date }

const schemas: Record<string, Schema<Note>> = {
  zod: z.object({ title: z.string(), done: z.boolean(), at: z.date() }),
  valibot: v.object({ title: v.string(), done: v.boolean(), at: v.date() }),
  arktype: type({ title: 'string', done: 'boolean', at: 'Date' }),
}

let folder: string
let vault: Vault

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blindcopy-schema-'))
  const options = { path: join(folder, 'vault'), remote: 'http://127.0.0.1:9' }
  vault = (await createVault(options)).vault
})
afterAll(async () => {
  await vault.close()
  await rm(folder, { recursive: true, force: true })
})

describe.each(Object.entries(schemas))('a schema of %s', (name, schema) => {
  it('lets through what fits, exactly', async () => {
    const notes = vault.collection(name, { schema })
    const note = { title: 'Hello', done: false, at: new Date(7) }
    await notes.put('n', note)
    expect(await notes.get('n')).toStrictEqual(note)
    expect(await notes.update('n', { done: true })).toStrictEqual({ ...note, done: true })
  })

  it('refuses what does not, says where, and stores nothing', async () => {
    const notes = vault.collection(name, { schema })
    const wrong = { title: 3, done: false, at: new Date(7) } as unknown as Note
    await expect(notes.put('wrong', wrong)).rejects.toMatchObject({
      code: 'schema-refused',
      details: { path: 'title' },
    })
    await expect(notes.add(wrong)).rejects.toMatchObject({ code: 'schema-refused' })
    expect((await notes.list()).map(({ key }) => key)).toEqual(['n'])
  })
})
