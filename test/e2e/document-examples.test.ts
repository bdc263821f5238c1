/**
 * The examples of a document are one program: it runs, and prints what the document says. And the
 * commands of docs/recovery.md do what a person in need was told that they do, section by section.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { COMMAND, objects, type Served, serve } from './commands.ts'
import { UNLOCKED } from './key-home.ts'
import { endStarted, REGISTRATION_TOKEN, startProcess, temporaryFolder } from './processes.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** The lines that the blocks of a document print. */
async function linesOf(document: string): Promise<string[]> {
  const text = await readFile(join(ROOT, document), 'utf8')
  const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)
  expect(blocks.length).toBeGreaterThan(3)
  const remote = await serve(join(temporaryFolder(), 'remote'))
  // Below the root, so that the page finds the packages that it imports.
  await mkdir(join(ROOT, '.blindcopy'), { recursive: true })
  const folder = await mkdtemp(join(ROOT, '.blindcopy', 'document-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const page = blocks
    .join('\n')
    .replace('http://127.0.0.1:8787', remote.url)
    .replace(/'\.\/(phone|laptop)'/g, (_, name: string) => JSON.stringify(join(folder, name)))
    .replace('process.env.BLINDCOPY_REGISTRATION_TOKEN', `'${remote.registrationToken}'`)
  await writeFile(join(folder, 'page.mjs'), page)
  const { child, output } = startProcess(process.execPath, [join(folder, 'page.mjs')])
  const [code] = await once(child, 'close')
  expect(code, output()).toBe(0)
  return output().trim().split('\n')
}

it('docs/conflicts.md does what it says', async () => {
  expect(await linesOf('docs/conflicts.md')).toEqual([
    'Oslo 5',
    '{ best: 12 }',
    "open { text: 'as agreed by mail' } { text: 'as agreed on the phone' }",
    "{ text: 'as signed' }",
    "overwritten { text: 'of the laptop' }",
    "{ text: 'of the laptop' }",
    '{ n: 3 }',
    '[]',
    "{ title: 'Water the plants' }",
    "[ 't' ]",
    'undefined',
  ])
}, 120_000)

type Section = { readonly title: string; readonly blocks: readonly string[] }

/** Sections that have commands, in the order of the document. */
function sectionsOf(text: string): Section[] {
  return text.split(/^## /m).flatMap((part) => {
    const blocks = [...part.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)
    return blocks.length === 0 ? [] : [{ title: part.split('\n')[0] ?? '', blocks }]
  })
}

const RECOVERY = sectionsOf(readFileSync(join(ROOT, 'docs/recovery.md'), 'utf8'))

describe('docs/recovery.md', () => {
  let root: string
  let remote: Served
  let another: Served
  let phrase: string
  /** What was printed by the last `keys backup shares`. */
  let shares: string[]

  beforeAll(async () => {
    root = temporaryFolder()
    remote = await serve(join(root, 'remote'))
    another = await serve(join(root, 'another'))
    await mkdir(join(root, 'stick'))
    const where = ['--remote', remote.url, '--registration-token', REGISTRATION_TOKEN]
    const [made] = await objects(['init', '--vault', join(root, 'my-vault'), ...where])
    phrase = `${made?.recoveryPhrase}\n`
    await typed('blindcopy put notes hello {"text":"Hello"}')
    await typed('blindcopy sync')
  }, 240_000)
  afterAll(endStarted)

  /** As a person types it, in a folder of theirs. */
  async function typed(line: string): Promise<string> {
    const quoted = line.replace(/(\{.*\})/, "'$1'")
    const script = `cd '${root}'; blindcopy() { '${process.execPath}' '${COMMAND}' "$@"; }; ${quoted}`
    const env = { ...UNLOCKED, BLINDCOPY_VAULT: './my-vault' }
    const { child, output } = startProcess('bash', ['-c', script], env)
    child.stdin?.end(answerTo(line))
    const [code] = await once(child, 'close')
    expect(code, `${line}: ${output()}`).toBe(0)
    return output()
  }

  /** What is asked for: shares, or the words; neither where a file has what is needed. */
  function answerTo(line: string): string {
    if (line.includes('--shares')) return shares.join('\n')
    return /verify|restore/.test(line) ? phrase : ''
  }

  /** What stands for something of the person's own. */
  async function filled(line: string): Promise<string> {
    const isAsked = / revoke /.test(line)
    return `${line}${isAsked ? ' --yes' : ''}`
      .replaceAll('https://sync.example.org', remote.url)
      .replaceAll('https://new.example.org', another.url)
      .replace('TOKEN', REGISTRATION_TOKEN)
      .replace(' ID', line.includes(' ID') ? ` ${await lostDevice()}` : '')
      .replace(' KEY', line.includes(' KEY') ? ` ${await lastKeyFile()}` : '')
  }

  async function lostDevice(): Promise<string> {
    const lost = join(root, 'lost')
    await rm(lost, { recursive: true, force: true })
    const [made] = await objects(['restore', '--vault', lost, '--remote', remote.url], phrase)
    return `${made?.deviceId}`.slice(0, 8)
  }

  async function lastKeyFile(): Promise<string> {
    const [status] = await objects(['keys', 'status', '--vault', join(root, 'my-vault')])
    const keys = status?.recoveryKeys as { deviceId: string; name: string }[]
    const files = keys.filter(({ name }) => name === 'key file')
    expect(files.length).toBeGreaterThan(1)
    return files.at(-1)?.deviceId as string
  }

  it('has commands for what people lose', () => {
    expect(RECOVERY.length).toBeGreaterThan(10)
    expect(RECOVERY.flatMap(({ blocks }) => blocks).length).toBeGreaterThan(15)
  })

  it.each(RECOVERY)(
    '$title',
    async ({ blocks }) => {
      for (const block of blocks) {
        for (const folder of ['restored', 'moved', 'new-vault']) {
          await rm(join(root, folder), { recursive: true, force: true })
        }
        for (const line of block.trim().split('\n')) {
          // The two talk with each other: test/e2e/cli-pairing.test.ts has both.
          if (/devices (invite|join)/.test(line)) continue
          const said = await typed(await filled(line))
          if (line.includes('backup shares')) shares = said.split(/^(?=# Share)/m)
        }
        if (/--vault .\/(restored|moved|new-vault)/.test(block)) {
          const [, folder] = /--vault (\.\/\S+)/.exec(block) ?? []
          expect(await typed(`blindcopy get notes hello --vault ${folder}`)).toContain('Hello')
        }
      }
    },
    240_000,
  )
})
