/** The headers of data requests: one spelling of each cursor and SyncId. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCursor, parseCursor, parseSyncIdHeader } from './header.ts'
import { formatSyncId, parseHash, parseSyncId } from './ids.ts'

const malformed = expect.objectContaining({ code: 'malformed' })
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })

describe('parseCursor', () => {
  it('undoes formatCursor', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), bytes(32).map(parseHash), (seq, chain) => {
        expect(parseCursor(formatCursor({ seq, chain }))).toEqual({ seq, chain })
      }),
    )
  })

  const chain = 'A'.repeat(43)
  it.each([
    ['nothing', ''],
    ['no seq', `.${chain}`],
    ['no chain', '5.'],
    ['no dot', `5${chain}`],
    ['a sign', `+5.${chain}`],
    ['a negative seq', `-5.${chain}`],
    ['a leading zero', `05.${chain}`],
    ['a fraction', `5.0.${chain}`],
    ['an exponent', `1e3.${chain}`],
    ['hex', `0x5.${chain}`],
    ['a seq no number can hold', `9007199254740992.${chain}`],
    ['a seq of 17 digits', `10000000000000000.${chain}`],
    ['a chain cut short', `5.${chain.slice(1)}`],
    ['a chain too long', `5.${chain}A`],
    ['padding', `5.${chain}=`],
    ['stray bits in the chain', `5.${chain.slice(1)}B`],
    ['the other alphabet', `5.${chain.slice(1)}+`],
    ['a space before', ` 5.${chain}`],
    ['a line end behind', `5.${chain}\n`],
  ])('refuses %s', (_name, text) => {
    expect(() => parseCursor(text)).toThrowError(malformed)
  })

  it('takes the greatest seq a number can hold', () => {
    expect(parseCursor(`9007199254740991.${chain}`).seq).toBe(Number.MAX_SAFE_INTEGER)
    expect(parseCursor(`0.${chain}`).seq).toBe(0)
  })
})

describe('parseSyncIdHeader', () => {
  it('undoes formatSyncId and refuses other sizes', () => {
    fc.assert(
      fc.property(bytes(16).map(parseSyncId), (syncId) => {
        expect(parseSyncIdHeader(formatSyncId(syncId))).toEqual(syncId)
      }),
    )
    for (const text of ['', 'A'.repeat(20), 'A'.repeat(21), 'A'.repeat(24), `${'A'.repeat(21)}B`]) {
      expect(() => parseSyncIdHeader(text)).toThrowError(malformed)
    }
  })
})
