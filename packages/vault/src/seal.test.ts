/**
 * Sealing and opening: what goes in comes out, and whatever was touched on the way does not open.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  ENVELOPE_BYTES_MAX,
  type Envelope,
  envelopeEpoch,
  envelopeNonce,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  type Fields,
  formatHex,
  isTombstone,
  parseEnvelope,
  type Value,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CLOCKS_OWN, type FieldClocks } from './field-clocks.ts'
import { beginEpoch } from './keychain-writer.ts'
import { pooledRandom } from './random.ts'
import { encodeRecord, type VaultRecord } from './record.ts'
import { openEnvelope, resealEnvelope, SEAL_ROOM_BYTES, sealRecord, sealWork } from './seal.ts'
import { codeOf, fixedRandom, foundTestVault, NOTE, timestampOf } from './vault.fixture.ts'

const numRuns = process.env.SLOW === '1' ? 20_000 : 500
const vault = foundTestVault()
const { keyring } = vault
const random = pooledRandom()
const AT = timestampOf(1_000)
const DELETION: VaultRecord = { ...NOTE, fields: null, base: timestampOf(7) }
const TAMPERED_TEXT = 'it does not open: it was changed, or sealed with other keys'

function open(envelope: Envelope, ring = keyring): VaultRecord {
  const opened = openEnvelope(ring, envelope)
  if (opened.type !== 'opened') throw new Error(opened.type)
  return opened.record
}

const key = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', 'toJSON', 'length', ''),
)
const scalar: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(0, -0, '', false, true, null, undefined, 0n, Number.NaN, 1e300, -1e-300),
  fc.double(),
  fc.integer(),
  fc.bigInt(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 40 }),
)
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(fieldsOf),
  ),
}))
const fields = fc.array(fc.tuple(key, value), { maxLength: 6 }).map(fieldsOf)

/** By definition, so that `__proto__` becomes a field and not the prototype. */
function fieldsOf(entries: readonly (readonly [string, Value])[]): Fields {
  const made = {}
  for (const [name, field] of entries) {
    Object.defineProperty(made, name, {
      value: field,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return made
}

const timestamp = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => bytes as Uint8Array as typeof AT)
const record = fc.record<VaultRecord>(
  {
    collection: fc.string({ unit: 'binary', maxLength: 30 }),
    key: fc.string({ unit: 'binary', maxLength: 100 }),
    fields: fc.option(fields),
    base: fc.option(timestamp),
    transactionSize: fc.integer({ min: 1, max: 1000 }),
    fieldClocks: fc.constant(null),
    schemaVersion: fc.nat(2 ** 31 - 1),
  },
  { noNullPrototype: true },
)

describe('openEnvelope', () => {
  it('inverts sealRecord', () => {
    fc.assert(
      fc.property(record, timestamp, (sealed, at) => {
        const envelope = parseEnvelope(sealRecord(keyring, sealed, at, random))
        expect(isTombstone(envelope)).toBe(sealed.fields === null)
        expect(equalBytes(envelopeTimestamp(envelope), at)).toBe(true)
        // Not Vitest's own equality: a field called `constructor` confuses it.
        expect(isDeepStrictEqual(open(envelope), sealed)).toBe(true)
      }),
      { numRuns },
    )
  })

  it('refuses a field clock, an edit or a deletion that is not older than the record', () => {
    const times = [timestampOf(999), AT, timestampOf(1_001)]
    for (const [i, clock] of times.entries()) {
      const clocks: FieldClocks[] = [
        { ...CLOCKS_OWN, groups: [[clock, ['removed']]] },
        { ...CLOCKS_OWN, editedAt: clock },
        { ...CLOCKS_OWN, deletedAt: clock },
      ]
      for (const fieldClocks of clocks) {
        const sealed = { ...NOTE, fieldClocks }
        if (i === 0) {
          expect(open(sealRecord(keyring, sealed, AT, random))).toEqual(sealed)
          continue
        }
        expect(() => sealRecord(keyring, sealed, AT, random)).toThrow('assertion')
        // By somebody who holds the keys and does not check.
        const boundHeader = sealRecord(keyring, NOTE, AT, random).slice(0, 38)
        const work = encodeRecord(sealed, SEAL_ROOM_BYTES)
        const forged = sealWork(keyring, boundHeader, work, random(24))
        expect(codeOf(() => open(forged))).toBe('tampered')
      }
    }
  })

  it('gives bytes that nothing sealed or opened later changes', () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const base = timestampOf(9)
    const sealed = sealRecord(keyring, { ...NOTE, fields: { bytes }, base }, AT, random)
    const opened = open(sealed)
    open(sealRecord(keyring, NOTE, AT, random))
    expect(opened.fields).toEqual({ bytes: Uint8Array.of(1, 2, 3) })
    expect(opened.base).toEqual(base)
  })

  it.each([
    ['a note', NOTE],
    ['a deletion', DELETION],
  ])('refuses %s with any one bit flipped, with one text for all', (_, sealed) => {
    const envelope = sealRecord(keyring, sealed, AT, random)
    for (let offset = 0; offset < envelope.length; offset++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = envelope.slice() as Envelope
        changed[offset] = (changed[offset] ?? 0) ^ (1 << bit)
        let outcome: unknown
        try {
          outcome = openEnvelope(keyring, changed).type
        } catch (error) {
          outcome = (error as Error).message
        }
        // Bytes 2 to 5 name the epoch: with those changed it is one that nobody knows.
        expect(outcome).toBe(offset >= 2 && offset < 6 ? 'unknown-epoch' : TAMPERED_TEXT)
      }
    }
  })

  it('refuses an envelope that is cut or grown, at every length', () => {
    const envelope = sealRecord(keyring, NOTE, AT, random)
    for (let size = 0; size < envelope.length; size++) {
      if (size >= 6) {
        expect(codeOf(() => openEnvelope(keyring, envelope.slice(0, size) as Envelope))).toBe(
          'tampered',
        )
      }
    }
    const grown = new Uint8Array(envelope.length + 16)
    grown.set(envelope)
    expect(codeOf(() => openEnvelope(keyring, grown as Uint8Array as Envelope))).toBe('tampered')
  })

  it('refuses ciphertexts that were swapped, times that were changed, and a false tombstone', () => {
    const note = sealRecord(keyring, NOTE, AT, random)
    const other = sealRecord(keyring, { ...NOTE, key: 'other' }, AT, random)
    const later = sealRecord(keyring, NOTE, timestampOf(2_000), random)
    const deletion = sealRecord(keyring, DELETION, AT, random)
    const spliced = (head: Envelope, tail: Envelope, at: number) => {
      const made = tail.slice() as Envelope
      made.set(head.subarray(0, at))
      return made
    }
    for (const tail of [other, later, deletion]) {
      expect(codeOf(() => open(spliced(note, tail, 38)))).toBe('tampered')
      expect(codeOf(() => open(spliced(note, tail, 62)))).toBe('tampered')
    }
  })

  it('refuses an envelope of another vault, though the epoch has the same number', () => {
    const stranger = foundTestVault('another vault').keyring
    expect(codeOf(() => open(sealRecord(stranger, NOTE, AT, random)))).toBe('tampered')
  })

  it('says which epoch it lacks, and opens the envelope once it has it', () => {
    const begun = beginEpoch({ ...vault, signer: vault.device, nowMs: 5, random })
    const envelope = sealRecord(begun.keyring, NOTE, AT, random)
    expect(openEnvelope(keyring, envelope)).toEqual({ type: 'unknown-epoch', epoch: 2 })
    expect(open(envelope, begun.keyring)).toStrictEqual(NOTE)
    const old = envelope.slice() as Envelope
    old[5] = 1
    expect(codeOf(() => openEnvelope(begun.keyring, old))).toBe('tampered')
  })
})

describe('sealRecord', () => {
  it('does not show collection, key or fields', () => {
    const text = Buffer.from(sealRecord(keyring, NOTE, AT, random)).toString('latin1')
    for (const part of ['canary-4711', 'notes', NOTE.key, 'Groceries']) {
      expect(text).not.toContain(part)
    }
  })

  it('makes two nonces of one randomness, when anything differs: a cloned process', () => {
    const nonceOf = (sealed: VaultRecord, at = AT) =>
      formatHex(envelopeNonce(sealRecord(keyring, sealed, at, fixedRandom('cloned'))))
    const nonces = [
      nonceOf(NOTE),
      nonceOf({ ...NOTE, transactionSize: 2 }),
      nonceOf({ ...NOTE, key: 'other' }),
      nonceOf(NOTE, timestampOf(1_001)),
    ]
    expect(new Set(nonces).size).toBe(nonces.length)
    expect(nonceOf(NOTE)).toBe(nonces[0])
  })

  it('takes a record up to the limit of an envelope, and none beyond', () => {
    const sizes = [500_000, 900_000, 1_000_000, 1_040_000, 1_048_000, 1_100_000, 3_000_000]
    for (const size of sizes) {
      const body = new Uint8Array(size).fill(7)
      const large = { ...NOTE, fields: { body } }
      const code = codeOf(() => {
        const envelope = sealRecord(keyring, large, AT, random)
        expect(envelope.length).toBeLessThanOrEqual(ENVELOPE_BYTES_MAX)
        const opened = open(envelope).fields?.body
        expect(opened instanceof Uint8Array && equalBytes(opened, body)).toBe(true)
      })
      expect(code).toBe(size > 1_016_000 ? 'record-too-large' : undefined)
    }
    expect(open(sealRecord(keyring, NOTE, AT, random))).toStrictEqual(NOTE)
  })

  it('leaves nothing half done when a field cannot be carried', () => {
    const wrong = { ...NOTE, fields: { when: () => 1 } } as unknown as VaultRecord
    expect(codeOf(() => sealRecord(keyring, wrong, AT, random))).toBe('not-carried')
    expect(open(sealRecord(keyring, NOTE, AT, random))).toStrictEqual(NOTE)
  })
})

describe('resealEnvelope', () => {
  const begun = beginEpoch({ ...vault, signer: vault.device, nowMs: 5, random })

  it('keeps record, record id, timestamp and base, under the newest epoch', () => {
    for (const sealed of [{ ...NOTE, base: timestampOf(3), transactionSize: 9 }, DELETION]) {
      const envelope = sealRecord(keyring, sealed, AT, random)
      const resealed = resealEnvelope(begun.keyring, envelope, random)
      expect(envelopeEpoch(resealed)).toBe(2)
      expect(envelopeRecordId(resealed)).toEqual(envelopeRecordId(envelope))
      expect(envelopeTimestamp(resealed)).toEqual(envelopeTimestamp(envelope))
      expect(resealed).toHaveLength(envelope.length)
      expect(open(resealed, begun.keyring)).toStrictEqual(sealed)
    }
  })

  it('refuses what does not open', () => {
    const envelope = sealRecord(keyring, NOTE, AT, random)
    envelope[100] = (envelope[100] ?? 0) ^ 1
    expect(codeOf(() => resealEnvelope(begun.keyring, envelope, random))).toBe('tampered')
    const newer = sealRecord(begun.keyring, NOTE, AT, random)
    expect(codeOf(() => resealEnvelope(keyring, newer, random))).toBe('tampered')
  })
})
