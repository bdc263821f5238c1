/**
 * The one door to shamir-secret-sharing (audited by Cure53 and Zellic): Shamir's scheme over
 * GF(2^8), each byte of the content on a polynomial of its own.
 *
 * A part is the values of the polynomials at one point, then the point, 1 to 255. The library draws
 * polynomials and points from the platform's randomness by itself, which is why no `RandomBytes`
 * comes in here. It takes parts at point 0, where the content itself stands: whoever made one up
 * would choose what all parts combine to, so those are refused.
 */
import { assert } from '@blindcopy/protocol'
import { combine, split } from 'shamir-secret-sharing'

export type Split = { readonly threshold: number; readonly count: number }

/** The last byte of each part is its point. */
export function splitContent(
  content: Uint8Array,
  { threshold, count }: Split,
): Promise<Uint8Array[]> {
  return split(content, count, threshold)
}

export function pointOf(part: Uint8Array): number {
  return part.at(-1) ?? 0
}

/**
 * Parts at different points, none of them 0. With fewer than the threshold, or with parts of
 * different splits, what comes out is noise: the caller checks it.
 */
export function combineParts(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const points = new Set(parts.map(pointOf))
  assert(points.size === parts.length && !points.has(0), 'parts stand at points of their own')
  return combine([...parts])
}
