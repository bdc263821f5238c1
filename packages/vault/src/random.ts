/**
 * Randomness, as a parameter, and the one real source of it.
 *
 * libsodium-wrappers' own randombytes_buf asks the platform once for every 4 bytes: 43 µs for a
 * nonce, against 2 µs for the seal it is for. One request of 4 KiB serves 170 nonces instead.
 */

/** `size` fresh bytes that belong to the caller. */
export type RandomBytes = (size: number) => Uint8Array

const POOL_BYTES = 4096
/** Web Crypto refuses more in one call (W3C Web Cryptography API, getRandomValues). */
const REQUEST_BYTES_MAX = 65_536

/** Bytes are wiped from the pool as they are handed out: the pool never holds what was used. */
export function pooledRandom(): RandomBytes {
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  return (size) => {
    if (size > POOL_BYTES) return unpooledRandom(size)
    if (used + size > POOL_BYTES) {
      crypto.getRandomValues(pool)
      used = 0
    }
    const bytes = pool.slice(used, used + size)
    pool.fill(0, used, used + size)
    used += size
    return bytes
  }
}

function unpooledRandom(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let offset = 0; offset < size; offset += REQUEST_BYTES_MAX) {
    crypto.getRandomValues(bytes.subarray(offset, offset + REQUEST_BYTES_MAX))
  }
  return bytes
}
