/**
 * Commands of the recovery tests: `blindcopy` as a person runs it, each a process, and a remote
 * that it serves.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Started, startProcess } from './processes.ts'

const COMMAND = join(import.meta.dirname, '..', '..', 'apps', 'cli', 'bin', 'blindcopy.js')

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Runs a command to its end. */
export async function run(args: readonly string[], input = ''): Promise<Ran> {
  const { child } = startProcess(process.execPath, [COMMAND, ...args])
  const chunks: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => chunks[name].push(chunk))
  }
  child.stdin?.end(input)
  const [code] = (await once(child, 'close')) as [number]
  const textOf = (name: 'stdout' | 'stderr'): string => Buffer.concat(chunks[name]).toString('utf8')
  return { code, stdout: textOf('stdout'), stderr: textOf('stderr') }
}

export type Served = Started & { readonly url: string; readonly registrationToken: string }

/** A remote by the command itself: without a token it makes one, at the first start in a folder. */
export async function serve(
  folder: string,
  port: string,
  token: readonly string[] = [],
): Promise<Served> {
  const args = ['serve', '--json', '--data', folder, '--port', port, ...token]
  const started = startProcess(process.execPath, [COMMAND, ...args])
  const lines = createInterface({ input: started.child.stdout as NodeJS.ReadableStream })
  const [line] = (await once(lines, 'line')) as [string]
  return { ...started, ...(JSON.parse(line) as { url: string; registrationToken: string }) }
}
