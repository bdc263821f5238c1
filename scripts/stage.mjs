/**
 * Stage: what the story of start.mjs is told with: the real command as a child process, checks that
 * end the run when they fail, and lines for the person who watches.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../apps/cli/bin/blindcopy.js', import.meta.url))
const isStyled = process.stdout.isTTY === true && !process.env.NO_COLOR

const style = (on, off) => (text) => (isStyled ? `\u001b[${on}m${text}\u001b[${off}m` : text)
export const bold = style(1, 22)
export const dim = style(2, 22)
const green = style(32, 39)

const INDENT = '   '
const COLUMNS_MAX = 100

/** How wide a line within a chapter may be. */
export const indented = () =>
  Math.min(process.stdout.columns ?? COLUMNS_MAX, COLUMNS_MAX) - INDENT.length

let number = 0

export function chapter(title) {
  number++
  console.log(`\n${bold(`${number}. ${title}`)}`)
}

/** Why a chapter matters, before what happens in it. */
export function explain(...lines) {
  for (const line of lines) console.log(dim(`${INDENT}${line}`))
}

export function say(text) {
  console.log(`${INDENT}${text}`.trimEnd())
}

/** States what was checked, or ends the run. */
export function check(isTrue, sentence) {
  if (!isTrue) throw new Error(`this should be true, and is not: ${sentence}`)
  console.log(` ${green('✓')} ${sentence}`)
}

/** Runs the command. Anything but the exit code that is expected ends the run. */
export async function blindcopy(args, { input = '', exit = 0, env = {} } = {}) {
  const child = spawn(process.execPath, [BIN, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const chunks = { stdout: [], stderr: [] }
  for (const name of ['stdout', 'stderr']) child[name].on('data', (c) => chunks[name].push(c))
  child.stdin.end(input)
  const [code] = await once(child, 'close')
  const text = (name) => Buffer.concat(chunks[name]).toString('utf8')
  if (code !== exit) {
    const said = `${text('stderr')}${text('stdout').slice(-2000)}`
    throw new Error(`blindcopy ${args.join(' ')}\nended with ${code}, not ${exit}:\n${said}`)
  }
  return text('stdout')
}

/** One answer, as an object. */
export async function answer(args, options) {
  return JSON.parse(await blindcopy([...args, '--json'], options))
}

/** A remote of its own process: its first line, and how to end it. */
export async function serve(args) {
  const child = spawn(process.execPath, [BIN, 'serve', ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const first = await Promise.race([once(lines, 'line'), exited])
  if (child.exitCode !== null) throw new Error(`blindcopy serve ended with ${child.exitCode}`)
  return {
    ...JSON.parse(first[0]),
    pid: child.pid,
    exited,
    async end() {
      if (child.exitCode === null) child.kill('SIGTERM')
      const [code] = await exited
      if (code !== 0) throw new Error(`blindcopy serve ended with ${code}`)
    },
    kill: () => child.kill('SIGKILL'),
  }
}
