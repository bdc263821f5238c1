/**
 * What the documents point at is there: every path they name, so that no claim loses its test.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const inFolder = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
const documents = [...inFolder('.'), ...inFolder('docs'), ...inFolder('docs/decisions')]

/** Paths in code marks, such as `test/hostile/log.test.ts`; patterns and folders included. */
function pathsIn(text: string): string[] {
  const found = text.matchAll(/`((?:packages|apps|test|docs|bench|scripts)\/[\w./-]+)`/g)
  return [...found].map(([, path = '']) => path)
}

describe('the documents', () => {
  it('name paths at all', () => {
    const texts = documents.map((path) => readFileSync(join(root, path), 'utf8'))
    expect(texts.flatMap(pathsIn).length).toBeGreaterThan(50)
    expect(pathsIn('see `test/none.test.ts`, not tests')).toEqual(['test/none.test.ts'])
  })

  it.each(documents)('%s names only what is there', (path) => {
    const text = readFileSync(join(root, path), 'utf8')
    expect(pathsIn(text).filter((named) => !existsSync(join(root, named)))).toEqual([])
  })

  it('point each attack that is answered now at a test of its own', () => {
    const text = readFileSync(join(root, 'docs/threat-model.md'), 'utf8')
    const rows = text.split('\n').filter((line) => /^\| \d+ \|.*\| now: /.test(line))
    expect(rows.length).toBeGreaterThan(15)
    const isShown = (row: string): boolean => /\.test\.ts`/.test(row) || /now: by absence/.test(row)
    expect(rows.filter((row) => !isShown(row))).toEqual([])
  })

  it.each([
    ['packages/client/src/local/local-meta.ts', 'NoticeCode', 'docs/protocol.md'],
    ['packages/client/src/sync/status.ts', 'SyncPhase', 'docs/architecture.md'],
    ['packages/client/src/local/conflict-log.ts', 'ConflictKind', 'docs/conflicts.md'],
    ['packages/secondary/src/local-keyspace.ts', 'NumberedSection', 'docs/architecture.md'],
  ])('%s: every %s stands in %s', (source, union, path) => {
    const code = readFileSync(join(root, source), 'utf8')
    const [, body = ''] = new RegExp(`export type ${union} =([\\s\\S]*?)\\n\\n`).exec(code) ?? []
    const names = [...body.matchAll(/'([a-z-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(2)
    const text = readFileSync(join(root, path), 'utf8')
    expect(names.filter((name) => !text.includes(name))).toEqual([])
  })
})
