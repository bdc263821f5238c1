/**
 * Conflicts as a person meets them on the command line: two devices write one record apart, what
 * lost is listed, shown, brought back or settled, and nobody's words vanish.
 *
 * Lessons: C5.
 */
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { done, makeDevices, objects, refusal, run, serve } from './commands.ts'
import { temporaryFolder } from './processes.ts'

let phone: string[]
let laptop: string[]

/** The phone writes later, and syncs first: what the laptop wrote is lost. */
beforeEach(async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const devices = await makeDevices(root, remote, { a: '{"t":"first"}', b: '{"t":"first"}' })
  ;[phone, laptop] = devices
  await done(['put', 'notes', 'a', '{"t":"of the laptop","n":{"$bigint":"7"}}', ...laptop])
  await done(['put', 'notes', 'b', '{"t":"of the laptop"}', ...laptop])
  await done(['put', 'notes', 'a', '{"t":"of the phone"}', ...phone])
  await done(['delete', 'notes', 'b', ...phone])
  await done(['sync', ...phone])
}, 120_000)

const field = async (key: string, vault: string[]): Promise<unknown> => {
  const [record] = await objects(['get', 'notes', key, ...vault])
  return (record as { fields: Record<string, unknown> }).fields.t
}

it('lists what lost, shows it beside what is there, and brings it back everywhere', async () => {
  const [synced] = await objects(['sync', ...laptop])
  expect(synced).toMatchObject({ pending: 0, attention: 0, conflicts: 2 })
  const conflicts = await objects(['conflicts', 'list', ...laptop])
  expect(conflicts).toMatchObject([
    { kind: 'overwritten', collection: 'notes', key: 'a', current: { t: 'of the phone' } },
    { kind: 'overwritten', collection: 'notes', key: 'b', current: null },
  ])
  expect(conflicts[0]?.lost).toEqual({ t: 'of the laptop', n: { $bigint: '7' } })
  const [first, second] = conflicts as { id: string; name: string }[]

  const table = await done(['conflicts', ...laptop])
  expect(table.split('\n')[1]).toMatch(
    /^[0-9a-f]{4,} {2}overwritten {2}notes\/a {2}.*of the laptop/,
  )
  const shortest = table.split('\n')[1]?.split(' ')[0] ?? ''
  expect(first?.name.startsWith(shortest)).toBe(true)
  const shown = await done(['conflicts', 'show', shortest, ...laptop])
  expect(shown).toContain('notes/a')
  expect(shown).toMatch(/t +of the laptop +of the phone/)
  expect(shown).toMatch(/n +\{"\$bigint":"7"\} +\(no such field\)/)

  await done(['conflicts', 'restore', shortest, ...laptop])
  await done(['conflicts', 'resolve', second?.id ?? '', '--theirs', ...laptop])
  expect(await objects(['conflicts', ...laptop])).toEqual([])
  await done(['sync', ...laptop])
  await done(['sync', ...phone])
  expect(await field('a', phone)).toBe('of the laptop')
  expect(await done(['export', ...phone])).toBe(await done(['export', ...laptop]))
}, 120_000)

it('refuses what names no conflict or no choice, and settles by what is chosen', async () => {
  await done(['sync', ...laptop])
  const [a, b] = (await objects(['conflicts', ...laptop])) as { name: string }[]
  const names = [a?.name ?? '', b?.name ?? ''] as const
  const missing = { exit: 2, code: 'not-found' }
  expect(await refusal(['conflicts', 'show', 'ffff0000ffff0000', ...laptop])).toEqual(missing)
  const resolve = ['conflicts', 'resolve', names[0], ...laptop]
  expect(await refusal(resolve)).toEqual({ exit: 2, code: 'usage' })
  expect(await refusal([...resolve, '--mine', '--theirs'])).toEqual({ exit: 2, code: 'usage' })
  const wrong = await refusal([...resolve, '--fields', '[1]'])
  expect(wrong).toEqual({ exit: 2, code: 'invalid-json' })
  expect(await objects(['conflicts', ...laptop])).toHaveLength(2)

  await done([...resolve, '--fields', '{"t":"both"}'])
  await done(['conflicts', 'resolve', names[1], '--mine', ...laptop])
  await done(['sync', ...laptop])
  await done(['sync', ...phone])
  expect(await field('a', phone)).toBe('both')
  expect(await field('b', phone)).toBe('of the laptop')
  expect(await run(['conflicts', ...phone])).toMatchObject({ code: 0, out: '' })
}, 120_000)
