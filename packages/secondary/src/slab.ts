/**
 * Slab: small byte strings cut from larger pieces. A local write builds five keys and values a
 * record, and one piece of memory for each cost a tenth of its time, most of it in collecting them
 * again.
 *
 * What is cut is never handed out twice, so nothing is shared but the memory's lifetime: keep what
 * is cut only as long as a batch lives.
 */

const SLAB_BYTES = 16_384

let slab = new Uint8Array(SLAB_BYTES)
let used = 0

/** `sizeBytes` zeros of the caller's own. */
export function allocate(sizeBytes: number): Uint8Array {
  if (sizeBytes > SLAB_BYTES / 8) return new Uint8Array(sizeBytes)
  if (used + sizeBytes > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES)
    used = 0
  }
  const bytes = slab.subarray(used, used + sizeBytes)
  used += sizeBytes
  return bytes
}
