/**
 * The examples of a document are one program: it runs, and prints what the document says.
 */
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { serve } from './commands.ts'
import { startProcess, temporaryFolder } from './processes.ts'

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
