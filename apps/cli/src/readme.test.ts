/**
 * The README is true: its page of code runs as it stands against a real remote, its links lead
 * somewhere, and its tables name the commands and exit codes there are.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { OUTCOMES } from './failure.ts'
import { createProgram } from './program.ts'
import { Terminal } from './terminal.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const BIN = join(ROOT, 'apps', 'cli', 'bin', 'blindcopy.js')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

describe('the README', () => {
  it('has a page of code that runs', async () => {
    const blocks = [...README.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)
    expect(blocks).toHaveLength(1)
    // Below the root, so that the page finds the packages that it imports.
    await mkdir(join(ROOT, '.blindcopy'), { recursive: true })
    const folder = await mkdtemp(join(ROOT, '.blindcopy', 'readme-'))
    const data = ['--data', join(folder, 'data'), '--port', '0', '--registration-token', 'T']
    const server = spawn(process.execPath, [BIN, 'serve', ...data, '--json'])
    try {
      const [line] = await once(createInterface({ input: server.stdout }), 'line')
      const page = blocks.join('\n').replace('http://127.0.0.1:8787', JSON.parse(line).url)
      await writeFile(join(folder, 'page.mjs'), page)
      const { stdout, stderr } = await promisify(execFile)(process.execPath, ['page.mjs'], {
        cwd: folder,
        env: { ...process.env, BLINDCOPY_REGISTRATION_TOKEN: 'T' },
      })
      expect(stderr).toBe('')
      expect(stdout).toContain("[ 'A new key for each' ]")
      expect(stdout).toContain("{ key: 'n1', fields: { title: 'Hello', done: true } }")
    } finally {
      server.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('links only to what is there', () => {
    const links = [...README.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link)
    expect(links.length).toBeGreaterThan(8)
    for (const link of links) {
      const [path = '', anchor] = link.split('#')
      expect(existsSync(join(ROOT, path)), link).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(path), link).toContain(anchor)
    }
  })

  it('names every command with its options, and every exit code', () => {
    for (const command of createProgram('0', new Terminal(true)).commands) {
      expectRow(command.name(), command.options)
      for (const part of command.commands) {
        expectRow(command.name(), part.options)
        expect(README).toMatch(new RegExp(`\`${command.name()} \\[?${part.name()}[\\]\` ]`))
        for (const last of part.commands) {
          expectRow(`${command.name()} ${part.name()}`, last.options)
          const names = README.match(
            new RegExp(`\`${command.name()} ${part.name()} [a-z|\\\\-]+`, 'g'),
          )
          expect(names?.join('|').split(/[ |\\]+/), last.name()).toContain(last.name())
        }
      }
    }
    for (const { exit } of Object.values(OUTCOMES)) {
      expect(README).toMatch(new RegExp(`^\\| ${exit}[ ,]`, 'm'))
    }
  })
})

/** One row of a table names a command, and all of its options. */
function expectRow(name: string, options: readonly { readonly long?: string | undefined }[]): void {
  const rows = README.split('\n').filter((line) => line.includes(`\`${name} `))
  expect(rows.length > 0 || README.includes(`| \`${name}\` |`), name).toBe(true)
  for (const { long } of options) {
    expect(
      rows.some((row) => row.startsWith('|') && row.includes(long ?? '')),
      long,
    ).toBe(true)
  }
}

/** As forges make them of headings. */
function anchorsOf(path: string): string[] {
  const headings = readFileSync(join(ROOT, path), 'utf8').matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  )
}
