/**
 * Processes of the end-to-end tests: remotes and devices that can be killed, each in a folder of
 * its own below a temporary one. Whatever was started is ended when the test ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { SyncStatus } from '@blindcopy/client'
import { onTestFinished } from 'vitest'

export const REGISTRATION_TOKEN = 'let-me-in'

/** What the set-up of a whole file has started: `afterAll(endStarted)` ends it. */
const startedBefore: (() => unknown)[] = []

export async function endStarted(): Promise<void> {
  for (const end of startedBefore.splice(0).reverse()) await end()
}

function whenFinished(end: () => unknown): void {
  try {
    onTestFinished(async () => {
      await end()
    })
  } catch {
    // A set-up has no test to end it with, whatever test was run before.
    startedBefore.push(end)
  }
}

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'blindcopy-test-'))
  whenFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export type Started = { readonly child: ChildProcess; readonly output: () => string }

/** Runs a script of this folder, or a command, and keeps all it says. */
export function startProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Started {
  const stdio = ['pipe', 'pipe', 'pipe'] as const
  const child = spawn(command, args, { stdio: [...stdio], env: { ...process.env, ...env } })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  // A process that was killed reads no more.
  child.stdin.on('error', () => undefined)
  whenFinished(() => kill(child))
  return { child, output: () => Buffer.concat(chunks).toString('utf8') }
}

/** Ends a process as a power cut would, and waits until it is gone. */
export async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

const script = (name: string): string => join(import.meta.dirname, name)

export type RemoteProcess = Started & { readonly url: string; readonly port: number }

export async function startRemote(
  folder: string,
  port = 0,
  origins: readonly string[] = [],
): Promise<RemoteProcess> {
  const args = [script('remote-worker.mjs'), folder, `${port}`, ...origins]
  const started = startProcess(process.execPath, args)
  const lines = createInterface({ input: started.child.stdout as NodeJS.ReadableStream })
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => line as string),
    once(started.child, 'exit').then(() => {
      throw new Error(`the remote ended: ${started.output()}`)
    }),
  ])
  const { url } = JSON.parse(first) as { url: string }
  return { ...started, url, port: Number(new URL(url).port) }
}

export class CallError extends Error {
  readonly code: string | null
  constructor(code: string | null, message: string) {
    super(message)
    this.code = code
  }
}

type Event = { readonly event: string; readonly [field: string]: unknown }
type Answer = { id: number; value?: unknown; error?: { code: string | null; message: string } }

export class DeviceProcess {
  readonly folder: string
  readonly #started: Started
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  readonly #listeners = new Set<(event: Event) => void>()
  #nextId = 1

  constructor(folder: string) {
    this.folder = folder
    this.#started = startProcess(process.execPath, [script('device-worker.mjs')])
    const { child } = this.#started
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    lines.on('line', (line) => this.#take(JSON.parse(line)))
    child.once('exit', () => {
      const error = { code: 'killed', message: `the device ended: ${this.output()}` }
      for (const [id, resolve] of this.#waiting) resolve({ id, error })
    })
  }

  async call<T = void>(op: string, options: object = {}): Promise<T> {
    const id = this.#nextId++
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve)
      const { child } = this.#started
      if (child.exitCode !== null || child.signalCode !== null) {
        resolve({ id, error: { code: 'killed', message: 'the device has ended' } })
      } else child.stdin?.write(`${JSON.stringify({ id, op, ...options })}\n`)
    })
    this.#waiting.delete(id)
    if (answer.error !== undefined) throw new CallError(answer.error.code, answer.error.message)
    return answer.value as T
  }

  /** Resolves with the first event that fits; looks at those from now on. */
  event(fits: (event: Event) => boolean): Promise<Event> {
    return new Promise((resolve) => {
      const listener = (event: Event): void => {
        if (!fits(event)) return
        this.#listeners.delete(listener)
        resolve(event)
      }
      this.#listeners.add(listener)
    })
  }

  onEvent(listener: (event: Event) => void): void {
    this.#listeners.add(listener)
  }

  create(remote: string, options: object = {}): Promise<string> {
    const path = this.folder
    const registrationToken = REGISTRATION_TOKEN
    return this.call('create', { path, remote, registrationToken, ...options })
  }
  restore(remote: string, recoveryPhrase: string, options: object = {}): Promise<void> {
    return this.call('restore', { path: this.folder, remote, recoveryPhrase, ...options })
  }
  open(): Promise<void> {
    return this.call('open', { path: this.folder })
  }
  put(key: string, fields: object, collection = 'notes'): Promise<void> {
    return this.call('put', { collection, key, fields })
  }
  sync(): Promise<void> {
    return this.call('sync')
  }
  export(): Promise<string> {
    return this.call('export')
  }
  status(): Promise<SyncStatus> {
    return this.call('status')
  }
  output(): string {
    return this.#started.output()
  }
  kill(): Promise<void> {
    return kill(this.#started.child)
  }

  #take(line: Answer | Event): void {
    if ('event' in line) for (const listener of [...this.#listeners]) listener(line)
    else this.#waiting.get(line.id)?.(line)
  }
}

/** Every file below a folder, with its bytes. */
export function filesBelow(folder: string): { path: string; bytes: Buffer }[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return filesBelow(path)
    return [{ path, bytes: readFileSync(path) }]
  })
}
