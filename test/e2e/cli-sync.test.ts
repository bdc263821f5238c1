/**
 * What a person sees on the command line when the remote has lost everything: two devices go on by
 * themselves, and are told. With a first-run token the single step is to enter the new one.
 *
 * Lessons: A11, A12, C1, C3.
 */
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { COMMAND, done, makeDevices, objects, refusal, run, serve } from './commands.ts'
import { kill, startProcess, temporaryFolder } from './processes.ts'

const SEED = { kept: '{"t":"kept"}', gone: '{"t":"gone"}' }

it('heals with a wiped remote, tells it once, and keeps what was deleted deleted', async () => {
  const root = temporaryFolder()
  const data = join(root, 'remote')
  const remote = await serve(data)
  const [phone, laptop] = await makeDevices(root, remote, SEED)
  await done(['delete', 'notes', 'gone', ...phone])
  await done(['sync', ...phone])
  await done(['put', 'notes', 'offline', '{"t":"not sent yet"}', ...laptop])
  await kill(remote.child)
  rmSync(data, { recursive: true })
  await serve(data, { port: new URL(remote.url).port })

  const healed = await run(['sync', '--json', ...laptop])
  expect(healed.code, healed.err).toBe(0)
  expect(JSON.parse(healed.err)).toMatchObject({ warning: { code: 'healed' } })
  expect(JSON.parse(healed.out)).toMatchObject({
    sent: 1,
    pending: 0,
    notices: [{ code: 'healed' }],
  })
  const joined = await run(['sync', ...phone])
  expect(joined.err).toMatch(/the remote was reset, restored or replaced.*\[healed\]/s)
  expect(await run(['sync', ...phone])).toMatchObject({ code: 0, err: '' })
  await done(['sync', ...laptop])
  const exported = await done(['export', ...phone])
  expect(exported).toBe(await done(['export', ...laptop]))
  expect(exported).toContain('"key":"offline"')
  expect(exported).not.toContain('"key":"gone"')

  const [status] = await objects(['status', ...laptop])
  expect(status).toMatchObject({ pending: 0, initialSyncComplete: true, problem: null })
  expect(status?.notices).toMatchObject([{ code: 'healed' }])
  expect(await done(['status', ...laptop])).toMatch(/What happened\n.*UTC/)
}, 120_000)

it('asks for the new token of a remote that was begun anew, and goes on with it', async () => {
  const root = temporaryFolder()
  const data = join(root, 'remote')
  const remote = await serve(data, { token: null })
  const [phone] = await makeDevices(root, remote, SEED)
  await kill(remote.child)
  rmSync(data, { recursive: true })
  const again = await serve(data, { port: new URL(remote.url).port, token: null })
  expect(again.registrationToken).not.toBe(remote.registrationToken)

  expect(await refusal(['sync', ...phone])).toEqual({ exit: 3, code: 'registration-required' })
  const told = await run(['sync', ...phone])
  expect(told.err).toContain('--registration-token')
  const token = ['--registration-token', again.registrationToken]
  expect(await objects(['sync', ...token, ...phone])).toMatchObject([{ pending: 0 }])
  expect(await done(['list', 'notes', ...phone])).toContain('kept')
}, 120_000)

it('watches: plain lines in a pipe, each thing told once', async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const [phone, laptop] = await makeDevices(root, remote, SEED)
  await done(['put', 'notes', 'new', '{"t":"new"}', ...laptop])
  const { child } = startProcess(process.execPath, [COMMAND, 'sync', '--watch', ...laptop])
  const told: string[] = []
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    told.push(line.replace(/^\d\d:\d\d:\d\d {2}/, ''))
    if (line.endsWith('in step')) await done(['put', 'notes', 'later', '{"t":"later"}', ...phone])
    if (line.endsWith('in step')) await done(['sync', ...phone])
    if (line.endsWith('received 1 change')) break
  }
  expect(told).toEqual(['sent 1 transaction', 'in step', 'received 1 change'])
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  expect(await ended).toEqual([0, null])
  expect(await done(['list', 'notes', ...laptop])).toContain('later')
}, 120_000)

it('goes one way when it is told to', async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const [phone, laptop] = await makeDevices(root, remote, SEED)
  await done(['put', 'notes', 'p', '{"t":"p"}', ...phone])
  await done(['put', 'notes', 'l', '{"t":"l"}', ...laptop])
  await done(['sync', ...phone])
  expect(await objects(['sync', '--pull-only', ...laptop])).toMatchObject([{ sent: 0, pending: 1 }])
  expect(await done(['list', 'notes', ...laptop])).toMatch(/^p /m)
  await done(['put', 'notes', 'q', '{"t":"q"}', ...phone])
  await done(['sync', ...phone])
  expect(await objects(['sync', '--push-only', ...laptop])).toMatchObject([{ sent: 1, pending: 0 }])
  expect(await done(['list', 'notes', ...laptop])).not.toMatch(/^q /m)
  const both = ['--pull-only', '--push-only']
  expect(await refusal(['sync', ...both, ...laptop])).toEqual({ exit: 2, code: 'usage' })
}, 120_000)
