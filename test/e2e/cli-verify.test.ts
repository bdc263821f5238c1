/**
 * `blindcopy verify`: two devices, each command a process, over a real remote.
 *
 * Threats: 23, 24.
 */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { done, makeDevices, objects, run, serve } from './commands.ts'
import { temporaryFolder } from './processes.ts'

it('shows who has seen what, offline and in machine form too', async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const [phone, laptop] = await makeDevices(root, remote, { a: '{"t":"first"}' })
  const [report] = await objects(['verify', ...phone])
  expect(report).toMatchObject({ isSound: true, quarantined: 0, problem: null })
  const devices = report?.devices as { isThis: boolean; state: string; signedMs: number }[]
  expect(devices.map(({ isThis, state }) => [isThis, state])).toEqual([
    [true, 'linked'],
    [false, 'linked'],
  ])
  const [other] = await objects(['verify', ...laptop])
  expect([other?.seq, other?.chain, other?.keychain]).toEqual([
    report?.seq,
    report?.chain,
    report?.keychain,
  ])
  const text = await done(['verify', ...phone])
  expect(text).toContain(`ends in ${report?.chain as string}`)
  expect(text).toContain('Nothing contradicts what is here.')
  await done(['sync', '--reconcile', ...phone])

  remote.child.kill('SIGKILL')
  // The report comes all the same, and the exit code tells that nobody was asked.
  const unreached = await run(['verify', ...phone])
  expect(unreached.code).toBe(4)
  expect(unreached.out).toContain('Nothing contradicts what is here.')
  expect(await done(['verify', '--offline', ...phone])).toContain('agrees with what is here')
}, 120_000)
