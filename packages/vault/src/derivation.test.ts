/** One row, one key: no two rows may ever meet. */
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

describe('derive', () => {
  it('gives a different key for each row, from the same bytes', () => {
    const keys = names.map((name) => {
      const from = new Secret(SUBKEYS[name].from, new Uint8Array(32).fill(7)) as Secret<never>
      return formatHex(derive(name, from).bytes)
    })
    expect(new Set(keys).size).toBe(names.length)
  })
})
