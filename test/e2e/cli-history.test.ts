/** Earlier versions of a record on the command line: listed, shown, and a delete undone. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { done, makeDevices, objects, refusal, serve } from './commands.ts'
import { temporaryFolder } from './processes.ts'

it('lists what a record held, and brings back what was deleted, on every device', async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const [phone, laptop] = (await makeDevices(root, remote, { a: '{"t":"first"}' })) as [
    string[],
    string[],
  ]
  await done(['put', 'notes', 'a', '{"t":"second"}', ...phone])
  await done(['sync', ...phone])
  await done(['delete', 'notes', 'a', ...phone])
  await done(['sync', ...phone])
  await done(['sync', ...laptop])

  const versions = await objects(['history', 'notes', 'a', ...laptop])
  expect(versions.map(({ fields }) => fields)).toEqual([null, { t: 'second' }, { t: 'first' }])
  const table = (await done(['history', 'notes', 'a', ...laptop])).split('\n')
  expect(table[1]).toMatch(/^\(now\) .*\(deleted\)$/)
  expect(table[2]).toMatch(/^[0-9a-f]{4,} .*second/)
  const name = table[2]?.split(' ')[0] as string
  expect(await done(['history', 'notes', 'a', '--show', name, ...laptop])).toContain('second')

  await done(['history', 'notes', 'a', '--restore', name, ...laptop])
  await done(['sync', ...laptop])
  await done(['sync', ...phone])
  const [record] = await objects(['get', 'notes', 'a', ...phone])
  expect(record).toMatchObject({ fields: { t: 'second' } })

  const refused = await refusal(['history', 'notes', 'a', '--restore', 'ffff', ...laptop])
  expect(refused).toMatchObject({ code: 'not-found' })
  const both = await refusal(['history', 'notes', 'a', '--show', name, '--restore', name, ...phone])
  expect(both).toMatchObject({ code: 'usage' })
  expect(await refusal(['history', 'notes', 'a', '--limit', '0', ...phone])).toMatchObject({
    code: 'usage',
  })
}, 120_000)
