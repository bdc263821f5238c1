/** The padded form of a record and the keyed hashes of its names. */
import {
  COLLECTION_NAME_BYTES_MAX,
  concat,
  encodeCbor,
  encodeUint32,
  encodeUtf8,
  formatHex,
  KEY_BYTES_MAX,
  paddedSize,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { blake2b } from './raw-sodium.ts'
import { decodeRecord, encodeFields, encodeRecord } from './record.ts'
import { hashRecordId } from './record-id.ts'
import { codeOf, foundTestVault, NOTE, timestampOf } from './vault.fixture.ts'

/** Padded as a record is, whatever the CBOR says. */
function padded(places: unknown, change: (bytes: Uint8Array) => void = () => {}): Uint8Array {
  const cbor = encodeCbor(places)
  const bytes = new Uint8Array(paddedSize(4 + cbor.length))
  bytes.set(encodeUint32(cbor.length))
  bytes.set(cbor, 4)
  change(bytes)
  return bytes
}

describe('encodeRecord', () => {
  it('is the same for fields that were encoded before', () => {
    const early = { ...NOTE, fields: encodeFields(NOTE.fields ?? {}) }
    expect(encodeRecord(early)).toEqual(encodeRecord(NOTE))
  })

  it.each([1, 23, 24, 255, 256, 1000])('is plain CBOR, with a transaction of %i', (size) => {
    for (const base of [null, timestampOf(5)]) {
      const record = { ...NOTE, base, transactionSize: size }
      const places = [NOTE.collection, NOTE.key, NOTE.fields, base, size]
      expect(encodeRecord(record)).toEqual(padded(places))
      expect(decodeRecord(encodeRecord(record))).toEqual(record)
    }
  })

  it.each([0, 1001, 1.5, -1, Number.NaN])('asserts a transaction of 1 to 1000, not %d', (size) => {
    expect(() => encodeRecord({ ...NOTE, transactionSize: size })).toThrow('assertion')
  })
})

describe('decodeRecord', () => {
  const places = ['notes', 'k', { a: 1 }, null, 1]

  it('takes the two places that are reserved, in any form', () => {
    for (const extra of [[{ a: timestampOf(1) }], [null, 7]]) {
      expect(decodeRecord(padded([...places, ...extra])).fields).toEqual({ a: 1 })
    }
  })

  it.each([
    ['four places', places.slice(0, 4)],
    ['eight places', [...places, null, 1, 2]],
    ['no list', { collection: 'notes' }],
    ['a collection that is no text', [1, 'k', null, null, 1]],
    ['a key that is no text', ['notes', new Uint8Array(1), null, null, 1]],
    ['fields that are a list', ['notes', 'k', [1], null, 1]],
    ['fields that are bytes', ['notes', 'k', new Uint8Array(3), null, 1]],
    ['fields that are a text', ['notes', 'k', 'fields', null, 1]],
    ['undefined fields', ['notes', 'k', undefined, null, 1]],
    ['a base of 15 bytes', ['notes', 'k', null, new Uint8Array(15), 1]],
    ['an undefined base', ['notes', 'k', null, undefined, 1]],
    ['a transaction of no ops', ['notes', 'k', null, null, 0]],
    ['a transaction of 1001 ops', ['notes', 'k', null, null, 1001]],
    ['a transaction of one and a half', ['notes', 'k', null, null, 1.5]],
  ])('refuses %s', (_, wrong) => {
    expect(codeOf(() => decodeRecord(padded(wrong)))).toBe('tampered')
  })

  it('refuses padding that is not zeros, or not of the one size', () => {
    const last = (bytes: Uint8Array) => bytes.fill(1, -1)
    expect(codeOf(() => decodeRecord(padded(places, last)))).toBe('tampered')
    const good = padded(places)
    expect(codeOf(() => decodeRecord(concat(good, new Uint8Array(16))))).toBe('tampered')
    expect(codeOf(() => decodeRecord(good.subarray(0, 255)))).toBe('tampered')
    expect(codeOf(() => decodeRecord(new Uint8Array(3)))).toBe('tampered')
  })

  it.each([0, 5, 253, 0xffff_ffff])('refuses a stated length of %i', (length) => {
    const bytes = padded(places, (target) => target.set(encodeUint32(length)))
    expect(codeOf(() => decodeRecord(bytes))).toMatch(/^(tampered|malformed)$/)
  })
})

describe('hashRecordId', () => {
  const { idKey } = foundTestVault().keyring.newestKeys()
  const id = (collection: string, key: string) => formatHex(hashRecordId(idKey, collection, key))

  it.each([
    ['notes', 'k1'],
    ['', ''],
    ['ñandú', '🙂 k'],
    ['a', 'é'.repeat(256)],
  ])('is BLAKE2b-128 over lengths and names: %s, %s', (collection, key) => {
    const part = (text: string) => concat(encodeUint32(encodeUtf8(text).length), encodeUtf8(text))
    const message = concat(part(collection), part(key))
    expect(id(collection, key)).toBe(formatHex(blake2b(16, message, idKey.bytes)))
  })

  it('tells names apart that are the same when written together', () => {
    expect(id('ab', 'c')).not.toBe(id('a', 'bc'))
    expect(id('', 'abc')).not.toBe(id('abc', ''))
  })

  it('takes names at their limits in bytes, and none beyond', () => {
    for (const letter of ['a', 'é']) {
      const size = encodeUtf8(letter).length
      const collection = letter.repeat(COLLECTION_NAME_BYTES_MAX / size)
      const key = letter.repeat(KEY_BYTES_MAX / size)
      expect(id(collection, key)).toHaveLength(32)
      expect(codeOf(() => id(`${collection}a`, key))).toBe('record-too-large')
      expect(codeOf(() => id(collection, `${key}a`))).toBe('record-too-large')
    }
    expect(codeOf(() => id('🙂'.repeat(33), 'k'))).toBe('record-too-large')
  })

  it('refuses half a surrogate pair, which would be one record with its replacement', () => {
    expect(codeOf(() => id('notes', 'a\ud800'))).toBe('not-carried')
  })
})
