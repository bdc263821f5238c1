/**
 * Shares: the seed of a recovery key, split among n so that any k restore it and fewer learn
 * nothing at all, not even to tell a right guess from a wrong one.
 *
 *   split content   seed (32) ‖ digest (4)
 *   digest          the first bytes of SHA-256(label ‖ set (4) ‖ threshold (1) ‖ count (1) ‖ seed)
 *
 * The digest stands inside what is split, so it says nothing to fewer than k; k that do not belong
 * together are found out by it, and so is a share on which someone changed set, threshold or count.
 * The shares do not name the vault: the remote finds it by the public key (recovery-key.ts).
 */
import {
  concat,
  encodeUint32,
  encodeUtf8,
  equalBytesConstantTime,
  sha256,
} from '@blindcopy/protocol'
import { bitsAt } from '../bits.ts'
import { VaultError } from '../error.ts'
import type { RandomBytes } from '../random.ts'
import { type RecoverySeed, SECRET_BYTES, Secret } from '../secret.ts'
import { combineParts, pointOf, type Split, splitContent } from './shamir.ts'
import {
  equalShares,
  formatShare,
  isSameSet,
  parseShare,
  SET_BITS,
  SHARES_MAX,
  type Share,
  type ShareHead,
} from './share.ts'

const DIGEST_BYTES = 4
const DIGEST_LABEL = encodeUtf8('blindcopy.share-digest.v1')

/** `words` is secret, the head is not. */
export type WrittenShare = ShareHead & { readonly words: string }

/**
 * Splits a seed into `count` shares, of which `threshold` are needed. Throws `share-count-refused`.
 * Each call makes a new set, whose shares do not combine with those of another.
 */
export async function splitSeed(options: {
  seed: RecoverySeed
  threshold: number
  count: number
  random: RandomBytes
}): Promise<WrittenShare[]> {
  const { seed, threshold, count, random } = options
  checkSplit({ threshold, count })
  const set = bitsAt(random(3), 0, SET_BITS)
  const head = { set, threshold, count }
  const content = concat(seed.bytes, digestOf(head, seed.bytes))
  const parts = await splitContent(content, head)
  content.fill(0)
  return parts.map((part, i) => {
    const number = i + 1
    const words = formatShare({ ...head, number, part })
    part.fill(0)
    return { ...head, number, words }
  })
}

/**
 * The seed, from at least as many shares of one set as it needs, in any order; the same share twice
 * counts once. Throws what parseShare throws, with `details.share` for which of the texts it is;
 * `shares-mixed` and `shares-conflict`, with the numbers; or `shares-too-few`, with
 * `details.threshold` and `details.numbers`, the numbers that are there.
 */
export async function combineShares(texts: readonly string[]): Promise<RecoverySeed> {
  const shares = texts.map((text, i) => parseShareOf(texts, text, i))
  try {
    return await combineParsed(withoutRepeats(shares))
  } finally {
    for (const { part } of shares) part.fill(0)
  }
}

async function combineParsed(shares: readonly Share[]): Promise<RecoverySeed> {
  const first = shares[0]
  if (first === undefined) {
    throw new VaultError('shares-too-few', 'no share was given', { details: { numbers: [] } })
  }
  if (!shares.every((share) => isSameSet(share, first))) throw mixedSets(shares)
  checkNumbers(shares)
  if (shares.length < first.threshold) throw tooFew(shares, first)
  const seed = await seedOf(shares)
  if (seed !== undefined) return seed
  throw await misfit(shares, first)
}

/** Undefined when the shares do not fit together. */
async function seedOf(shares: readonly Share[]): Promise<RecoverySeed | undefined> {
  const parts = shares.map(({ part }) => part)
  // Two shares at one point, with different numbers: no split makes them.
  if (new Set(parts.map(pointOf)).size < parts.length) return undefined
  const content = await combineParts(parts)
  const seed = content.slice(0, SECRET_BYTES)
  const digest = digestOf(shares[0] as Share, seed)
  const isWhole = equalBytesConstantTime(digest, content.subarray(SECRET_BYTES))
  content.fill(0)
  if (isWhole) return new Secret('RecoverySeed', seed)
  seed.fill(0)
  return undefined
}

/** With one share more than needed, the one that does not fit can be named. */
async function misfit(shares: readonly Share[], { threshold }: Share): Promise<VaultError> {
  const misfits: number[] = []
  for (const share of shares.length > threshold ? shares : []) {
    const seed = await seedOf(shares.filter((other) => other !== share))
    seed?.wipe()
    if (seed !== undefined) misfits.push(share.number)
  }
  const isOne = misfits.length === 1
  const which = isOne ? `number ${misfits[0]} does not fit the others` : 'they do not fit together'
  return new VaultError(
    'shares-mixed',
    `the shares say that they are of one set, and ${which}: one of them was made up or changed`,
    { details: isOne ? { numbers: misfits } : {} },
  )
}

function digestOf({ set, threshold, count }: Omit<ShareHead, 'number'>, seed: Uint8Array) {
  const head = concat(encodeUint32(set), Uint8Array.of(threshold, count))
  return sha256(concat(DIGEST_LABEL, head, seed)).slice(0, DIGEST_BYTES)
}

function checkSplit({ threshold, count }: Split): void {
  const isWhole = Number.isInteger(threshold) && Number.isInteger(count)
  if (isWhole && threshold >= 2 && threshold <= count && count <= SHARES_MAX) return
  throw new VaultError(
    'share-count-refused',
    `at least 2 shares are needed of at most ${SHARES_MAX}, not ${threshold} of ${count}`,
  )
}

function parseShareOf(texts: readonly string[], text: string, i: number): Share {
  try {
    return parseShare(text)
  } catch (error) {
    if (!(error instanceof VaultError) || texts.length === 1) throw error
    const message = `share ${i + 1} of the ${texts.length} given: ${error.message}`
    throw new VaultError(error.code, message, { details: { ...error.details, share: i + 1 } })
  }
}

function withoutRepeats(shares: readonly Share[]): Share[] {
  return shares.filter((share, i) => !shares.slice(0, i).some((other) => equalShares(other, share)))
}

function checkNumbers(shares: readonly Share[]): void {
  const numbers = shares.map(({ number }) => number)
  const twice = numbers.find((number, i) => numbers.indexOf(number) < i)
  if (twice === undefined) return
  throw new VaultError(
    'shares-conflict',
    `number ${twice} was given with two different contents: compare both with the paper`,
    { details: { numbers: [twice] } },
  )
}

function tooFew(shares: readonly Share[], { threshold, count }: Share): VaultError {
  const numbers = numbersOf(shares)
  const which = numbers.length === 1 ? 'only number' : `only ${numbers.length}: numbers`
  return new VaultError(
    'shares-too-few',
    `${threshold} of the ${count} shares are needed, and here is ${which} ${listOf(numbers)}`,
    { details: { threshold, count, numbers } },
  )
}

function mixedSets(shares: readonly Share[]): VaultError {
  const sets: Share[][] = []
  for (const share of shares) {
    const set = sets.find(([other]) => other !== undefined && isSameSet(other, share))
    if (set === undefined) sets.push([share])
    else set.push(share)
  }
  const found = sets.map((set) => {
    const { threshold, count } = set[0] as Share
    return { threshold, count, numbers: numbersOf(set) }
  })
  const parts = found.map(({ threshold, count, numbers }) => {
    const what = numbers.length === 1 ? 'number' : 'numbers'
    return `${what} ${listOf(numbers)} of one set (${threshold} of ${count} needed)`
  })
  return new VaultError(
    'shares-mixed',
    `the shares are of different sets, which begin with other words: ${parts.join('; ')}`,
    { details: { sets: found } },
  )
}

function numbersOf(shares: readonly Share[]): number[] {
  return shares.map(({ number }) => number).toSorted((a, b) => a - b)
}

function listOf(numbers: readonly number[]): string {
  const [last, ...rest] = numbers.toReversed()
  return rest.length === 0 ? String(last) : `${rest.toReversed().join(', ')} and ${last}`
}
