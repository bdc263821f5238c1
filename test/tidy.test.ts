/**
 * The sources of this repository keep the house rules; and each rule can fail, shown on made-up lines.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  checkTidy,
  type Documents,
  errorCodesOf,
  functionsOf,
  isErrorFile,
  LONG_FUNCTIONS,
} from './tidy.ts'
import { ROOT, readWorkspace, syntaxOf } from './workspace.ts'

const { files } = readWorkspace()
const sources = new Map([...files].filter(([path]) => /^(packages|apps)\/[^/]+\/src\//.test(path)))

describe('this repository', () => {
  it('is tidy', { timeout: 60_000 }, () => {
    expect(sources.size).toBeGreaterThan(20)
    const documents = { decisions: readDecisions(), protocol: readDocument('docs/protocol.md') }
    expect(checkTidy(sources, documents)).toEqual([])
  })

  it('has the error codes that the check looks for', () => {
    const codes = [...sources]
      .filter(([path]) => isErrorFile(path))
      .flatMap(([path, source]) => errorCodesOf([...syntaxOf(path, source)]))
    expect(codes).toContain('store-in-use')
    expect(codes.length).toBeGreaterThan(10)
  })

  it('names no long function that is gone or has become short', () => {
    for (const [place, linesMax] of Object.entries(LONG_FUNCTIONS)) {
      const [path = '', name = ''] = place.split('#')
      const source = sources.get(path) ?? ''
      const found = functionsOf(source, [...syntaxOf(path, source)])
      const lines = found.filter((entry) => entry.name === name).map((entry) => entry.lines)
      expect(Math.max(...lines), place).toBe(linesMax)
      expect(linesMax, place).toBeGreaterThan(70)
    }
  })
})

describe('checkTidy', () => {
  it('finds nothing in a tidy file, in an index that passes on, and in an empty module', () => {
    expect(problems('export const a = 1')).toEqual([])
    const index = "// What others see.\nexport { a } from './a.ts'\nexport * from './b.ts'\n"
    expect(checked('packages/a/src/index.ts', index)).toEqual([])
    expect(checked('packages/a/src/index.ts', 'export {}\n')).toEqual([])
  })

  it('wants a header comment first', () => {
    expect(checked('packages/a/src/a.ts', "import a from 'a'\n/** Late. */")).toEqual([
      'has no header comment',
    ])
    expect(checked('packages/a/src/a.ts', 'export const a = 1')).toEqual(['has no header comment'])
    expect(checked('apps/a/src/main.ts', '#!/usr/bin/env node\n/** A. */\nexport {}')).toEqual([])
  })

  it('wants lines of 100 columns, in tests too', () => {
    expect(problems(`// ${'x'.repeat(97)}`)).toEqual([])
    expect(problems(`// ${'x'.repeat(98)}`)).toEqual(['line 2 has 101 columns'])
    expect(problems(`// ${'→'.repeat(98)}`, 'a.test.ts')).toEqual(['line 2 has 101 columns'])
  })

  it('wants files of 400 lines, tests aside', () => {
    const long = 'export {}\n'.repeat(400)
    expect(problems(long)).toEqual(['has 401 lines: split it'])
    expect(problems(long, 'a.test.ts')).toEqual([])
  })

  it('wants functions of 70 lines, however they are written', () => {
    const block = (lines: number) => `{\n${'  void 0\n'.repeat(lines - 2)}}`
    for (const open of ['function a() ', 'const a = () => ', 'const a = async function* () ']) {
      expect(problems(`${open}${block(70)}`)).toEqual([])
      expect(problems(`${open}${block(71)}`)).toEqual(['function a has 71 lines, over 70'])
    }
    expect(problems(`class B { #a() ${block(71)} }`)).toEqual(['function a has 71 lines, over 70'])
    expect(problems(`[].map(() => ${block(71)})`)[0]).toContain('without a name')
  })

  it('bans the unmistakable words, and the identifier but not the letters', () => {
    for (const word of ['masterKey', 'dto', 'isDeleted', 'KeyManager']) {
      expect(problems(`// ${word}`)).toEqual([`says '${word}'`])
    }
    expect(problems('const iv = 1')).toEqual(["names something 'iv'"])
    expect(problems('const a = { iv: 1 }')).toEqual(["names something 'iv'"])
    expect(problems("const a = 'iv' // part iv of five")).toEqual([])
  })

  it('wants cited decisions to exist', () => {
    expect(problems('// as decision 0001 says')).toEqual([])
    expect(problems('// as decision 0999 says')).toEqual([
      'cites decision 0999, which does not exist',
    ])
  })

  it('wants error codes documented', () => {
    const source = `/** A. */\nexport type AErrorCode =\n  /** 'b' */\n  | 'known'\n  | 'new'`
    expect(checked('packages/a/src/error.ts', source)).toEqual([
      'code new is not in docs/protocol.md',
    ])
    const hidden = `/** A. */\nexport type AErrorCode = keyof typeof TEXTS`
    expect(checked('packages/a/src/error.ts', hidden)).toEqual(['has an ErrorCode without codes'])
  })
})

const DOCUMENTS: Documents = { decisions: new Set(['0001']), protocol: '| `known` | … |' }

function problems(source: string, file = 'a.ts'): string[] {
  return checked(`packages/a/src/${file}`, `/** A. */\n${source}`)
}

function checked(path: string, source: string): string[] {
  return checkTidy(new Map([[path, source]]), DOCUMENTS).map(({ what }) => what)
}

function readDecisions(): Set<string> {
  const folder = join(ROOT, 'docs', 'decisions')
  const names = existsSync(folder) ? readdirSync(folder) : []
  return new Set(names.map((name) => name.slice(0, 4)))
}

/** A document that is not there documents nothing. */
function readDocument(path: string): string {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : ''
}
