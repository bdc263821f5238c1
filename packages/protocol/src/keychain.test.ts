/**
 * The rules of the keychain. Each has a test that breaks this one rule in a chain that is otherwise
 * good, signed with real keys, and is refused; the reason is asserted so that no other rule hides
 * it.
 */

import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUint32 } from './bytes.ts'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import { sha256 } from './hash.ts'
import {
  type Hash,
  type MemberId,
  memberIdOf,
  parseHash,
  parseKemPublicKey,
  parseMemberId,
  parseSignature,
  parseSigningPublicKey,
  type SigningPublicKey,
  type VaultId,
  vaultIdOf,
} from './ids.ts'
import {
  extendKeychain,
  findMember,
  type Keychain,
  keychainHead,
  newestEpoch,
  signingKeyOf,
  validateKeychain,
} from './keychain.ts'
import {
  encodeKeychainBody,
  encodeKeychainEntry,
  HASH_NONE,
  type KeychainPayload,
  type KeychainPlace,
  type MemberKind,
  parseKeychainEntry,
  SEALED_EPOCH_BYTES,
  SEALED_NAME_BYTES_MAX,
  WRAP_BYTES,
} from './keychain-entry.ts'
import {
  DEVICES_ACTIVE_MAX,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  KEYCHAIN_ENTRY_BYTES_MAX,
  RECOVERY_KEYS_ACTIVE_MAX,
} from './limits.ts'
import { keychainSignedBytes, memberProofBytes, type VerifySignature } from './signature.ts'

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

const verifyEd25519: VerifySignature = (message, signature, publicKey) => {
  const key = Buffer.concat([SPKI, publicKey])
  return verify(null, message, { key, format: 'der', type: 'spki' }, signature)
}

/** The key pairs of one member, from a number. */
function keysOf(number: number) {
  const seed = concat(new Uint8Array(28), encodeUint32(number))
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const signingKey = parseSigningPublicKey(new Uint8Array(spki.subarray(SPKI.length)))
  return {
    signingKey,
    kemKey: parseKemPublicKey(new Uint8Array(randomBytes(1216))),
    memberId: memberIdOf(signingKey),
    sign: (message: Uint8Array) => parseSignature(new Uint8Array(sign(null, message, privateKey))),
  }
}
type Keys = ReturnType<typeof keysOf>

const root = keysOf(1)
const device = keysOf(2)
const vaultId = vaultIdOf(root.signingKey, root.kemKey)
const wrap = () => new Uint8Array(randomBytes(WRAP_BYTES))
const random = (size: number) => new Uint8Array(randomBytes(size))

const genesis = (keys: Keys = root): KeychainPayload => ({
  type: 'genesis',
  rootSigningKey: keys.signingKey,
  rootKemKey: keys.kemKey,
  idKeyCommitment: parseHash(random(32)),
})

type AddOptions = { kind?: MemberKind; wrap?: Uint8Array | null; vault?: VaultId }
function add(
  keys: Keys,
  { kind = 'device', wrap: given = null, vault = vaultId }: AddOptions = {},
) {
  return {
    type: 'member-add',
    kind,
    signingKey: keys.signingKey,
    kemKey: keys.kemKey,
    proof: keys.sign(memberProofBytes(vault, keys)),
    sealedName: random(40),
    wrap: given,
  } satisfies KeychainPayload
}

type EpochOptions = { sealed?: readonly number[] }
function epoch(number: number, members: readonly Keys[], { sealed = [] }: EpochOptions = {}) {
  return {
    type: 'epoch',
    epoch: number,
    commitment: parseHash(random(32)),
    wraps: members.map(({ memberId }) => ({ memberId, wrap: wrap() })),
    rootWrap: wrap(),
    sealedEpochs: sealed.map((older) => ({ epoch: older, sealed: random(SEALED_EPOCH_BYTES) })),
  } satisfies KeychainPayload
}

type EntryOptions = { place?: Partial<KeychainPlace>; vault?: VaultId }

/** A good entry but for what `options.place` says. */
function entry(
  at: { index: number; previous: Hash },
  signer: Keys,
  payload: KeychainPayload,
  { place, vault = vaultId }: EntryOptions = {},
): Uint8Array {
  const whole = { ...at, signer: signer.memberId, timeMs: 1_795_132_800_000, ...place }
  const body = encodeKeychainBody(whole, payload)
  return encodeKeychainEntry(body, signer.sign(keychainSignedBytes(vault, body)))
}

const START = { index: 0, previous: HASH_NONE }
const after = (keychain: Keychain) => ({
  index: keychain.hashes.length,
  previous: keychainHead(keychain),
})

/** Genesis, one device added by the root, epoch 1 by the device. */
function goodEntries(): Uint8Array[] {
  const entries = [entry(START, root, genesis())]
  const append = (signer: Keys, payload: KeychainPayload) => {
    const place = after(validateKeychain(vaultId, entries, verifyEd25519))
    entries.push(entry(place, signer, payload))
  }
  append(root, add(device))
  append(device, epoch(1, [device]))
  return entries
}

const good = goodEntries()
const keychain = validateKeychain(vaultId, good, verifyEd25519)

function extended(payload: KeychainPayload, signer = device, options: EntryOptions = {}): Keychain {
  const bytes = entry(after(keychain), signer, payload, options)
  return extendKeychain(keychain, [bytes], verifyEd25519)
}

function refuses(act: () => unknown, reason: RegExp, code = 'keychain-invalid') {
  expect(act).toThrowError(ProtocolError)
  expect(act).toThrowError(expect.objectContaining({ code }))
  expect(act).toThrowError(reason)
}

describe('validateKeychain', () => {
  it('reads members, epochs and hashes out of a good chain', () => {
    expect(keychain.root.memberId).toEqual(root.memberId)
    expect(findMember(keychain, device.memberId)).toMatchObject({
      kind: 'device',
      entryIndex: 1,
      addedMs: 1_795_132_800_000,
      status: 'active',
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
    const longer = extended(add(newcomer, { wrap: wrap() }))
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
    refuses(() => extended(add(stranger, { wrap: wrap() }), stranger), /not an active member/)
  })

  it('refuses the signature of another member', () => {
    const place = { signer: root.memberId }
    refuses(
      () => extended(add(keysOf(5), { wrap: wrap() }), device, { place }),
      /signature .* wrong/,
    )
  })

  it('refuses a signature with a bit changed anywhere, and what verify alone would take', () => {
    const bytes = entry(after(keychain), device, add(keysOf(5), { wrap: wrap() }))
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

  it('refuses one entry more than the limit', () => {
    const hashes = new Array<Hash>(KEYCHAIN_ENTRIES_MAX - 1).fill(keychainHead(keychain))
    const payload = add(keysOf(5), { wrap: wrap() })
    const almost = { ...keychain, hashes }
    const last = entry(after(almost), device, payload)
    const full = extendKeychain(almost, [last], verifyEd25519)
    expect(full.hashes).toHaveLength(KEYCHAIN_ENTRIES_MAX)
    const beyond = entry(after(full), device, add(keysOf(6), { wrap: wrap() }))
    refuses(() => extendKeychain(full, [beyond], verifyEd25519), /too many entries/)
  })

  it('refuses one byte more than the limit', () => {
    const bytes = entry(after(keychain), device, add(keysOf(5), { wrap: wrap() }))
    const almost = { ...keychain, sizeBytes: KEYCHAIN_BYTES_MAX - bytes.length }
    expect(extendKeychain(almost, [bytes], verifyEd25519).sizeBytes).toBe(KEYCHAIN_BYTES_MAX)
    const beyond = { ...keychain, sizeBytes: KEYCHAIN_BYTES_MAX - bytes.length + 1 }
    refuses(() => extendKeychain(beyond, [bytes], verifyEd25519), /too large/)
  })
})

describe('member-add', () => {
  it('is taken from the root, a device and a recovery key', () => {
    const recovery = keysOf(6)
    const withRecovery = extended(add(recovery, { kind: 'recovery', wrap: wrap() }), root)
    const bytes = entry(after(withRecovery), recovery, add(keysOf(7), { wrap: wrap() }))
    const longer = extendKeychain(withRecovery, [bytes], verifyEd25519)
    expect([...longer.membersById.values()].map(({ kind }) => kind)).toEqual([
      'device',
      'recovery',
      'device',
    ])
  })

  it('is refused for an id that is taken: the same key, or the root', () => {
    refuses(() => extended(add(device, { wrap: wrap() })), /id .* taken/)
    refuses(() => extended(add(root, { wrap: wrap() })), /id .* taken/)
  })

  it('is refused for another key whose id has the same first four bytes', () => {
    // Found by search: two keys whose ids both begin with d0175a60.
    const [one, two] = [keysOf(34_433), keysOf(170_398)]
    expect(one.memberId.subarray(0, 4)).toEqual(two.memberId.subarray(0, 4))
    expect(one.memberId).not.toEqual(two.memberId)
    const withOne = extended(add(one, { wrap: wrap() }))
    const bytes = entry(after(withOne), device, add(two, { wrap: wrap() }))
    refuses(() => extendKeychain(withOne, [bytes], verifyEd25519), /id .* taken/)
  })

  it('is refused for a key of small order, which anybody can sign for', () => {
    const signingKey = parseSigningPublicKey(Uint8Array.of(1, ...new Uint8Array(31)))
    const payload = { ...add(keysOf(5), { wrap: wrap() }), signingKey }
    const bytes = entry(after(keychain), device, payload)
    refuses(
      () =>
        extendKeychain(keychain, [bytes], (m, s, k) => k === signingKey || verifyEd25519(m, s, k)),
      /not a safe point/,
    )
  })

  it('is refused without a proof that the member holds its key', () => {
    const newcomer = keysOf(5)
    const payload = add(newcomer, { wrap: wrap() })
    const proofs = {
      'of another key': device.sign(memberProofBytes(vaultId, newcomer)),
      'for another vault': add(newcomer, {
        vault: vaultIdOf(device.signingKey, root.kemKey),
      }).proof,
      'for another KEM key': newcomer.sign(
        memberProofBytes(vaultId, { ...newcomer, kemKey: device.kemKey }),
      ),
      'of nothing': parseSignature(new Uint8Array(64)),
    }
    for (const proof of Object.values(proofs)) {
      refuses(() => extended({ ...payload, proof }), /does not prove/)
    }
  })

  it('is refused without the keys of the newest epoch, and with keys before there is one', () => {
    refuses(() => extended(add(keysOf(5), { wrap: null })), /without the keys of the newest epoch/)
    const start = validateKeychain(vaultId, good.slice(0, 1), verifyEd25519)
    const bytes = entry(after(start), root, add(device, { wrap: wrap() }))
    refuses(() => extendKeychain(start, [bytes], verifyEd25519), /keys of the newest epoch/)
  })

  it.each<[MemberKind, number]>([
    ['device', DEVICES_ACTIVE_MAX],
    ['recovery', RECOVERY_KEYS_ACTIVE_MAX],
  ])('is refused beyond the greatest number of one kind: %s, %i', (kind, countMax) => {
    let chain = validateKeychain(vaultId, good.slice(0, 1), verifyEd25519)
    const append = (number: number, which: MemberKind) => {
      const bytes = entry(after(chain), root, add(keysOf(100 + number), { kind: which }))
      chain = extendKeychain(chain, [bytes], verifyEd25519)
    }
    for (let number = 0; number < countMax; number++) append(number, kind)
    expect(chain.membersById.size).toBe(countMax)
    refuses(() => append(countMax, kind), new RegExp(`there are ${countMax} members`))
    append(countMax, kind === 'device' ? 'recovery' : 'device')
  })
})

describe('epoch', () => {
  it('may leave numbers out, and may seal more than the one before', () => {
    const third = extended(epoch(3, [device], { sealed: [1] }))
    expect(newestEpoch(third)?.epoch).toBe(3)
    const bytes = entry(after(third), root, epoch(9, [device], { sealed: [1, 3] }))
    const ninth = extendKeychain(third, [bytes], verifyEd25519)
    expect(ninth.epochs.map((one) => one.epoch)).toEqual([1, 3, 9])
  })

  it('is refused when its number does not rise', () => {
    refuses(() => extended(epoch(1, [device], { sealed: [1] })), /does not rise/)
    refuses(() => extended(epoch(0, [device], { sealed: [1] })), /does not rise/)
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    const zero = entry(after(start), device, epoch(0, [device]))
    refuses(() => extendKeychain(start, [zero], verifyEd25519), /does not rise/)
  })

  it('is refused when its number does not fit an envelope', () => {
    const last = extended(epoch(0xffff_ffff, [device], { sealed: [1] }))
    expect(newestEpoch(last)?.epoch).toBe(0xffff_ffff)
    refuses(() => extended(epoch(2 ** 32, [device], { sealed: [1] })), /does not rise/)
  })

  it('is refused unless it is wrapped to exactly the active members', () => {
    const sealed = [1]
    const reason = /exactly the active members/
    refuses(() => extended(epoch(2, [], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, keysOf(5)], { sealed })), reason)
    refuses(() => extended(epoch(2, [keysOf(5)], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, device], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, root], { sealed })), reason)
  })

  it('is refused when it does not seal the one before it', () => {
    refuses(() => extended(epoch(2, [device])), /does not seal the one before/)
    const second = extended(epoch(2, [device], { sealed: [1] }))
    const third = entry(after(second), device, epoch(3, [device], { sealed: [1] }))
    refuses(() => extendKeychain(second, [third], verifyEd25519), /does not seal the one before/)
  })

  it('is refused when it seals one twice, itself, or one that is not older', () => {
    for (const sealed of [
      [1, 1],
      [1, 2],
      [1, 3],
    ]) {
      refuses(() => extended(epoch(2, [device], { sealed })), /twice, or one that is not older/)
    }
  })

  it('is refused as the first when it seals another', () => {
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    const bytes = entry(after(start), device, epoch(2, [device], { sealed: [1] }))
    refuses(() => extendKeychain(start, [bytes], verifyEd25519), /first epoch seals another/)
  })
})

describe('parseKeychainEntry', () => {
  const items = (bytes: Uint8Array) => {
    const [body] = decodeCbor(bytes) as [Uint8Array, Uint8Array]
    return decodeCbor(body) as unknown[]
  }
  /** An entry of the device whose body is these items. */
  const entryOf = (body: readonly unknown[], signer = device) => {
    const encoded = encodeCbor(body)
    return encodeKeychainEntry(encoded, signer.sign(keychainSignedBytes(vaultId, encoded)))
  }
  const changed = (bytes: Uint8Array, at: number, value: unknown) =>
    entryOf(items(bytes).map((item, i) => (i === at ? value : item)))

  it('gives back what was encoded, in bytes of its own', () => {
    const payloads = [
      genesis(),
      add(device),
      add(device, { kind: 'recovery', wrap: wrap() }),
      epoch(7, [device, keysOf(3)], { sealed: [1, 6] }),
    ]
    for (const payload of payloads) {
      const bytes = entry({ index: 5, previous: parseHash(random(32)) }, device, payload)
      const parsed = parseKeychainEntry(bytes)
      expect(parsed).toMatchObject({ index: 5, payload, timeMs: 1_795_132_800_000 })
      expect(encodeKeychainEntry(parsed.body, parsed.signature)).toEqual(bytes)
      const kept = parsed.body.slice()
      bytes.fill(0)
      expect(parsed.body).toEqual(kept)
      expect(parsed.payload).toEqual(payload)
    }
  })

  it('refuses the entries of a later time as keychain-unsupported', () => {
    const base = good[1] as Uint8Array
    const unsupported = 'keychain-unsupported'
    const cases = [
      changed(base, 0, 2),
      changed(base, 1, 2),
      changed(base, 1, 4),
      changed(base, 6, 2),
      entryOf([...items(base).slice(0, 1), 2, ...items(base).slice(2, 6), 'anything', 'at all']),
    ]
    for (const bytes of cases) {
      refuses(() => parseKeychainEntry(bytes), /later version/, unsupported)
    }
    const revoke = entryOf([1, 2, 3, keychainHead(keychain), device.memberId, 0, device.memberId])
    refuses(() => extendKeychain(keychain, [revoke], verifyEd25519), /update/, unsupported)
  })

  it('refuses any item of another type or size', () => {
    for (const bytes of good) {
      const count = items(bytes).length
      for (let at = 0; at < count; at++) {
        for (const value of ['text', null, -1, 1.5, random(31), [], {}]) {
          const original = items(bytes)[at]
          if (Array.isArray(original) && Array.isArray(value)) continue
          if (at === 0 || (original === null && value === null)) continue
          // A sealed name may be any bytes, and a wrap may be null.
          if (items(bytes)[1] === 1 && at === 10 && value instanceof Uint8Array) continue
          refuses(() => parseKeychainEntry(changed(bytes, at, value)), /keychain entry/)
        }
      }
    }
  })

  it('refuses one item too many and one too few', () => {
    for (const bytes of good) {
      refuses(() => parseKeychainEntry(entryOf([...items(bytes), null])), /./)
      refuses(() => parseKeychainEntry(entryOf(items(bytes).slice(0, -1))), /./)
    }
  })

  it('refuses wraps and seals of a wrong size', () => {
    const sized = epoch(2, [device], { sealed: [1] })
    const [one] = sized.wraps
    const [seal] = sized.sealedEpochs
    for (const difference of [-1, 1]) {
      const wrong = new Uint8Array(WRAP_BYTES + difference)
      const wrongSeal = { epoch: 1, sealed: new Uint8Array(SEALED_EPOCH_BYTES + difference) }
      for (const payload of [
        { ...sized, rootWrap: wrong },
        { ...sized, wraps: [{ memberId: one?.memberId as MemberId, wrap: wrong }] },
        { ...sized, sealedEpochs: [wrongSeal] },
        add(keysOf(5), { wrap: wrong }),
      ]) {
        refuses(() => extended(payload), /wrong length/)
      }
    }
    expect(seal?.sealed).toHaveLength(72)
  })

  it('takes a sealed name of the greatest size, and refuses one byte more', () => {
    const payload = add(keysOf(5), { wrap: wrap() })
    expect(() => extended({ ...payload, sealedName: random(SEALED_NAME_BYTES_MAX) })).not.toThrow()
    refuses(
      () => extended({ ...payload, sealedName: random(SEALED_NAME_BYTES_MAX + 1) }),
      /name is too long/,
    )
  })

  it('refuses an entry of one byte more than the limit before it reads it', () => {
    const beyond = new Uint8Array(KEYCHAIN_ENTRY_BYTES_MAX + 1)
    refuses(() => parseKeychainEntry(beyond), /too large/)
    refuses(() => parseKeychainEntry(beyond.subarray(1)), /wrong form/)
  })

  it('has room for the greatest number of members', () => {
    const members = Array.from(
      { length: DEVICES_ACTIVE_MAX + RECOVERY_KEYS_ACTIVE_MAX },
      (_, i) => ({
        ...device,
        memberId: parseMemberId(concat(new Uint8Array(4), encodeUint32(i))),
      }),
    )
    const bytes = entry(after(keychain), device, epoch(2, members, { sealed: [1] }))
    expect(bytes.length).toBeLessThan(KEYCHAIN_ENTRY_BYTES_MAX)
    expect(() => parseKeychainEntry(bytes)).not.toThrow()
  })

  it('refuses a second spelling of the same body and signature, which would hash the same', () => {
    const [body, signature] = decodeCbor(good[1] as Uint8Array) as [Uint8Array, Uint8Array]
    const long = (bytes: Uint8Array) =>
      concat(Uint8Array.of(0x5a), encodeUint32(bytes.length), bytes)
    const spellings = [
      concat(Uint8Array.of(0x82), long(body), encodeCbor(signature)),
      concat(Uint8Array.of(0x82), encodeCbor(body), long(signature)),
      concat(Uint8Array.of(0x98, 2), encodeCbor(body), encodeCbor(signature)),
    ]
    for (const bytes of spellings) refuses(() => parseKeychainEntry(bytes), /one way/)
  })
})

describe('a chain in the hands of a hostile remote', () => {
  /** What is left to learn is which of the two keychain codes it is. */
  const refused = (act: () => unknown) => {
    try {
      act()
    } catch (error) {
      return error instanceof ProtocolError && error.code.startsWith('keychain-')
    }
    return false
  }
  // Real signatures were checked above; here only the form and the bytes that are signed matter.
  const seen = new Map<string, boolean>()
  const verifyOnce: VerifySignature = (message, signature, publicKey: SigningPublicKey) => {
    const id = Buffer.from(sha256(concat(message, signature, publicKey))).toString('hex')
    const known = seen.get(id) ?? verifyEd25519(message, signature, publicKey)
    seen.set(id, known)
    return known
  }

  it('is refused when an entry is cut at any byte', () => {
    good.forEach((bytes, at) => {
      for (let size = 0; size < bytes.length; size++) {
        const entries = good.map((one, i) => (i === at ? bytes.subarray(0, size) : one))
        if (!refused(() => validateKeychain(vaultId, entries, verifyOnce))) {
          throw new Error(`entry ${at} cut to ${size} bytes was taken`)
        }
      }
    })
  })

  it('is refused when a bit of any byte is changed', () => {
    good.forEach((bytes, at) => {
      for (let i = 0; i < bytes.length; i++) {
        const changed = bytes.slice()
        changed[i] = (changed[i] ?? 0) ^ (1 << (i % 8))
        const entries = good.map((one, j) => (j === at ? changed : one))
        if (!refused(() => validateKeychain(vaultId, entries, verifyOnce))) {
          throw new Error(`entry ${at} was taken with byte ${i} changed`)
        }
      }
    })
  })

  it('is refused for arbitrary bytes, with a keychain code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(refused(() => parseKeychainEntry(bytes))).toBe(true)
      }),
      { numRuns: process.env.SLOW === '1' ? 20_000 : 500 },
    )
  })
})
