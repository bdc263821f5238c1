/**
 * Writes that cannot be sent, as a person meets them on the command line: kept, told, and theirs to
 * send again, take elsewhere or give up; everything else goes on.
 *
 * The write is one of an app: a custom mutation that another device has outrun, and that only the
 * app, which declares it, can run again. The command line must keep it whole.
 *
 * Lessons: A3, A6, A20, C4.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { done, makeDevices, objects, refusal, run, serve } from './commands.ts'
import { startProcess, temporaryFolder } from './processes.ts'

let phone: string[]
let laptop: string[]
const WORKER = join(import.meta.dirname, 'mutation-worker.mjs')

beforeEach(async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const devices = await makeDevices(root, remote, { n: '{"n":1}' })
  ;[phone, laptop] = devices
  const { child, output } = startProcess(process.execPath, [WORKER, join(root, 'laptop'), 'n'])
  const [code] = await once(child, 'close')
  expect(code, output()).toBe(0)
  await done(['put', 'notes', 'n', '{"n":10}', ...phone])
  await done(['put', 'notes', 'other', '{"t":"flows"}', ...laptop])
  await done(['sync', ...phone])
}, 120_000)

it('keeps and tells what cannot be sent, and sends the rest', async () => {
  const synced = await run(['sync', '--json', ...laptop])
  expect(synced.code, synced.err).toBe(3)
  expect(JSON.parse(synced.err)).toMatchObject({ error: { code: 'needs-attention' } })
  expect(JSON.parse(synced.out)).toMatchObject({ pending: 0, attention: 1 })
  await done(['sync', ...phone])
  expect(await done(['get', 'notes', 'other', ...phone])).toContain('flows')

  const [refused] = await objects(['attention', ...laptop])
  expect(refused).toMatchObject({
    code: 'mutation-unknown',
    records: [{ collection: 'notes', key: 'n', fields: { n: 2 } }],
  })
  const told = await done(['attention', 'list', ...laptop])
  expect(told).toContain('1  mutation-unknown: written by a function')
  expect(told).toContain('notes/n')
  const exported = '{"collection":"notes","key":"n","fields":{"n":2}}\n'
  expect(await done(['attention', 'export', ...laptop])).toBe(exported)
  expect(await done(['attention', 'export', String(refused?.id), ...laptop])).toBe(exported)
  expect(await objects(['status', ...laptop])).toMatchObject([{ attention: 1, pending: 0 }])
}, 120_000)

it('sends one again when it is asked to, and gives up what is discarded', async () => {
  await run(['sync', ...laptop])
  const [refused] = await objects(['attention', ...laptop])
  const retried = await objects(['attention', 'retry', String(refused?.id), ...laptop])
  expect(retried).toEqual([{ retried: 1 }])
  expect(await objects(['status', ...laptop])).toMatchObject([{ attention: 0, pending: 1 }])
  await run(['sync', ...laptop])
  const [again] = await objects(['attention', ...laptop])
  expect(again).toMatchObject({ code: 'mutation-unknown', records: [{ key: 'n' }] })

  const missing = await refusal(['attention', 'discard', '99', ...laptop])
  expect(missing).toEqual({ exit: 2, code: 'not-found' })
  expect(await refusal(['attention', 'retry', 'x', ...laptop])).toEqual({ exit: 2, code: 'usage' })
  const id = Number(again?.id)
  const discarded = await objects(['attention', 'discard', `${id}`, ...laptop])
  expect(discarded).toEqual([{ id, discarded: 1 }])
  expect(await objects(['attention', ...laptop])).toEqual([])
  await done(['sync', ...laptop])
  await done(['sync', ...phone])
  expect(await done(['export', ...laptop])).toBe(await done(['export', ...phone]))
}, 120_000)
