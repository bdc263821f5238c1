/**
 * A remote that is wiped, by the command line alone: a fixed registration token, two devices, and
 * nothing that the person has to do but sync as ever.
 *
 * Lessons: A11; C1, C6, C7.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { kill, REGISTRATION_TOKEN, temporaryFolder } from './processes.ts'
import { type Ran, run, serve } from './recovery-commands.ts'
import { LONG } from './recovery-fleet.ts'

it(
  'a wiped remote is rebuilt by `sync` of any device, which says so in a sentence',
  async () => {
    const root = temporaryFolder()
    const data = join(root, 'remote')
    const fixed = ['--registration-token', REGISTRATION_TOKEN]
    const served = await serve(data, '0', fixed)
    const vaults = ['first', 'second'].map((name) => join(root, name)) as [string, string]
    const on = async (vault: string, ...args: string[]): Promise<Ran> => {
      const ran = await run([...args, '--vault', vault])
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0)
      return ran
    }
    const [first, second] = vaults
    const made = await on(first, 'init', '--json', '--remote', served.url, ...fixed)
    const { recoveryPhrase } = JSON.parse(made.stdout) as { recoveryPhrase: string }
    await on(first, 'put', 'notes', 'kept', '{"by":"first"}')
    await on(first, 'put', 'notes', 'gone', '{"by":"first"}')
    await on(first, 'sync')
    await on(first, 'delete', 'notes', 'gone')
    await on(first, 'sync')
    const restored = await run(
      ['restore', '--vault', second, '--remote', served.url],
      `${recoveryPhrase}\n`,
    )
    expect(restored.code, restored.stderr).toBe(0)
    await on(second, 'sync')
    await on(second, 'put', 'notes', 'pending', '{"by":"second"}')

    await kill(served.child)
    rmSync(data, { recursive: true })
    await serve(data, new URL(served.url).port, fixed)

    for (const vault of [second, first]) {
      const { stdout, stderr } = await on(vault, 'sync')
      expect(stdout).toMatch(/^In step with /)
      expect(stderr).toContain('the remote was reset, restored or replaced')
      // Told once, and kept where the person can look for it.
      expect((await on(vault, 'sync')).stderr).toBe('')
      expect((await on(vault, 'status')).stdout).toContain('healed')
    }
    await on(second, 'sync')
    const shown = await Promise.all(vaults.map((vault) => on(vault, 'export')))
    expect(shown[0]?.stdout).toBe(shown[1]?.stdout)
    const keys = (shown[0]?.stdout ?? '').match(/"key":"(\w+)"/g)
    expect(keys).toEqual(['"key":"kept"', '"key":"pending"'])
  },
  LONG,
)
