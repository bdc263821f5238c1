/**
 * `blindcopy bundle`: a vault carried from one device to another as a file and through a pipe, and
 * on to the remote; what is cut, changed, foreign or already there is refused with its own code.
 *
 * Lessons: A9, A16, A21; C5.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { COMMAND, done, objects, refusal, run, serve } from './commands.ts'
import { REGISTRATION_TOKEN, temporaryFolder } from './processes.ts'

type Fleet = {
  readonly root: string
  readonly on: (i: number, ...args: string[]) => string[]
  readonly url: string
}

/** Two devices of one vault, in step, with a remote. */
async function makeFleet(): Promise<Fleet> {
  const root = temporaryFolder()
  const { url, registrationToken } = await serve(join(root, 'remote'))
  const on = (i: number, ...args: string[]): string[] => [...args, '--vault', join(root, `d${i}`)]
  const token = ['--registration-token', registrationToken]
  const [made] = await objects(on(0, 'init', '--remote', url, ...token))
  await done(on(0, 'put', 'notes', 'shared', '{"text":"first"}'))
  await done(on(0, 'sync'))
  await done(on(1, 'restore', '--remote', url), `${made?.recoveryPhrase}\n`)
  await done(on(1, 'sync'))
  return { root, on, url }
}

it('carries what is not synced, and the remote gets it from whoever comes first', async () => {
  const { root, on } = await makeFleet()
  const file = join(root, 'vault.bundle')
  await done(on(0, 'put', 'notes', 'carried', '{"text":"秘密 unsent"}'))
  await done(on(0, 'delete', 'notes', 'shared'))
  const exported = await objects(on(0, 'bundle', 'export', file))
  expect(exported).toMatchObject([{ path: file }])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file).includes('秘密')).toBe(false)
  expect(await objects(on(1, 'bundle', 'import', file))).toMatchObject([
    { new: 2, conflicts: 0, unopened: 0, aside: 0 },
  ])
  expect(await done(on(1, 'export'))).toBe(await done(on(0, 'export')))
  expect(await done(on(1, 'bundle', 'import', file))).toContain('nothing was new')
  // The device that only carried it brings it to the remote, before its author does.
  await done(on(1, 'sync'))
  await done(on(0, 'sync'))
  await done(on(1, 'sync'))
  const shown = await done(on(0, 'export'))
  expect(await done(on(1, 'export'))).toBe(shown)
  expect(shown).toContain('unsent')
  expect(shown).not.toContain('"shared"')
}, 60_000)

it('goes through a pipe', async () => {
  const { on } = await makeFleet()
  await done(on(0, 'put', 'notes', 'piped', '{"text":"through"}'))
  const ends = [on(0, 'bundle', 'export', '-'), on(1, 'bundle', 'import', '-', '--json')]
  const [from, to] = ends.map((args) =>
    spawn(process.execPath, [COMMAND, ...args], { stdio: ['pipe', 'pipe', 'inherit'] }),
  ) as [ReturnType<typeof spawn>, ReturnType<typeof spawn>]
  from.stdout?.pipe(to.stdin as NodeJS.WritableStream)
  const said: Buffer[] = []
  to.stdout?.on('data', (chunk: Buffer) => said.push(chunk))
  const [code] = await once(to, 'close')
  expect(code).toBe(0)
  expect(JSON.parse(Buffer.concat(said).toString())).toMatchObject({ new: 1 })
  expect(await done(on(1, 'get', 'notes', 'piped'))).toContain('through')
}, 60_000)

it('refuses what is cut, changed, foreign, missing or in the way, each by its code', async () => {
  const { root, on, url } = await makeFleet()
  const file = join(root, 'vault.bundle')
  await done(on(0, 'bundle', 'export', file))
  const bytes = readFileSync(file)
  const before = await done(on(1, 'export'))
  expect(await refusal(on(0, 'bundle', 'export', file))).toEqual({ exit: 2, code: 'file-exists' })
  await done(on(0, 'bundle', 'export', file, '--force'))
  const changed = Buffer.from(bytes)
  changed[bytes.length - 200] = (changed[bytes.length - 200] as number) ^ 1
  for (const [name, content] of Object.entries({
    cut: bytes.subarray(0, bytes.length - 10),
    changed,
    text: Buffer.from('no bundle at all'),
    empty: Buffer.alloc(0),
  })) {
    const path = join(root, name)
    writeFileSync(path, content)
    const refused = await refusal(on(1, 'bundle', 'import', path))
    expect(refused, name).toEqual({ exit: 5, code: 'bundle-damaged' })
  }
  expect(await refusal(on(1, 'bundle', 'import', join(root, 'no-such')))).toMatchObject({
    code: 'unreadable',
  })
  expect(await refusal(on(1, 'bundle', 'import', root))).toMatchObject({ code: 'unreadable' })
  const nowhere = join(root, 'no', 'folder', 'b')
  expect(await refusal(on(0, 'bundle', 'export', nowhere))).toMatchObject({ code: 'unwritable' })
  expect(existsSync(nowhere)).toBe(false)
  const token = ['--registration-token', REGISTRATION_TOKEN]
  await done(on(2, 'init', '--remote', url, '--no-confirm', ...token))
  expect(await refusal(on(2, 'bundle', 'import', file))).toEqual({ exit: 2, code: 'wrong-vault' })
  expect(await done(on(1, 'export'))).toBe(before)
  const { code, out } = await run(['bundle', '--help'])
  expect(code).toBe(0)
  expect(out).toMatch(/export .*<FILE>[\s\S]*import <FILE>/)
}, 60_000)
