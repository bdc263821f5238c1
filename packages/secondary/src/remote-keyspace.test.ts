/** Keys of the remote: scans rely on their order, and each parses to what it was built of. */
import {
  compareBytes,
  type MemberId,
  parseRecordId,
  parseTimestamp,
  parseVaultId,
  type RecordId,
  type Timestamp,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeHistory,
  opIndexOfKey,
  parseExpiry,
  parseHistory,
  recordIdOfKey,
  recordVersion,
  recordVersionSize,
  recordVersionTimestamp,
  remoteKeyspace,
  seqOfKey,
} from './remote-keyspace.ts'
import type { KeyRange } from './store.ts'

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const vaultIds = bytes(32).map(parseVaultId)
const timestamps: fc.Arbitrary<Timestamp> = bytes(16).map(parseTimestamp)
const recordIds: fc.Arbitrary<RecordId> = bytes(16).map(parseRecordId)
const seqs = fc.nat(2 ** 31).map((seq) => seq * 2 ** 20 + (seq % 1024))
const opIndexes = fc.nat(999)
const sizes = fc.nat(2 ** 20)

const isWithin = (key: Uint8Array, { gte, lt, lte }: KeyRange): boolean =>
  gte !== undefined &&
  compareBytes(key, gte) >= 0 &&
  (lt !== undefined || lte !== undefined) &&
  (lt === undefined || compareBytes(key, lt) < 0) &&
  (lte === undefined || compareBytes(key, lte) <= 0)

describe('remoteKeyspace', () => {
  it('has ranges of records that hold their ids, both ends included, and parses them back', () => {
    fc.assert(
      fc.property(vaultIds, recordIds, recordIds, recordIds, (vaultId, a, b, recordId) => {
        const keys = remoteKeyspace(vaultId)
        const [first, last] = compareBytes(a, b) <= 0 ? [a, b] : [b, a]
        const { gte, lte } = keys.records({ first, last })
        const key = keys.record(recordId)
        const isInside = compareBytes(key, gte as Uint8Array) >= 0
        expect(isInside && compareBytes(key, lte as Uint8Array) <= 0).toBe(
          compareBytes(recordId, first) >= 0 && compareBytes(recordId, last) <= 0,
        )
        expect([gte, lte]).toEqual([keys.record(first), keys.record(last)])
        expect(recordIdOfKey(key)).toEqual(recordId)
      }),
    )
  })

  it('gives envelopes the order of seq, then of op, and parses both back', () => {
    const place = fc.tuple(seqs, opIndexes)
    fc.assert(
      fc.property(vaultIds, timestamps, place, place, (vaultId, timestamp, a, b) => {
        const keys = remoteKeyspace(vaultId)
        const keyOf = ([seq, op]: [number, number]) =>
          keys.envelope(recordVersion(timestamp, { seq, opIndex: op, sizeBytes: 1 }))
        expect([seqOfKey(keyOf(a)), opIndexOfKey(keyOf(a))]).toEqual(a)
        const byNumber = a[0] - b[0] || a[1] - b[1]
        expect(Math.sign(compareBytes(keyOf(a), keyOf(b)))).toBe(Math.sign(byNumber))
      }),
    )
  })

  it('has ranges that hold their seqs, ends included, and nothing else', () => {
    fc.assert(
      fc.property(vaultIds, seqs, fc.nat(50), timestamps, (vaultId, first, more, timestamp) => {
        const keys = remoteKeyspace(vaultId)
        const range = { first, last: first + more }
        for (const seq of [first, first + more]) {
          expect(isWithin(keys.logEntry(seq), keys.logEntries(range))).toBe(true)
          const envelope = keys.envelope(
            recordVersion(timestamp, { seq, opIndex: 999, sizeBytes: 1 }),
          )
          expect(isWithin(envelope, keys.envelopes(range))).toBe(true)
        }
        for (const key of [keys.logEntry(first + more + 1), keys.state, keys.keychainEntry(0)]) {
          expect(isWithin(key, keys.logEntries(range))).toBe(false)
          expect(isWithin(key, keys.envelopes(range))).toBe(false)
        }
      }),
    )
  })

  it('keeps sections and vaults apart', () => {
    fc.assert(
      fc.property(vaultIds, vaultIds, recordIds, timestamps, (one, other, recordId, timestamp) => {
        const keysOf = (vaultId: typeof one) => {
          const keys = remoteKeyspace(vaultId)
          const version = recordVersion(timestamp, { seq: 1, opIndex: 0, sizeBytes: 1 })
          const singles = [keys.state, keys.keychainEntry(1), keys.logEntry(1)]
          return [
            ...singles,
            keys.record(recordId),
            keys.envelope(version),
            keys.transaction(timestamp),
            keys.checkpoint(timestamp.subarray(0, 8) as MemberId),
            keys.history(recordId, timestamp),
            keys.expiry({ recordId, timestamp, supersededMs: 1 }),
          ].map((key) => key.join())
        }
        const all =
          compareBytes(one, other) === 0 ? keysOf(one) : [...keysOf(one), ...keysOf(other)]
        expect(new Set(all).size).toBe(all.length)
        const { keychainFrom, keychainEntry, record, logEntry } = remoteKeyspace(one)
        expect(isWithin(keychainEntry(9_999), keychainFrom(0))).toBe(true)
        expect(isWithin(keychainEntry(4), keychainFrom(5))).toBe(false)
        expect(isWithin(logEntry(0), keychainFrom(0))).toBe(false)
        expect(isWithin(record(recordId), keychainFrom(0))).toBe(false)
      }),
    )
  })
})

describe('recordVersion', () => {
  it('gives back its timestamp and its size', () => {
    fc.assert(
      fc.property(timestamps, seqs, opIndexes, sizes, (timestamp, seq, opIndex, sizeBytes) => {
        const version = recordVersion(timestamp, { seq, opIndex, sizeBytes })
        expect(recordVersionTimestamp(version)).toEqual(timestamp)
        expect(recordVersionSize(version)).toBe(sizeBytes)
      }),
    )
  })
})

describe('history', () => {
  it('has the versions of one record by age, and says what stands in them', () => {
    fc.assert(
      fc.property(vaultIds, recordIds, timestamps, timestamps, seqs, (...drawn) => {
        const [vaultId, recordId, one, other, supersededMs] = drawn
        const keys = remoteKeyspace(vaultId)
        const key = keys.history(recordId, one)
        expect(isWithin(key, keys.historyOf(recordId, undefined))).toBe(true)
        expect(isWithin(key, keys.historyOf(recordId, other))).toBe(compareBytes(one, other) < 0)
        const envelope = new Uint8Array([1, 2, 3])
        const said = parseHistory([key, encodeHistory(supersededMs, envelope)])
        expect(said).toEqual({ recordId, timestamp: one, supersededMs, envelope })
      }),
    )
  })

  it('expires in the order of time, each entry naming its version', () => {
    fc.assert(
      fc.property(vaultIds, recordIds, timestamps, seqs, seqs, (...drawn) => {
        const [vaultId, recordId, timestamp, ms, beforeMs] = drawn
        const keys = remoteKeyspace(vaultId)
        const superseded = { recordId, timestamp, supersededMs: ms }
        const key = keys.expiry(superseded)
        expect(isWithin(key, keys.expiries(beforeMs))).toBe(ms < beforeMs)
        expect(isWithin(key, keys.expiries(undefined))).toBe(true)
        const value = new Uint8Array([0, 0, 1, 2])
        expect(parseExpiry([key, value])).toEqual({ ...superseded, sizeBytes: 258 })
      }),
    )
  })
})
