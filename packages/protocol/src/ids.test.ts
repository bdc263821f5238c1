/** Identifiers: each has one size and one text; the two that are hashes are what ids.ts says. */

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concat, encodeUtf8 } from './bytes.ts'
import { sha256 } from './hash.ts'
import {
  formatSyncId,
  formatVaultId,
  memberIdOf,
  parseHash,
  parseKemPublicKey,
  parseMemberId,
  parseRecordId,
  parseSignature,
  parseSigningPublicKey,
  parseSyncId,
  parseSyncIdText,
  parseVaultId,
  parseVaultIdText,
  vaultIdOf,
} from './ids.ts'

const malformed = expect.objectContaining({ code: 'malformed' })
const nodeSha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest())

describe('the parsers', () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array, number]>([
    ['VaultId', parseVaultId, 32],
    ['MemberId', parseMemberId, 8],
    ['RecordId', parseRecordId, 16],
    ['SyncId', parseSyncId, 16],
    ['Hash', parseHash, 32],
    ['SigningPublicKey', parseSigningPublicKey, 32],
    ['KemPublicKey', parseKemPublicKey, 1216],
    ['Signature', parseSignature, 64],
  ])('take a %s of its size only', (_name, parse, size) => {
    expect(parse(new Uint8Array(size))).toHaveLength(size)
    for (const other of [0, size - 1, size + 1]) {
      expect(() => parse(new Uint8Array(other))).toThrowError(malformed)
    }
  })
})

describe('the texts', () => {
  it('come back, and stand in no other spelling', () => {
    const vaultId = parseVaultId(new Uint8Array(32).fill(0xfb))
    const syncId = parseSyncId(new Uint8Array(16).fill(0xfb))
    expect(formatVaultId(vaultId)).toHaveLength(43)
    expect(parseVaultIdText(formatVaultId(vaultId))).toEqual(vaultId)
    expect(parseSyncIdText(formatSyncId(syncId))).toEqual(syncId)
    expect(() => parseVaultIdText(`${formatVaultId(vaultId)}=`)).toThrowError(malformed)
    expect(() => parseVaultIdText(formatSyncId(syncId))).toThrowError(malformed)
  })
})

describe('vaultIdOf and memberIdOf', () => {
  it('are hashes of the public keys', () => {
    const signingKey = parseSigningPublicKey(new Uint8Array(32).fill(1))
    const kemKey = parseKemPublicKey(new Uint8Array(1216).fill(2))
    const labelled = concat(encodeUtf8('blindcopy.vault.v1'), signingKey, kemKey)
    expect(vaultIdOf(signingKey, kemKey)).toEqual(nodeSha256(labelled))
    expect(memberIdOf(signingKey)).toEqual(nodeSha256(signingKey).subarray(0, 8))
  })
})

describe('sha256', () => {
  it('is the same on either side of the size where the native one takes over', () => {
    for (const size of [0, 1, 63, 64, 65, 255, 256, 257, 100_000]) {
      const bytes = new Uint8Array(size).fill(size & 0xff)
      expect(sha256(bytes)).toEqual(nodeSha256(bytes))
      expect(Object.getPrototypeOf(sha256(bytes))).toBe(Uint8Array.prototype)
    }
  })
})
