/** The padded form of a record and the keyed hashes of its names. */
import {
  COLLECTION_NAME_BYTES_MAX,
  concat,
  encodeCbor,
  encodeUint32,
  encodeUtf8,
  type Fields,
  formatHex,
  KEY_BYTES_MAX,
  paddedSize,
  type Timestamp,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { CLOCKS_OWN, type FieldClocks } from './field-clocks.ts'
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

const [T1, T2, T3] = [timestampOf(1), timestampOf(2), timestampOf(3)]

/** Every form that field clocks may have, as places of a record. */
const CLOCKS: [string, Fields | null, FieldClocks, unknown][] = [
  ['nothing older', { a: 1 }, CLOCKS_OWN, [null, null]],
  [
    'an older field, and two removed ones',
    { a: 1 },
    {
      editedAt: null,
      deletedAt: null,
      groups: [
        [T1, ['a']],
        [null, ['', '__proto__']],
      ],
    },
    [null, null, [T1, 'a'], [null, '', '__proto__']],
  ],
  [
    'the outcome of a merge, which overcame a deletion',
    { a: 1, b: 0, constructor: 2 },
    {
      editedAt: T3,
      deletedAt: T2,
      groups: [
        [T1, ['a', 'constructor']],
        [T3, ['b']],
      ],
    },
    [T3, T2, [T1, 'a', 'constructor'], [T3, 'b']],
  ],
  ['a deletion of now', null, CLOCKS_OWN, [null, null]],
  ['an older deletion', null, { ...CLOCKS_OWN, deletedAt: T1 }, [null, T1]],
]

describe('the last two places', () => {
  const draft = { ...NOTE, base: T2, transactionSize: 300 }
  const before = (fields: Fields | null) => [NOTE.collection, NOTE.key, fields, T2, 300]

  it.each(CLOCKS)('carry field clocks: %s', (_, fields, fieldClocks, place) => {
    for (const schemaVersion of [0, 1, 24, 65_536, 2 ** 31 - 1]) {
      const record = { ...draft, fields, fieldClocks, schemaVersion }
      expect(decodeRecord(encodeRecord(record))).toEqual(record)
      const tail = schemaVersion === 0 ? [place] : [place, schemaVersion]
      expect(encodeRecord(record)).toEqual(padded([...before(fields), ...tail]))
    }
  })

  it('carry a schema version without field clocks', () => {
    const record = { ...draft, fieldClocks: null, schemaVersion: 2 ** 31 - 1 }
    expect(decodeRecord(encodeRecord(record))).toEqual(record)
    expect(encodeRecord(record)).toEqual(padded([...before(draft.fields), null, 2 ** 31 - 1]))
  })

  it('are left out, and may be left out of a draft, when they say nothing', () => {
    const { fieldClocks: _, schemaVersion: __, ...short } = draft
    expect(encodeRecord(short)).toEqual(padded(before(draft.fields)))
    expect(decodeRecord(encodeRecord(short))).toEqual(draft)
  })

  it.each([-1, 1.5, 2 ** 31, Number.NaN])('assert a schema version of %d', (schemaVersion) => {
    expect(() => encodeRecord({ ...draft, schemaVersion })).toThrow('assertion')
  })

  it('take ten thousand names of the longest that fit, and each name once', () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `${String(i).padStart(6, '0')} name`)
    const fieldClocks: FieldClocks = { ...CLOCKS_OWN, groups: [[null, names]] }
    const record = { ...draft, fieldClocks, schemaVersion: 0 }
    expect(decodeRecord(encodeRecord(record))).toEqual(record)
    const long = { ...CLOCKS_OWN, groups: [[T1, ['n'.repeat(900_000)]]] } as FieldClocks
    expect(decodeRecord(encodeRecord({ ...record, fieldClocks: long })).fieldClocks).toEqual(long)
    const tooLong = { ...CLOCKS_OWN, groups: [[T1, ['n'.repeat(1_100_000)]]] } as FieldClocks
    expect(codeOf(() => encodeRecord({ ...record, fieldClocks: tooLong }))).toBe('record-too-large')
  })

  const own = { ...CLOCKS_OWN }
  it.each<[string, Fields | null, FieldClocks]>([
    [
      'groups out of order',
      {},
      {
        ...own,
        groups: [
          [T2, ['a']],
          [T1, ['b']],
        ],
      },
    ],
    [
      'two groups of one clock',
      {},
      {
        ...own,
        groups: [
          [T2, ['a']],
          [T2, ['b']],
        ],
      },
    ],
    [
      'an own group that is not last',
      {},
      {
        ...own,
        groups: [
          [null, ['a']],
          [T2, ['b']],
        ],
      },
    ],
    ['a group of no name', {}, { ...own, groups: [[T2, []]] }],
    ['names out of order', {}, { ...own, groups: [[T2, ['b', 'a']]] }],
    [
      'a name twice',
      {},
      {
        ...own,
        groups: [
          [T1, ['a']],
          [T2, ['a']],
        ],
      },
    ],
    ['a name twice in a group', {}, { ...own, groups: [[T1, ['a', 'a']]] }],
    ['a clock of 15 bytes', {}, { ...own, groups: [[T1.slice(1) as Timestamp, ['a']]] }],
    ['an edit before the deletion', {}, { ...own, editedAt: T1, deletedAt: T2 }],
    ['an edit of a deletion', null, { ...own, editedAt: T1 }],
    ['a field of a deletion', null, { ...own, groups: [[T1, ['a']]] }],
  ])('assert and refuse field clocks: %s', (_, fields, fieldClocks) => {
    expect(() => encodeRecord({ ...draft, fields, fieldClocks })).toThrow('assertion')
    const { editedAt, deletedAt, groups } = fieldClocks
    const place = [editedAt, deletedAt, ...groups.map(([clock, names]) => [clock, ...names])]
    expect(codeOf(() => decodeRecord(padded([...before(fields), place])))).toBe('tampered')
  })

  it.each<[string, unknown[]]>([
    ['null alone', [null]],
    ['undefined', [undefined]],
    ['undefined before a version', [undefined, 1]],
    ['a version of none', [[null, null], 0]],
    ['a version of none without clocks', [null, 0]],
    ['a version that is null', [[null, null], null]],
    ['a version that is undefined', [[null, null], undefined]],
    ['a version below none', [null, -1]],
    ['a version beyond the limit', [null, 2 ** 31]],
    ['a version of one and a half', [null, 1.5]],
    ['a version that is a text', [null, '1']],
    ['three places', [[null, null], 1, null]],
    ['clocks that are a map', [{ a: T1 }]],
    ['clocks that are empty', [[]]],
    ['clocks without a deletion', [[null]]],
    ['a number for a clock', [[1, null]]],
    ['undefined for a clock', [[undefined, null]]],
    ['a group that is a text', [[null, null, 'a']]],
    ['a group without a clock', [[null, null, ['a']]]],
    ['a group that is empty', [[null, null, []]]],
    ['a name that is a number', [[null, null, [T1, 'a', 1]]]],
    ['an own field that is named', [[null, null, [null, 'title']]]],
  ])('refuse %s', (_, tail) => {
    const places = [...before(NOTE.fields), ...tail]
    expect(codeOf(() => decodeRecord(padded(places)))).toBe('tampered')
  })
})

describe('decodeRecord', () => {
  const places = ['notes', 'k', { a: 1 }, null, 1]

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
