/**
 * SHA-256 (FIPS 180-4), for everything that is hashed in public: the only import of @noble/hashes.
 *
 * Synchronous, because both ends hash inside a step that must not be interrupted. Where the
 * platform has a native one in a single call (Node from 20.12) it is used: measured at 32 B it
 * takes 0.4 µs instead of 1.3 µs, but only when the digest is taken as text, which costs no Buffer.
 */
import { sha256 as portable } from '@noble/hashes/sha2.js'
import type { Hash } from './ids.ts'

type NativeCrypto = { hash?(name: 'sha256', data: Uint8Array, encoding: 'latin1'): string }
type MaybeNode = { process?: { getBuiltinModule?(name: string): NativeCrypto | undefined } }

const native = (globalThis as MaybeNode).process?.getBuiltinModule?.('node:crypto')

export function sha256(bytes: Uint8Array): Hash {
  if (native?.hash === undefined) return portable(bytes) as Uint8Array as Hash
  const text = native.hash('sha256', bytes, 'latin1')
  const digest = new Uint8Array(text.length)
  for (let i = 0; i < digest.length; i++) digest[i] = text.charCodeAt(i)
  return digest as Uint8Array as Hash
}
