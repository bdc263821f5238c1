/**
 * One entry in bytes: what is encoded is read again, and every other form is refused.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, encodeUint32 } from './bytes.ts'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import { type MemberId, parseHash, parseMemberId, type Signature } from './ids.ts'
import {
  add,
  after,
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
  randomHash,
  refuses,
  replace,
  revoke,
  root,
  vaultId,
  verifyEd25519,
  verifyingOnce,
} from './keychain.fixture.ts'
import { extendKeychain, keychainHead, validateKeychain } from './keychain.ts'
import {
  encodeKeychainEntry,
  parseKeychainEntry,
  SEALED_EPOCH_BYTES,
  SEALED_NAME_BYTES_MAX,
  WRAP_BYTES,
} from './keychain-entry.ts'
import {
  DEVICES_ACTIVE_MAX,
  KEYCHAIN_ENTRIES_MAX,
  KEYCHAIN_ENTRY_BYTES_MAX,
  RECOVERY_KEYS_ACTIVE_MAX,
  TIME_MS_MAX,
} from './limits.ts'
import { keychainSignedBytes } from './signature.ts'

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
      add(device, { kind: 'recovery' }),
      epoch(7, [device, keysOf(3)], { sealed: [1, 6] }),
      revoke(device, keysOf(3)),
      replace([randomHash(), randomHash()], 9),
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
      changed(base, 1, 5),
      changed(base, 1, 255),
      changed(base, 6, 2),
      entryOf([...items(base).slice(0, 1), 5, ...items(base).slice(2, 6), 'anything', 'at all']),
    ]
    for (const bytes of cases) {
      refuses(() => parseKeychainEntry(bytes), /later version/, unsupported)
    }
    const later = entryOf([1, 5, 3, keychainHead(keychain), device.memberId, 0, device.memberId])
    refuses(() => extendKeychain(keychain, [later], verifyEd25519), /update/, unsupported)
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
    const payload = add(keysOf(5))
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

  it('takes any time that a timestamp holds, and none that no date can be made of', () => {
    const at = (timeMs: number) =>
      entry(after(keychain), device, epoch(2, [device], { sealed: [1] }), { place: { timeMs } })
    expect(parseKeychainEntry(at(TIME_MS_MAX)).timeMs).toBe(TIME_MS_MAX)
    for (const beyond of [TIME_MS_MAX + 1, Number.MAX_SAFE_INTEGER]) {
      refuses(() => parseKeychainEntry(at(beyond)), /a time is beyond/)
    }
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

  it('has room to replace as long a branch as there can be, each entry of it an epoch', () => {
    const hashes = Array.from({ length: KEYCHAIN_ENTRIES_MAX }, (_, i) =>
      parseHash(concat(new Uint8Array(28), encodeUint32(i))),
    )
    const members = Array.from(
      { length: DEVICES_ACTIVE_MAX + RECOVERY_KEYS_ACTIVE_MAX },
      (_, i) => ({
        ...device,
        memberId: parseMemberId(concat(new Uint8Array(4), encodeUint32(i))),
      }),
    )
    const sealed = hashes.map((_, i) => i + 1)
    for (const payload of [
      replace(hashes, KEYCHAIN_ENTRIES_MAX),
      epoch(KEYCHAIN_ENTRIES_MAX + 1, members, { sealed }),
    ]) {
      const bytes = entry(after(keychain), root, payload)
      expect(bytes.length).toBeGreaterThan(KEYCHAIN_ENTRY_BYTES_MAX / 4)
      expect(parseKeychainEntry(bytes).payload.type).toBe(payload.type)
    }
  })

  it('says no more of a later version than its number', () => {
    for (const version of ['x'.repeat(1_000), new Uint8Array(1_000), [1, [2]], { toString: 1 }]) {
      const body = encodeCbor([version, 0, 0, new Uint8Array(32), new Uint8Array(8), 1])
      const bytes = encodeKeychainEntry(body, new Uint8Array(64) as Signature)
      refuses(
        () => parseKeychainEntry(bytes),
        /^keychain entry of a later version .{0,60}$/,
        'keychain-unsupported',
      )
    }
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
  const verifyOnce = verifyingOnce()

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

  it('is refused when a bit of any byte of a revocation or a replacement is changed', () => {
    const revoked = grow(
      keychain,
      [root, add(keysOf(60))],
      [device, revoke(keysOf(60))],
      [device, epoch(2, [device], { sealed: [1] })],
    )
    const replaced = grow(
      keychain,
      [root, replace([keychainHead(revoked)], 2)],
      [root, epoch(3, [device], { sealed: [1, 2] })],
    )
    // The revocation, the replacement and the epoch that seals two: the others were changed above.
    for (const [chain, at] of [
      [revoked, good.length + 1],
      [replaced, good.length],
      [replaced, good.length + 1],
    ] as const) {
      const bytes = chain.entries[at] as Uint8Array
      for (let i = 0; i < bytes.length; i++) {
        const changed = bytes.with(i, (bytes[i] ?? 0) ^ (1 << (i % 8)))
        const entries = chain.entries.with(at, changed).slice(good.length)
        if (!refused(() => extendKeychain(keychain, entries, verifyOnce))) {
          throw new Error(`entry ${at} was taken with byte ${i} changed`)
        }
      }
    }
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
