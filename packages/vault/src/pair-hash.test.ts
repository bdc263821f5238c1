/** What a version counts as in a checkpoint: one epoch, one function, and none without its key. */
import { encodePair, formatHex, type RecordId, type Timestamp } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { derive } from './derivation.ts'
import { Keyring } from './keyring.ts'
import { blake2b } from './raw-sodium.ts'
import { type EpochKey, type IdKey, Secret } from './secret.ts'

const idKey = (): IdKey => new Secret('IdKey', new Uint8Array(32).fill(1))
const epochKey = (byte: number): EpochKey => new Secret('EpochKey', new Uint8Array(32).fill(byte))
const vaultId = new Uint8Array(32).fill(9) as never
const keyringOf = (...epochs: number[]): Keyring =>
  new Keyring(
    vaultId,
    idKey(),
    epochs.map((byte, i) => [i + 1, epochKey(byte)] as const),
  )
const pair = encodePair(new Uint8Array(16).fill(3) as RecordId, new Uint8Array(16) as Timestamp)

describe('pairHash', () => {
  it('is BLAKE2b-256 under the subkey of the newest epoch', () => {
    const key = derive('epochFingerprint', epochKey(5))
    expect(keyringOf(4, 5).pairHash(pair)).toEqual(blake2b(32, pair, key.bytes))
  })

  it('is the same whatever epochs came before, and another one after the next', () => {
    const hash = formatHex(keyringOf(5).pairHash(pair))
    expect(formatHex(keyringOf(4, 5).pairHash(pair))).toBe(hash)
    expect(formatHex(keyringOf(5, 6).pairHash(pair))).not.toBe(hash)
  })

  it('is another one for another version', () => {
    const other = pair.with(31, 1)
    expect(keyringOf(5).pairHash(other)).not.toEqual(keyringOf(5).pairHash(pair))
  })

  it('is not to be had once the keyring is wiped', () => {
    const keyring = keyringOf(5)
    keyring.wipe()
    expect(() => keyring.pairHash(pair)).toThrow()
  })
})
