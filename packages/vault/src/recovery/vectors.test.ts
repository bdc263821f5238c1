/**
 * recovery.json through the code: what opens gives what is written, and is made again to the letter
 * from the same randomness; what is refused has its code. Never generate it again to make this
 * pass.
 */
import { readFileSync } from 'node:fs'
import { formatHex, type Hash, sha256, type VaultId } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { parsePhrase } from '../phrase.ts'
import { deriveRoot } from '../root.ts'
import { Secret } from '../secret.ts'
import { codeOf, codeOfAsync, fixedRandom } from '../vault.fixture.ts'
import {
  decodeRecoveryFile,
  decodeRecoveryFileWithin,
  encodeRecoveryFileWith,
} from './recovery-file.ts'
import { recoveryKeysOf, recoveryVaultProof } from './recovery-key.ts'
import { formatShare, parseShare } from './share.ts'
import { combineShares } from './shares.ts'

type Common = { kind: string; name: string; expect: string; seed: string; vaultId: string }
type PhraseCase = Common & { phrase: string; root: string }
type KeyCase = Common & {
  memberId: string
  signingKey: string
  kemKeyHash: string
  vaultProof: string
}
type FileCase = Common & {
  parameters: { passes: number; memoryKib: number }
  passphrase: string
  random?: string
  keychainHead: string
  keychainLength: number
  madeAtMs: number
  remote: string
  text: string
}
type ShareCase = Common & { words: string[] }

const { cases } = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/recovery.json', import.meta.url), 'utf8'),
) as { cases: Common[] }
const casesOf = <Case extends Common>(kind: string) =>
  cases.filter((vector) => vector.kind === kind) as Case[]
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const seedOf = ({ seed }: Common) => new Secret('RecoverySeed', bytesOf(seed))

describe('recovery.json', () => {
  it('holds at least as many refusals as successes, of each kind', () => {
    for (const kinds of [['phrase'], ['key', 'proof'], ['file'], ['shares']]) {
      const all = kinds.flatMap((kind) => casesOf(kind))
      const good = all.filter((vector) => /^(opens|derives)$/.test(vector.expect)).length
      expect(good).toBeGreaterThan(0)
      expect(all.length - good).toBeGreaterThanOrEqual(good)
    }
  })

  it.each(casesOf<PhraseCase>('phrase'))('phrase: $name: $expect', (vector) => {
    if (vector.expect !== 'opens') {
      expect(codeOf(() => parsePhrase(vector.phrase))).toBe(vector.expect)
      return
    }
    const rootSecret = parsePhrase(vector.phrase)
    expect(formatHex(rootSecret.bytes)).toBe(vector.root)
    expect(formatHex(deriveRoot(rootSecret).vaultId)).toBe(vector.vaultId)
  })

  it.each(casesOf<KeyCase>('key'))('key: $name: $expect', (vector) => {
    const keys = recoveryKeysOf(seedOf(vector))
    const proof = recoveryVaultProof(seedOf(vector), bytesOf(vector.vaultId) as VaultId)
    for (const [bytes, hex] of [
      [keys.memberId, vector.memberId],
      [keys.signingKey, vector.signingKey],
      [sha256(keys.kemKey), vector.kemKeyHash],
      [proof, vector.vaultProof],
    ] as const) {
      expect(formatHex(bytes) === hex).toBe(vector.expect === 'derives')
    }
  })

  it.each(casesOf<KeyCase>('proof'))('proof: $name: $expect', (vector) => {
    const proof = recoveryVaultProof(seedOf(vector), bytesOf(vector.vaultId) as VaultId)
    expect(formatHex(proof)).not.toBe(vector.vaultProof)
  })

  it.each(casesOf<FileCase>('file'))('file: $name: $expect', async (vector) => {
    const bounds = { floor: vector.parameters, ceiling: { passes: 4, memoryKib: 64 } }
    const decoding = decodeRecoveryFileWithin(bounds, vector.text, vector.passphrase)
    if (vector.expect !== 'opens') {
      expect(await codeOfAsync(decoding)).toBe(vector.expect)
      return
    }
    const file = await decoding
    expect({
      ...file,
      seed: formatHex(file.seed.bytes),
      vaultId: formatHex(file.vaultId),
      keychainHead: formatHex(file.keychainHead),
    }).toEqual({
      seed: vector.seed,
      vaultId: vector.vaultId,
      keychainHead: vector.keychainHead,
      keychainLength: vector.keychainLength,
      madeAtMs: vector.madeAtMs,
      remote: vector.remote,
    })
    const real = decodeRecoveryFile(vector.text, vector.passphrase)
    expect(await codeOfAsync(real)).toBe('parameters-refused')
    if (vector.random === undefined) return
    const { parameters, passphrase, random } = vector
    const again = { ...file, keychainHead: bytesOf(vector.keychainHead) as Hash }
    expect(await encodeRecoveryFileWith(parameters, again, passphrase, fixedRandom(random))).toBe(
      vector.text,
    )
  })

  it.each(casesOf<ShareCase>('shares'))('shares: $name: $expect', async (vector) => {
    const combining = combineShares(vector.words)
    if (vector.expect !== 'opens') {
      expect(await codeOfAsync(combining)).toBe(vector.expect)
      return
    }
    expect(formatHex((await combining).bytes)).toBe(vector.seed)
    for (const words of vector.words) {
      expect(formatShare(parseShare(words))).toBe(words.toLowerCase())
    }
  })
})
