/**
 * A whole chain and its extension: places, hashes, signatures and limits. Each test breaks one rule
 * in a chain that is otherwise good, and asserts the reason so that no other rule hides it.
 */
import { describe, expect, it } from 'vitest'
import { type Hash, parseHash, vaultIdOf } from './ids.ts'
import {
  add,
  after,
  append,
  device,
  entry,
  epoch,
  extended,
  genesis,
  good,
  grow,
  keychain,
  keysOf,
  random,
  refuses,
  revoke,
  root,
  START,
  vaultId,
  verifyEd25519,
} from './keychain.fixture.ts'
import {
  extendKeychain,
  findMember,
  type Keychain,
  keychainHead,
  newestEpoch,
  signingKeyOf,
  validateKeychain,
} from './keychain.ts'
import { HASH_NONE, parseKeychainEntry } from './keychain-entry.ts'
import {
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_BYTES_RESERVED,
  KEYCHAIN_ENTRIES_MAX,
  KEYCHAIN_ENTRIES_RESERVED,
} from './limits.ts'

describe('validateKeychain', () => {
  it('reads members, epochs and hashes out of a good chain', () => {
    expect(keychain.root.memberId).toEqual(root.memberId)
    expect(findMember(keychain, device.memberId)).toMatchObject({
      kind: 'device',
      entryIndex: 1,
      addedMs: 1_795_132_800_000,
      vaultProof: null,
      wrap: null,
      addedBy: root.memberId,
      kemKey: device.kemKey,
    })
    expect(findMember(keychain, root.memberId)).toBeUndefined()
    expect(signingKeyOf(keychain, root.memberId)).toEqual(root.signingKey)
    expect(signingKeyOf(keychain, device.memberId)).toEqual(device.signingKey)
    expect(signingKeyOf(keychain, keysOf(3).memberId)).toBeUndefined()
    expect(newestEpoch(keychain)).toMatchObject({ epoch: 1, entryIndex: 2 })
    expect(keychain.hashes).toEqual(good.map((bytes) => parseKeychainEntry(bytes).hash))
    expect(keychain.sizeBytes).toBe(good.reduce((size, bytes) => size + bytes.length, 0))
  })

  it('refuses an empty chain', () => {
    refuses(() => validateKeychain(vaultId, [], verifyEd25519), /empty/)
  })

  it('refuses a chain that begins with anything but genesis', () => {
    const first = entry(START, root, add(device))
    refuses(() => validateKeychain(vaultId, [first], verifyEd25519), /begin with genesis/)
  })

  it('refuses a genesis that is not at the first place', () => {
    const late = entry({ ...START, index: 1 }, root, genesis())
    refuses(() => validateKeychain(vaultId, [late], verifyEd25519), /genesis is not first/)
    const previous = entry({ ...START, previous: parseHash(random(32)) }, root, genesis())
    refuses(() => validateKeychain(vaultId, [previous], verifyEd25519), /genesis is not first/)
  })

  it('refuses the root keys of another vault, each of the two', () => {
    const foreign = entry(START, keysOf(3), genesis(keysOf(3)))
    refuses(() => validateKeychain(vaultId, [foreign], verifyEd25519), /not those of this vault/)
    const otherKem = { ...root, kemKey: keysOf(1).kemKey }
    const half = entry(START, otherKem, genesis(otherKem))
    refuses(() => validateKeychain(vaultId, [half], verifyEd25519), /not those of this vault/)
  })

  it('refuses a genesis that somebody else signed', () => {
    const named = entry(START, keysOf(3), genesis())
    refuses(() => validateKeychain(vaultId, [named], verifyEd25519), /not an active member/)
    const place = { signer: root.memberId }
    const forged = entry(START, keysOf(3), genesis(), { place })
    refuses(() => validateKeychain(vaultId, [forged], verifyEd25519), /signature .* wrong/)
  })

  it('refuses signatures that were made for another vault', () => {
    const vault = vaultIdOf(keysOf(3).signingKey, root.kemKey)
    const first = entry(START, root, genesis(), { vault })
    refuses(() => validateKeychain(vaultId, [first], verifyEd25519), /signature .* wrong/)
  })
})

describe('extendKeychain', () => {
  it('leaves the chain it extends as it was', () => {
    const newcomer = keysOf(4)
    const longer = extended(add(newcomer))
    expect(findMember(longer, newcomer.memberId)).toBeDefined()
    expect(findMember(keychain, newcomer.memberId)).toBeUndefined()
    expect(keychain.hashes).toHaveLength(3)
    expect(longer.hashes).toHaveLength(4)
  })

  it('comes to the same as checking the whole chain', () => {
    for (let size = 1; size < good.length; size++) {
      const part = validateKeychain(vaultId, good.slice(0, size), verifyEd25519)
      expect(extendKeychain(part, good.slice(size), verifyEd25519)).toEqual(keychain)
    }
  })

  it('refuses the wrong index', () => {
    for (const index of [0, 2, 4]) {
      const act = () => extended(epoch(2, [device], { sealed: [1] }), device, { place: { index } })
      refuses(act, /wrong index/)
    }
  })

  it('refuses an entry that does not follow the one before it', () => {
    for (const previous of [HASH_NONE, keychain.hashes[1] as Hash, parseHash(random(32))]) {
      const place = { previous }
      const act = () => extended(epoch(2, [device], { sealed: [1] }), device, { place })
      refuses(act, /does not follow/)
    }
  })

  it('refuses entries left out, repeated or in another order', () => {
    const [first, second, third] = good as [Uint8Array, Uint8Array, Uint8Array]
    for (const entries of [
      [first, third],
      [first, third, second],
      [first, second, second],
      [second, third],
      [first, first],
    ]) {
      expect(() => validateKeychain(vaultId, entries, verifyEd25519)).toThrowError(
        expect.objectContaining({ code: 'keychain-invalid' }),
      )
    }
  })

  it('refuses a signer who is no member', () => {
    const stranger = keysOf(5)
    refuses(() => extended(add(stranger), stranger), /not an active member/)
  })

  it('refuses the signature of another member', () => {
    const place = { signer: root.memberId }
    refuses(() => extended(add(keysOf(5)), device, { place }), /signature .* wrong/)
  })

  it('refuses a signature with a bit changed anywhere, and what verify alone would take', () => {
    const bytes = entry(after(keychain), device, add(keysOf(5)))
    for (let i = bytes.length - 64; i < bytes.length; i++) {
      const changed = bytes.slice()
      changed[i] = (changed[i] ?? 0) ^ 1
      refuses(() => extendKeychain(keychain, [changed], verifyEd25519), /signature .* wrong/)
    }
    const zero = bytes.slice().fill(0, bytes.length - 64)
    refuses(() => extendKeychain(keychain, [zero], () => true), /signature .* wrong/)
  })

  it('refuses a second genesis', () => {
    refuses(() => extended(genesis(), root), /genesis comes twice/)
    refuses(() => extended(genesis(), device), /not signed by the root/)
  })

  /** As if it had so many entries; the last of them are real. */
  const long = (chain: Keychain, length: number): Keychain => ({
    ...chain,
    hashes: new Array<Hash>(length).fill(keychainHead(chain)),
  })

  it('refuses one entry more than the limit', () => {
    const almost = long(keychain, KEYCHAIN_ENTRIES_MAX - KEYCHAIN_ENTRIES_RESERVED - 1)
    const full = grow(almost, [device, add(keysOf(5))])
    expect(full.hashes).toHaveLength(KEYCHAIN_ENTRIES_MAX - KEYCHAIN_ENTRIES_RESERVED)
    refuses(() => grow(full, [device, add(keysOf(6))]), /too many entries/)
    refuses(() => grow(full, [device, epoch(2, [device, keysOf(5)])]), /too many entries/)
  })

  it('leaves room behind it for revocations, their epochs and the root, up to the last entry', () => {
    const sealed = [1]
    const pair = grow(keychain, [device, add(keysOf(5))])
    const full = long(pair, KEYCHAIN_ENTRIES_MAX - 3)
    const settled = grow(
      full,
      [device, revoke(keysOf(5))],
      [device, epoch(2, [device], { sealed })],
    )
    expect(settled.hashes).toHaveLength(KEYCHAIN_ENTRIES_MAX - 1)
    const last = grow(settled, [root, add(keysOf(6))])
    expect(last.hashes).toHaveLength(KEYCHAIN_ENTRIES_MAX)
    const next = epoch(3, [device, keysOf(6)], { sealed: [2] })
    refuses(() => grow(last, [root, next]), /too many entries/)
    refuses(() => append(last, [device, revoke(keysOf(6))]), /too many entries/)
  })

  it('refuses one byte more than the limit', () => {
    for (const [signer, reserved] of [
      [device, KEYCHAIN_BYTES_RESERVED],
      [root, 0],
    ] as const) {
      const bytes = entry(after(keychain), signer, add(keysOf(5)))
      const sizeBytes = KEYCHAIN_BYTES_MAX - reserved - bytes.length
      const almost = { ...keychain, sizeBytes }
      expect(extendKeychain(almost, [bytes], verifyEd25519).sizeBytes).toBe(
        sizeBytes + bytes.length,
      )
      const beyond = { ...keychain, sizeBytes: sizeBytes + 1 }
      refuses(() => extendKeychain(beyond, [bytes], verifyEd25519), /too large/)
    }
  })
})
