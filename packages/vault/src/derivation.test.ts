/** One row, one key: no two rows may ever meet; and the table in docs/keys.md is this one. */
import { readFileSync } from 'node:fs'
import { formatHex } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { derive, SUBKEYS, type SubkeyName } from './derivation.ts'
import { Secret } from './secret.ts'

const rows = Object.values(SUBKEYS)
const names = Object.keys(SUBKEYS) as SubkeyName[]

describe('SUBKEYS', () => {
  it('has no two rows with one context and number', () => {
    expect(new Set(rows.map(({ context, number }) => `${context} ${number}`)).size).toBe(
      rows.length,
    )
  })

  it('has contexts of exactly 8 bytes, each for one kind of key', () => {
    const kindByContext = new Map<string, string>()
    for (const { context, from } of rows) {
      expect(context).toMatch(/^[a-z0-9]{8}$/)
      expect(kindByContext.get(context) ?? from).toBe(from)
      kindByContext.set(context, from)
    }
  })
})

describe('docs/keys.md', () => {
  it('has each row as it is here, once, and no other', () => {
    const text = readFileSync(new URL('../../../docs/keys.md', import.meta.url), 'utf8')
    const stated = text
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
      .filter((cells) => /^bc[a-z0-9]{6}$/.test(cells[3] ?? ''))
      .map(([, name, from, context, number, to]) => ({ name, from, context, number, to }))
    const expected = names.map((name) => {
      const { from, context, number, to } = SUBKEYS[name]
      return { name, from, context, number: String(number), to }
    })
    expect(stated).toEqual(expected)
  })
})

describe('derive', () => {
  it('gives a different key for each row, from the same bytes', () => {
    const keys = names.map((name) => {
      const from = new Secret(SUBKEYS[name].from, new Uint8Array(32).fill(7)) as Secret<never>
      return formatHex(derive(name, from).bytes)
    })
    expect(new Set(keys).size).toBe(names.length)
  })
})
