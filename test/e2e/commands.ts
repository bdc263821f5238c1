/**
 * Commands of the end-to-end tests: `blindcopy` as a person or a script runs it, each command a
 * process, and a remote that is served by the same program.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { REGISTRATION_TOKEN, type Started, startProcess } from './processes.ts'

export const COMMAND: string = join(
  import.meta.dirname,
  '..',
  '..',
  'apps',
  'cli',
  'bin',
  'blindcopy.js',
)

export type Env = Readonly<Record<string, string>>

export type Result = { readonly code: number | null; readonly out: string; readonly err: string }

/** Runs a command to its end, whatever that is. */
export async function run(args: readonly string[], input = '', env: Env = {}): Promise<Result> {
  const { child } = startProcess(process.execPath, [COMMAND, ...args], env)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin?.end(input)
  const [code] = await once(child, 'close')
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
}

/** What a command prints; a code other than 0 is a failure of the test. */
export async function done(args: readonly string[], input = '', env: Env = {}): Promise<string> {
  const { code, out, err } = await run(args, input, env)
  expect(code, `${args.join(' ')}: ${err}`).toBe(0)
  return out
}

/** The objects that a command prints with --json, one a line. */
export async function objects(
  args: readonly string[],
  input = '',
  env: Env = {},
): Promise<Record<string, unknown>[]> {
  const out = await done([...args, '--json'], input, env)
  const lines = out.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

export async function refusal(
  args: readonly string[],
): Promise<{ exit: number | null; code: string }> {
  const { code: exit, err } = await run([...args, '--json'])
  const last = err.trim().split('\n').at(-1) ?? ''
  return { exit, code: (JSON.parse(last) as { error: { code: string } }).error.code }
}

export type Refused = {
  readonly exit: number | null
  readonly code: string
  readonly message: string
  readonly remedy: string
}

/** What a command says that fails, all of it. */
export async function refused(
  args: readonly string[],
  input = '',
  env: Env = {},
): Promise<Refused> {
  const { code: exit, out, err } = await run([...args, '--json'], input, env)
  expect(exit, out).not.toBe(0)
  const last = err.trim().split('\n').at(-1) ?? ''
  return { exit, ...(JSON.parse(last) as { error: Omit<Refused, 'exit'> }).error }
}

export type Served = Started & { readonly url: string; readonly registrationToken: string }

/** Without a token of ours the remote makes one at its first start, and keeps it with its data. */
export async function serve(
  folder: string,
  options: { readonly port?: string; readonly token?: string | null } = {},
): Promise<Served> {
  const { port = '0', token = REGISTRATION_TOKEN } = options
  const given = token === null ? [] : ['--registration-token', token]
  const args = ['serve', '--json', '--data', folder, '--port', port, ...given]
  const started = startProcess(process.execPath, [COMMAND, ...args])
  const lines = createInterface({ input: started.child.stdout as NodeJS.ReadableStream })
  const line = await Promise.race([
    once(lines, 'line').then(([first]) => first as string),
    once(started.child, 'exit').then(() => {
      throw new Error(`the remote ended: ${started.output()}`)
    }),
  ])
  const { url, registrationToken = REGISTRATION_TOKEN } = JSON.parse(line) as {
    url: string
    registrationToken?: string
  }
  return { ...started, url, registrationToken }
}

/** Two devices of one vault, registered, with what `seed` writes on both. */
export async function makeDevices(
  root: string,
  remote: Served,
  seed: Readonly<Record<string, string>>,
): Promise<[phone: string[], laptop: string[]]> {
  const [phone, laptop] = [join(root, 'phone'), join(root, 'laptop')].map((path) => [
    '--vault',
    path,
  ]) as [string[], string[]]
  const token = ['--registration-token', remote.registrationToken]
  const [made] = await objects(['init', '--remote', remote.url, ...token, ...phone])
  for (const [key, fields] of Object.entries(seed))
    await done(['put', 'notes', key, fields, ...phone])
  await done(['sync', ...phone])
  await done(['restore', '--remote', remote.url, ...laptop], `${made?.recoveryPhrase}\n`)
  await done(['sync', ...laptop])
  return [phone, laptop]
}
