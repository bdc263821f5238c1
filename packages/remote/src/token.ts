/**
 * Token: what a session is known by. It says whose it is and until when, and an authenticator shows
 * that this process said so; nothing of it is stored.
 *
 *   vaultId 32 ‖ memberId 8 ‖ expires ms 8 ‖ random 8 ‖ HMAC-SHA-256 32      base64url
 *
 * The key is drawn when the process starts unless one is given: a restart ends all sessions, which
 * costs each device one login. A token alone opens nothing: whoever uses it must still be a member
 * of the vault (session.ts asks at every request).
 */
import {
  concat,
  decodeUint64,
  encodeUint64,
  encodeUtf8,
  equalBytesConstantTime,
  formatBase64Url,
  type Hash,
  type MemberId,
  ProtocolError,
  parseBase64Url,
  SESSION_TOKEN_MS,
  sha256,
  type VaultId,
} from '@blindcopy/protocol'

export type Session = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  readonly expiresMs: number
  /** 8 random bytes: one login, of the several that a device may have at a time. */
  readonly id: Uint8Array
}

export type Tokens = {
  issue(holder: Pick<Session, 'vaultId' | 'memberId'>): { token: string; expiresMs: number }
  /** Throws `session-required` unless it was issued here and has not expired. */
  open(token: string): Session
}

const LABEL = encodeUtf8('blindcopy.session.v1')
const SIGNED_BYTES = 56
const TOKEN_BYTES = 88
const TOKEN_TEXT_LENGTH = Math.ceil((TOKEN_BYTES * 4) / 3)
export const TOKEN_KEY_BYTES = 32

export function createTokens(parts: {
  readonly key: Uint8Array
  readonly nowMs: () => number
  readonly random: (sizeBytes: number) => Uint8Array
}): Tokens {
  const { key, nowMs, random } = parts
  return {
    issue({ vaultId, memberId }) {
      const expiresMs = nowMs() + SESSION_TOKEN_MS
      const signed = concat(vaultId, memberId, encodeUint64(expiresMs), random(8))
      const token = formatBase64Url(concat(signed, authenticator(key, signed)))
      return { token, expiresMs }
    },
    open(token) {
      const bytes = token.length === TOKEN_TEXT_LENGTH ? parseToken(token) : sessionRequired()
      const signed = bytes.subarray(0, SIGNED_BYTES)
      const expected = authenticator(key, signed)
      if (!equalBytesConstantTime(expected, bytes.subarray(SIGNED_BYTES))) sessionRequired()
      const expiresMs = decodeUint64(signed, 40)
      if (expiresMs <= nowMs()) sessionRequired()
      return {
        vaultId: signed.slice(0, 32) as VaultId,
        memberId: signed.slice(32, 40) as MemberId,
        expiresMs,
        id: bytes.slice(48, SIGNED_BYTES),
      }
    },
  }
}

function parseToken(token: string): Uint8Array {
  try {
    return parseBase64Url(token)
  } catch {
    return sessionRequired()
  }
}

export function sessionRequired(): never {
  throw new ProtocolError('session-required', 'the session is missing or has ended: log in again')
}

const authenticator = (key: Uint8Array, signed: Uint8Array): Hash =>
  hmacSha256(key, concat(LABEL, signed))

const BLOCK_BYTES = 64

/** RFC 2104, of any key up to a block. */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Hash {
  const inner = new Uint8Array(BLOCK_BYTES).fill(0x36)
  const outer = new Uint8Array(BLOCK_BYTES).fill(0x5c)
  key.forEach((byte, i) => {
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  })
  return sha256(concat(outer, sha256(concat(inner, message))))
}
