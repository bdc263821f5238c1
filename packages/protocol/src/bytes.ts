/**
 * Byte strings: joining, comparing, and their two text forms (hex for databases of strings,
 * base64url for people and headers).
 */
import { ProtocolError } from './error.ts'

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += part.length
  const joined = new Uint8Array(size)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** Negative, zero or positive, in the order every secondary keeps its keys in. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length)
  for (let i = 0; i < common; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0
}

/** Equal without telling by the time taken where they differ. For tokens and authenticators. */
export function equalBytesConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number)
  return difference === 0
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, '0'),
)

export function formatHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** RFC 4648 section 5, without padding. */
export function formatBase64Url(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 6) {
      bits -= 6
      text += BASE64URL[(held >> bits) & 63]
      held &= (1 << bits) - 1
    }
  }
  if (bits > 0) text += BASE64URL[(held << (6 - bits)) & 63]
  return text
}

/** Refuses padding, other alphabets and stray bits, so that each byte string has one spelling. */
export function parseBase64Url(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8))
  let bits = 0
  let held = 0
  let length = 0
  for (const character of text) {
    const value = BASE64URL.indexOf(character)
    if (value < 0) throw new ProtocolError('malformed', 'text is not base64url')
    held = (held << 6) | value
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[length++] = held >> bits
      held &= (1 << bits) - 1
    }
  }
  if (bits >= 6 || held !== 0) throw new ProtocolError('malformed', 'text is not base64url')
  return bytes
}

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeUtf8(text: string): Uint8Array {
  return textEncoder.encode(text)
}

export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes)
  } catch (cause) {
    throw new ProtocolError('malformed', 'text is not UTF-8', { cause })
  }
}

/** Eight bytes, big-endian. JavaScript's shifts are 32 bits wide, hence the two halves. */
export function encodeUint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(value / 0x1_0000_0000))
  view.setUint32(4, value >>> 0)
  return bytes
}

export function decodeUint64(bytes: Uint8Array, offset = 0): number {
  if (offset + 8 > bytes.length) throw new ProtocolError('malformed', 'eight bytes are missing')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const value = view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4)
  if (!Number.isSafeInteger(value)) throw new ProtocolError('malformed', 'number is too great')
  return value
}

export function encodeUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

export function decodeUint32(bytes: Uint8Array, offset = 0): number {
  if (offset + 4 > bytes.length) throw new ProtocolError('malformed', 'four bytes are missing')
  const low = ((bytes[offset + 1] as number) << 16) | ((bytes[offset + 2] as number) << 8)
  return (bytes[offset] as number) * 0x100_0000 + (low | (bytes[offset + 3] as number))
}
