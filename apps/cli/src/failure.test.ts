/**
 * The table of failures: complete, and one form for every error.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CliError, SyncFailure } from './cli-error.ts'
import { failureOf, formatFailure, OUTCOMES } from './failure.ts'

const SOURCES = [
  '../../../packages/protocol/src/error.ts',
  '../../../packages/secondary/src/error.ts',
  '../../../packages/vault/src/error.ts',
  '../../../packages/client/src/error.ts',
  '../../../packages/remote/src/error.ts',
  './cli-error.ts',
]

/** The codes of the union that a source declares, read as text so that no new one is forgotten. */
function codesOf(path: string): string[] {
  const source = readFileSync(new URL(path, import.meta.url), 'utf8')
  const union = /export type \w+ErrorCode =([\s\S]*?)\n\n/.exec(source)?.[1] ?? ''
  return [...union.matchAll(/^ {2}\| '([^']+)'/gm)].map(([, code = '']) => code)
}

describe('the table of failures', () => {
  it('knows every code of every package, and no other', () => {
    const codes = SOURCES.map(codesOf)
    for (const [i, found] of codes.entries()) expect(found.length, SOURCES[i]).toBeGreaterThan(5)
    expect(Object.keys(OUTCOMES).sort()).toEqual([...new Set(codes.flat())].sort())
  })

  it('ends every remedy like a sentence, on one line of a terminal', () => {
    for (const [code, { remedy }] of Object.entries(OUTCOMES)) {
      expect(remedy, code).toMatch(/[.'}]$/)
      expect(remedy.length, code).toBeLessThanOrEqual(97)
    }
  })
})

describe('failureOf', () => {
  it('takes the code of an error that has one, and internal for a stranger', () => {
    expect(failureOf(new CliError('usage', 'which?'))).toMatchObject({ code: 'usage', exit: 2 })
    expect(failureOf(new SyncFailure('network', 'gone'))).toMatchObject({ exit: 4 })
    expect(failureOf(new Error('strange'))).toMatchObject({ code: 'internal', exit: 1 })
    const errno = Object.assign(new Error('broken'), { code: 'EIO' })
    expect(failureOf(errno)).toMatchObject({ code: 'internal', message: 'broken' })
    expect(failureOf(Object.assign(new Error('x'), { code: 'toString' })).code).toBe('internal')
    expect(failureOf('thrown text')).toMatchObject({ message: 'thrown text', exit: 1 })
  })
})

describe('formatFailure', () => {
  const failure = failureOf(new CliError('usage', 'which\n  vault?'))

  it('is one line and a remedy for a person', () => {
    expect(formatFailure(failure, false).split('\n')).toEqual([
      'blindcopy: which vault? [usage]',
      '  See `blindcopy --help`, or `blindcopy COMMAND --help`.',
    ])
  })

  it('is one object for a machine', () => {
    const { code, message, remedy } = failure
    expect(JSON.parse(formatFailure(failure, true))).toEqual({ error: { code, message, remedy } })
  })
})
