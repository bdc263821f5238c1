/**
 * A remote that is wiped and makes itself a new registration token, as `blindcopy serve` does at
 * its first start: every device says what is wanted, one is given the new token, and all others go
 * on by themselves.
 *
 * Lessons: A11; C1, C6, C7.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { DeviceProcess, kill, temporaryFolder } from './processes.ts'
import { run, serve } from './recovery-commands.ts'
import { LONG, noticesOf, untilStatus } from './recovery-fleet.ts'

it(
  'a wiped remote with a first-run token takes the new one from any one device, for all',
  async () => {
    const root = temporaryFolder()
    const data = join(root, 'remote')
    const served = await serve(data, '0')
    const port = new URL(served.url).port
    const { registrationToken } = served
    const asked = new DeviceProcess(join(root, 'asked'))
    const recoveryPhrase = await asked.create(served.url, { registrationToken })
    for (const key of ['one', 'gone']) await asked.put(key, { text: key })
    await asked.sync()
    await asked.call('delete', { collection: 'notes', key: 'gone' })
    await asked.sync()
    const live = new DeviceProcess(join(root, 'live'))
    const later = new DeviceProcess(join(root, 'later'))
    for (const device of [live, later]) {
      await device.restore(served.url, recoveryPhrase)
      await device.sync()
    }
    await live.call('start')
    await untilStatus(live, ({ phase }) => phase === 'live')
    await later.put('offline', { text: 'written while the remote was lost' })

    await kill(served.child)
    rmSync(data, { recursive: true })
    const again = await serve(data, port)
    expect(again.registrationToken).not.toBe(registrationToken)

    for (const device of [asked, later]) {
      await expect(device.sync()).rejects.toThrow('registration-required')
      const { problem, pending } = await device.status()
      expect(problem?.code).toBe('registration-required')
      expect(problem?.remedy).toMatch(/registration token/)
      expect(pending).toBe(device === later ? 1 : 0)
    }
    const said = await untilStatus(live, ({ problem }) => problem?.code === 'registration-required')
    expect(said.phase).not.toBe('live')

    // The single step, on any one of them.
    await asked.call('close')
    const told = await run(['sync', '--vault', asked.folder, '--json'])
    expect(told.code).toBe(3)
    expect(told.stderr).toContain('"registration-required"')
    const token = ['--registration-token', again.registrationToken]
    const given = await run(['sync', '--vault', asked.folder, ...token])
    expect(given.code, given.stderr).toBe(0)
    expect(given.stdout).toMatch(/^In step with /)

    await untilStatus(live, ({ phase, problem }) => phase === 'live' && problem === null)
    await later.sync()
    await live.call('until', {
      collection: 'notes',
      key: 'offline',
      fields: { text: 'written while the remote was lost' },
    })
    const shown = await live.export()
    expect(await later.export()).toBe(shown)
    expect(shown).not.toContain('gone')
    for (const device of [live, later]) expect(await noticesOf(device)).toContain('healed')
    expect((await run(['sync', '--vault', asked.folder])).code).toBe(0)
    expect((await run(['export', '--vault', asked.folder])).stdout.trim().split('\n')).toHaveLength(
      2,
    )
  },
  LONG,
)
