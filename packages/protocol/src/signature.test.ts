/**
 * The strict test in front of every Ed25519 check: the edge cases that libraries disagree on are
 * refused, and nothing that an honest signer makes is. test/vectors/ed25519.json, where it exists,
 * holds the same cases for other implementations.
 */

import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concat, encodeUint64, encodeUtf8 } from './bytes.ts'
import {
  parseHash,
  parseKemPublicKey,
  parseMemberId,
  parseSignature,
  parseSigningPublicKey,
  parseVaultId,
} from './ids.ts'
import {
  checkSignature,
  createSignedBytes,
  isStrictPoint,
  isStrictSignature,
  keychainSignedBytes,
  loginSignedBytes,
  memberProofBytes,
} from './signature.ts'

const count = process.env.SLOW === '1' ? 5_000 : 300
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const PRIME = 2n ** 255n - 19n

/** A number as 32 bytes, little-endian. */
function littleEndian(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse())
}

/** y and the sign of x, as an encoded point. */
const point = (y: bigint, sign = 0n): Uint8Array => littleEndian(y + (sign << 255n))

function powerMod(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = base % PRIME
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % PRIME
    square = (square * square) % PRIME
  }
  return result
}

const inverse = (value: bigint): bigint => powerMod(value, PRIME - 2n)
const modulo = (value: bigint): bigint => ((value % PRIME) + PRIME) % PRIME
const D = modulo(-121665n * inverse(121666n))

/** Edwards addition, RFC 8032 section 5.1.4, in affine coordinates. */
function addPoints([x1, y1]: Point, [x2, y2]: Point): Point {
  const product = modulo(D * x1 * x2 * y1 * y2)
  return [
    modulo((x1 * y2 + x2 * y1) * inverse(modulo(1n + product))),
    modulo((y1 * y2 + x1 * x2) * inverse(modulo(1n - product))),
  ]
}
type Point = readonly [x: bigint, y: bigint]

describe('isStrictPoint', () => {
  const orderEight = Buffer.from(
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'hex',
  )

  it('refuses all eight points of small order, reckoned from one of order eight', () => {
    const y = BigInt(`0x${Buffer.from(orderEight).reverse().toString('hex')}`)
    // x from the curve equation -x^2 + y^2 = 1 + d x^2 y^2; RFC 8032 section 5.1.3.
    const square = modulo((y * y - 1n) * inverse(modulo(D * y * y + 1n)))
    let x = powerMod(square, (PRIME + 3n) / 8n)
    if (modulo(x * x - square) !== 0n) x = modulo(x * powerMod(2n, (PRIME - 1n) / 4n))
    expect(modulo(x * x - square)).toBe(0n)
    const generator: Point = [x, y]
    const encodings = new Set<string>()
    let current: Point = [0n, 1n]
    for (let i = 0; i < 8; i++) {
      const encoded = point(current[1], current[0] & 1n)
      encodings.add(Buffer.from(encoded).toString('hex'))
      expect(isStrictPoint(encoded)).toBe(false)
      current = addPoints(current, generator)
    }
    expect(encodings.size).toBe(8)
    expect(current).toEqual([0n, 1n])
  })

  it('refuses every encoding that is not canonical', () => {
    for (let y = PRIME; y < 2n ** 255n; y++) {
      for (const sign of [0n, 1n]) expect(isStrictPoint(point(y, sign))).toBe(false)
    }
    expect(isStrictPoint(new Uint8Array(32).fill(0xff))).toBe(false)
    // "Minus zero": x is 0 and its sign is set.
    expect(isStrictPoint(point(1n, 1n))).toBe(false)
    expect(isStrictPoint(point(PRIME - 1n, 1n))).toBe(false)
  })

  it('takes their canonical neighbours, whether or not they are on the curve', () => {
    expect(isStrictPoint(point(2n))).toBe(true)
    expect(isStrictPoint(point(PRIME - 2n))).toBe(true)
    expect(isStrictPoint(point(PRIME - 2n, 1n))).toBe(true)
  })

  it('refuses any other size', () => {
    for (const size of [0, 31, 33, 64]) {
      expect(isStrictPoint(new Uint8Array(size).fill(2))).toBe(false)
    }
  })
})

/** A pair of keys and a signature over the message, from Node. */
function signed(message: Uint8Array) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  return {
    signature: parseSignature(new Uint8Array(sign(null, message, privateKey))),
    publicKey: parseSigningPublicKey(new Uint8Array(spki.subarray(SPKI.length))),
  }
}

const verifyNode = (message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean =>
  verify(
    null,
    message,
    { key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' },
    signature,
  )

describe('isStrictSignature', () => {
  it('takes every signature that an honest signer makes', () => {
    for (let i = 0; i < count; i++) {
      const message = encodeUtf8(`message ${i}`)
      const { signature, publicKey } = signed(message)
      expect(isStrictPoint(publicKey)).toBe(true)
      expect(isStrictSignature(signature, publicKey)).toBe(true)
      expect(checkSignature(verifyNode, message, signature, publicKey)).toBe(true)
    }
  })

  it('refuses S of L or more, at the limit too', () => {
    const { signature, publicKey } = signed(encodeUtf8('message'))
    const withS = (s: bigint) => concat(signature.subarray(0, 32), littleEndian(s))
    expect(isStrictSignature(withS(ORDER - 1n), publicKey)).toBe(true)
    expect(isStrictSignature(withS(0n), publicKey)).toBe(true)
    for (const s of [ORDER, ORDER + 1n, 2n ** 253n, 2n ** 256n - 1n]) {
      expect(isStrictSignature(withS(s), publicKey)).toBe(false)
    }
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`)
    expect(isStrictSignature(withS(s + ORDER), publicKey)).toBe(false)
  })

  it('refuses R and A of small order or not canonical', () => {
    const { signature, publicKey } = signed(encodeUtf8('message'))
    for (const bad of [point(0n), point(1n), point(PRIME - 1n), point(PRIME + 3n)]) {
      expect(isStrictSignature(concat(bad, signature.subarray(32)), publicKey)).toBe(false)
      expect(isStrictSignature(signature, bad)).toBe(false)
    }
  })

  it('refuses any other size', () => {
    const { signature, publicKey } = signed(encodeUtf8('message'))
    expect(isStrictSignature(signature.subarray(1), publicKey)).toBe(false)
    expect(isStrictSignature(concat(signature, Uint8Array.of(0)), publicKey)).toBe(false)
    expect(isStrictSignature(signature, publicKey.subarray(1))).toBe(false)
  })
})

describe('checkSignature', () => {
  it('does not ask the library about what is not strict', () => {
    const small = parseSigningPublicKey(point(1n))
    // R and A of order one and S = 0: some libraries take this for any message at all.
    const signature = parseSignature(concat(point(1n), new Uint8Array(32)))
    const asked = () => {
      throw new Error('the library was asked')
    }
    expect(checkSignature(asked, encodeUtf8('anything'), signature, small)).toBe(false)
  })

  it('leaves the rest to the library', () => {
    const { signature, publicKey } = signed(encodeUtf8('one'))
    expect(checkSignature(verifyNode, encodeUtf8('two'), signature, publicKey)).toBe(false)
  })
})

describe('signed strings', () => {
  const vaultId = parseVaultId(new Uint8Array(32).fill(1))
  const memberId = parseMemberId(new Uint8Array(8).fill(2))
  const nonce = new Uint8Array(32).fill(3)
  const keychainHead = parseHash(new Uint8Array(32).fill(4))
  const signingKey = parseSigningPublicKey(new Uint8Array(32).fill(5))
  const kemKey = parseKemPublicKey(new Uint8Array(1216).fill(6))
  const origin = 'https://sync.example'

  it('begin with a label of their own and the vault id, in a fixed layout', () => {
    const body = Uint8Array.of(7, 8)
    expect(keychainSignedBytes(vaultId, body)).toEqual(
      concat(encodeUtf8('blindcopy.keychain.v1'), vaultId, body),
    )
    expect(memberProofBytes(vaultId, { signingKey, kemKey })).toEqual(
      concat(encodeUtf8('blindcopy.member.v1'), vaultId, signingKey, kemKey),
    )
    const login = { vaultId, memberId, nonce, expiresMs: 2 ** 40 + 1, origin }
    expect(loginSignedBytes(login)).toEqual(
      concat(
        encodeUtf8('blindcopy.login.v1'),
        vaultId,
        memberId,
        nonce,
        encodeUint64(2 ** 40 + 1),
        encodeUtf8(origin),
      ),
    )
    const create = { vaultId, memberId, nonce, keychainHead, greatestMs: 9, origin }
    expect(createSignedBytes(create)).toEqual(
      concat(
        encodeUtf8('blindcopy.create.v1'),
        vaultId,
        memberId,
        nonce,
        keychainHead,
        encodeUint64(9),
        encodeUtf8(origin),
      ),
    )
  })

  it('change with each of their parts', () => {
    const login = { vaultId, memberId, nonce, expiresMs: 5, origin }
    const changes = [
      { vaultId: parseVaultId(new Uint8Array(32)) },
      { memberId: parseMemberId(new Uint8Array(8)) },
      { nonce: new Uint8Array(32) },
      { expiresMs: 6 },
      { origin: 'https://sync.example.evil' },
    ]
    const spellings = changes.map((change) =>
      Buffer.from(loginSignedBytes({ ...login, ...change })).toString('hex'),
    )
    spellings.push(Buffer.from(loginSignedBytes(login)).toString('hex'))
    expect(new Set(spellings).size).toBe(changes.length + 1)
  })

  it('have labels of which none begins another', () => {
    const labels = ['keychain', 'member', 'login', 'create', 'checkpoint', 'pairing']
    for (const a of labels) {
      for (const b of labels) {
        if (a !== b) expect(`blindcopy.${a}.v1`.startsWith(`blindcopy.${b}.v1`)).toBe(false)
      }
    }
  })
})
