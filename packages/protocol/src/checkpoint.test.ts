/**
 * Checkpoints: one statement, one spelling; any bytes give a checkpoint or `malformed`. The vectors
 * of test/vectors/checkpoint.json were made without our code.
 */
import { createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, formatHex } from './bytes.ts'
import {
  type CheckpointStatement,
  encodeCheckpoint,
  encodeCheckpointBody,
  parseCheckpoint,
} from './checkpoint.ts'
import { ProtocolError } from './error.ts'
import type { Hash, MemberId, Signature, SyncId, VaultId } from './ids.ts'
import { CHECKPOINT_BYTES_MAX, CHECKPOINT_PAIRS_MAX, TIME_MS_MAX } from './limits.ts'
import { checkpointSignedBytes } from './signature.ts'

type Case = { readonly name: string; readonly expect: string; readonly hex: string }
type Good = Case & { readonly bodyHex: string }

const url = new URL('../../../test/vectors/checkpoint.json', import.meta.url)
const vectors = JSON.parse(readFileSync(url, 'utf8')) as {
  vaultIdHex: string
  signingKeyHex: string
  cases: Case[]
}
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

const bytes = <T extends Uint8Array>(size: number): fc.Arbitrary<T> =>
  fc.uint8Array({ minLength: size, maxLength: size }) as unknown as fc.Arbitrary<T>
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const pairs = fc.uniqueArray(bytes(32), {
  maxLength: CHECKPOINT_PAIRS_MAX,
  selector: (pair) => formatHex(pair),
})

const statements: fc.Arbitrary<CheckpointStatement> = fc.record({
  vaultId: bytes<VaultId>(32),
  memberId: bytes<MemberId>(8),
  number: count.map((n) => Math.max(1, n)),
  timeMs: fc.nat({ max: TIME_MS_MAX }),
  syncId: bytes<SyncId>(16),
  position: fc.record({ seq: count, chain: bytes<Hash>(32) }),
  count,
  epoch: count,
  fingerprint: bytes(32),
  keychainLength: count,
  keychainHead: bytes<Hash>(32),
  unopened: pairs,
  late: pairs,
})

describe('parseCheckpoint', () => {
  it('undoes encodeCheckpoint, the lists in order', () => {
    fc.assert(
      fc.property(statements, bytes<Signature>(64), (statement, signature) => {
        const body = encodeCheckpointBody(statement)
        const encoded = encodeCheckpoint(body, signature)
        expect(encoded.length).toBeLessThanOrEqual(CHECKPOINT_BYTES_MAX)
        const parsed = parseCheckpoint(encoded)
        const inOrder = (list: readonly Uint8Array[]) => list.map(formatHex).sort()
        expect(parsed).toEqual({
          ...statement,
          unopened: parsed.unopened,
          late: parsed.late,
          body,
          signature,
          bytes: encoded,
        })
        expect(parsed.unopened.map(formatHex)).toEqual(inOrder(statement.unopened))
        expect(parsed.late.map(formatHex)).toEqual(inOrder(statement.late))
      }),
      { numRuns: 200 },
    )
  })

  it('gives a checkpoint or a ProtocolError for any bytes, and for any byte changed', () => {
    const good = fromHex((vectors.cases[1] as Case).hex)
    const changed = fc
      .tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }))
      .map(([at, byte]) => good.with(at, byte))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), changed), (input) => {
        try {
          expect(parseCheckpoint(input).bytes).toEqual(input)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('refuses what is larger than a checkpoint may be', () => {
    expect(() => parseCheckpoint(new Uint8Array(CHECKPOINT_BYTES_MAX + 1))).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    )
  })

  it('takes any time that a timestamp holds, and none that no date can be made of', () => {
    const { bytes: _bytes, ...good } = parseCheckpoint(fromHex((vectors.cases[1] as Case).hex))
    const at = (timeMs: number): Uint8Array =>
      encodeCheckpoint(encodeCheckpointBody({ ...good, timeMs }), good.signature)
    const { timeMs } = parseCheckpoint(at(TIME_MS_MAX))
    expect(new Date(timeMs).toISOString()).toMatch(/^\+010889/)
    for (const beyond of [TIME_MS_MAX + 1, Number.MAX_SAFE_INTEGER]) {
      expect(() => parseCheckpoint(at(beyond))).toThrowError(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
  })

  it('keeps nothing of the bytes it was given', () => {
    const input = fromHex((vectors.cases[1] as Case).hex)
    const parsed = parseCheckpoint(input)
    const before = formatHex(concat(parsed.body, ...parsed.unopened, parsed.position.chain))
    input.fill(0)
    expect(formatHex(concat(parsed.body, ...parsed.unopened, parsed.position.chain))).toBe(before)
  })
})

describe('test/vectors/checkpoint.json', () => {
  it('has at least as many refusals as successes', () => {
    const good = vectors.cases.filter((one) => one.expect === 'ok')
    expect(vectors.cases.length).toBeGreaterThanOrEqual(2 * good.length)
  })

  it.each(vectors.cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const encoded = fromHex(one.hex)
    if (one.expect !== 'ok') {
      expect(() => parseCheckpoint(encoded)).toThrowError(
        expect.objectContaining({ code: one.expect }),
      )
      return
    }
    const parsed = parseCheckpoint(encoded)
    expect(formatHex(parsed.body)).toBe((one as Good).bodyHex)
    expect(formatHex(encodeCheckpointBody(parsed))).toBe((one as Good).bodyHex)
    const key = createPublicKey({
      key: Buffer.concat([
        Buffer.from('302a300506032b6570032100', 'hex'),
        fromHex(vectors.signingKeyHex),
      ]),
      format: 'der',
      type: 'spki',
    })
    const signed = checkpointSignedBytes(fromHex(vectors.vaultIdHex) as VaultId, parsed.body)
    expect(verify(null, signed, key, parsed.signature)).toBe(true)
  })
})
