/** A recovery key is a member like any other, and shares nothing with the root of equal bytes. */
import { equalBytes, formatHex, type VaultId } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { deriveRoot } from '../root.ts'
import { Secret } from '../secret.ts'
import { verifySignature } from '../sodium.ts'
import { fixedRandom } from '../vault.fixture.ts'
import { generateRecoverySeed, recoveryKeysOf, recoveryVaultProof } from './recovery-key.ts'

const seed = generateRecoverySeed(fixedRandom('recovery key'))
const vaultIdOf = (byte: number) => new Uint8Array(32).fill(byte) as VaultId

describe('recoveryKeysOf', () => {
  it('derives the same working pairs each time, and leaves the seed usable', () => {
    const keys = recoveryKeysOf(seed)
    const again = recoveryKeysOf(seed)
    expect(formatHex(again.signingKey)).toBe(formatHex(keys.signingKey))
    expect(formatHex(again.kemKey)).toBe(formatHex(keys.kemKey))
    expect(formatHex(again.memberId)).toBe(formatHex(keys.memberId))
    const message = Uint8Array.of(1, 2, 3)
    expect(verifySignature(message, keys.sign(message), again.signingKey)).toBe(true)
    keys.wipe()
    expect(() => keys.sign(message)).toThrow()
    expect(seed.bytes).toHaveLength(32)
    expect(formatHex(again.sign(message))).toHaveLength(128)
  })

  it('has nothing in common with the root of the same bytes, or with another seed', () => {
    const keys = recoveryKeysOf(seed)
    const root = deriveRoot(new Secret('RootSecret', seed.bytes.slice()))
    const other = recoveryKeysOf(generateRecoverySeed(fixedRandom('another')))
    for (const different of [root, other]) {
      expect(equalBytes(different.signingKey, keys.signingKey)).toBe(false)
      expect(equalBytes(different.kemKey, keys.kemKey)).toBe(false)
    }
  })
})

describe('recoveryVaultProof', () => {
  it('is 32 bytes that depend on every bit of the seed and of the vault', () => {
    const proofs = new Set([formatHex(recoveryVaultProof(seed, vaultIdOf(1)))])
    expect(proofs.has(formatHex(recoveryVaultProof(seed.copy(), vaultIdOf(1))))).toBe(true)
    for (let bit = 0; bit < 256; bit++) {
      const flip = (bytes: Uint8Array) =>
        bytes.with(bit >> 3, (bytes[bit >> 3] as number) ^ (1 << (bit & 7)))
      const changed = new Secret('RecoverySeed', flip(seed.bytes))
      proofs.add(formatHex(recoveryVaultProof(changed, vaultIdOf(1))))
      proofs.add(formatHex(recoveryVaultProof(seed, flip(vaultIdOf(1)) as VaultId)))
    }
    expect(proofs.size).toBe(513)
    for (const proof of proofs) expect(proof).toHaveLength(64)
  })
})
