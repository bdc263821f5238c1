/**
 * The body of a push that is put together from pieces is the same, byte for byte, as the one the
 * codec writes, and both ends read it alike.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from './bytes.ts'
import type { Timestamp } from './hlc.ts'
import { PushRequest, type PushTransaction } from './message.ts'
import { encodeMessage, parseMessage } from './message-check.ts'
import { encodePushedOps, encodePushHead, joinPushBody } from './push-body.ts'

const timestamp = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => new Uint8Array(bytes) as Timestamp)
const envelope = fc
  .constantFrom(0, 1, 23, 24, 255, 256, 400, 65_535, 65_536)
  .map((size) => new Uint8Array(size).fill(size & 0xff))
const op = fc.record({ envelope, base: fc.option(timestamp) })

describe('a push body', () => {
  it('is what the codec writes, however it is cut into pieces', () => {
    const transaction = fc.tuple(timestamp, fc.array(op, { minLength: 1, maxLength: 12 }))
    fc.assert(
      fc.property(
        fc.array(transaction, { minLength: 1, maxLength: 26 }),
        fc.integer({ min: 1, max: 7 }),
        (transactions, opsPerPiece) => {
          const pieces = transactions.map(([id, ops]) => {
            const parts = [encodePushHead(id, ops.length)]
            for (let i = 0; i < ops.length; i += opsPerPiece) {
              parts.push(encodePushedOps(ops.slice(i, i + opsPerPiece)))
            }
            return parts
          })
          const plain = transactions.map(
            ([id, ops]): PushTransaction => [
              id,
              ops.map(({ envelope, base }) => (base === null ? [envelope] : [envelope, base])),
            ],
          )
          const body = joinPushBody(pieces)
          // Compared by hand: the matchers take seconds over this many bytes.
          const whole = encodeMessage(PushRequest, { transactions: plain })
          expect(equalBytes(body, whole)).toBe(true)
          const read = parseMessage(PushRequest, body)
          expect(equalBytes(encodeMessage(PushRequest, read), whole)).toBe(true)
        },
      ),
      { numRuns: 50 },
    )
  })
})
