/**
 * Shares: any k of n restore the seed and no fewer do; whatever is wrong with one, or between
 * several, is told by its own code, with the numbers that matter and no word but the likely one.
 */
import { equalBytes } from '@blindcopy/protocol'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { VaultError } from '../error.ts'
import { formatPhrase, generateRootSecret } from '../phrase.ts'
import { pooledRandom } from '../random.ts'
import { Secret } from '../secret.ts'
import { codeOf, codeOfAsync, fixedRandom } from '../vault.fixture.ts'
import { generateRecoverySeed } from './recovery-key.ts'
import { formatShare, inspectShare, parseShare } from './share.ts'
import { combineShares, splitSeed } from './shares.ts'

const numRuns = process.env.SLOW === '1' ? 1_000 : 40
const random = pooledRandom()
const seed = generateRecoverySeed(fixedRandom('shares'))

async function split(threshold: number, count: number, of = seed): Promise<string[]> {
  const shares = await splitSeed({ seed: of, threshold, count, random })
  return shares.map(({ words }) => words)
}

async function refusalOf(texts: readonly string[]): Promise<VaultError> {
  return combineShares(texts).then(
    () => {
      throw new Error('nothing was refused')
    },
    (error: VaultError) => error,
  )
}

async function expectSeed(texts: readonly string[], expected = seed): Promise<void> {
  expect(equalBytes((await combineShares(texts)).bytes, expected.bytes)).toBe(true)
}

const sizes = fc
  .tuple(fc.integer({ min: 2, max: 16 }), fc.integer({ min: 2, max: 16 }))
  .map(([a, b]) => ({ threshold: Math.min(a, b), count: Math.max(a, b) }))

describe('shares', () => {
  it('restore the seed: any k or more of n, in any order, and no fewer', async () => {
    const law = fc.asyncProperty(
      sizes,
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.infiniteStream(fc.nat()),
      async ({ threshold, count }, bytes, picks) => {
        const secret = new Secret('RecoverySeed', bytes)
        const all = await split(threshold, count, secret)
        const shuffled = all.toSorted(() => ((picks.next().value as number) % 2 === 0 ? 1 : -1))
        const taken = threshold + ((picks.next().value as number) % (count - threshold + 1))
        await expectSeed(shuffled.slice(0, taken), secret)
        const fewer = await refusalOf(shuffled.slice(0, threshold - 1))
        expect(fewer.code).toBe('shares-too-few')
        expect(fewer.details).toMatchObject({ threshold, count })
        expect(fewer.details.numbers).toHaveLength(threshold - 1)
      },
    )
    await fc.assert(law, { numRuns })
  })

  it('restore it from every choice of 3 of 5', async () => {
    const all = await split(3, 5)
    for (let a = 0; a < 5; a++) {
      for (let b = a + 1; b < 5; b++) {
        for (let c = b + 1; c < 5; c++) {
          await expectSeed([all[c], all[a], all[b]] as string[])
        }
      }
    }
  })

  it('have 33 words, of which two are those of the set, and say what they are', async () => {
    const shares = await splitSeed({ seed, threshold: 2, count: 3, random })
    for (const [i, share] of shares.entries()) {
      const words = share.words.split(' ')
      expect(words).toHaveLength(33)
      expect(words.slice(0, 2)).toEqual(shares[0]?.words.split(' ').slice(0, 2))
      const { words: _, ...head } = share
      expect(head).toMatchObject({ number: i + 1, threshold: 2, count: 3 })
      expect(inspectShare(share.words)).toEqual(head)
    }
  })

  it('are other ones each time, and hold nothing of the seed in the open', async () => {
    const [one, other] = [await split(2, 3), await split(2, 3)]
    expect(new Set([...one, ...other]).size).toBe(6)
    for (const text of one) {
      const { part } = parseShare(text)
      expect(equalBytes(part.subarray(0, 32), seed.bytes)).toBe(false)
    }
  })

  it('are taken twice as once, and in any spelling', async () => {
    const [a, b] = (await split(2, 3)) as [string, string]
    const numbered = b.split(' ').map((word, i) => `${i + 1}. ${word.slice(0, 4).toUpperCase()}`)
    await expectSeed([a, a, numbered.join('\n'), a])
    expect((await refusalOf([a, a])).code).toBe('shares-too-few')
  })

  it('refuse counts outside 2 to 16', async () => {
    for (const [threshold, count] of [
      [1, 3],
      [0, 0],
      [4, 3],
      [2, 17],
      [2.5, 4],
      [2, Number.NaN],
      [-2, 2],
    ] as const) {
      const refused = splitSeed({ seed, threshold, count, random })
      expect(await codeOfAsync(refused)).toBe('share-count-refused')
    }
  })
})

describe('wrong shares', () => {
  it('are told by the checksum with the word that was meant, for any one word', async () => {
    const [words] = (await split(2, 3)).map((text) => text.split(' ')) as [string[]]
    const law = fc.property(fc.nat(32), fc.nat(2046), (at, step) => {
      const meant = words[at] as string
      const typed = wordlist[(wordlist.indexOf(meant) + 1 + step) % 2048] as string
      const error = errorOf(() => parseShare(words.with(at, typed).join(' ')))
      expect(error.code).toBe('share-checksum')
      expect(error.details.mistakes).toEqual([{ position: at + 1, word: meant }])
      expect(error.message).toContain(`word ${at + 1} may be "${meant}"`)
      expect(quotedIn(error.message)).toEqual([meant])
    })
    fc.assert(law, { numRuns: 4 })
  }, 60_000)

  it('are told when two neighbours are swapped, and when two words are wrong', async () => {
    const [words] = (await split(2, 3)).map((text) => text.split(' ')) as [string[]]
    const swapped = words.with(8, words[9] as string).with(9, words[8] as string)
    const error = errorOf(() => parseShare(swapped.join(' ')))
    expect(error.details.mistakes).toEqual([{ swapped: 9 }])
    const other = (i: number) => (words[i] === 'zoo' ? 'zone' : 'zoo')
    const twice = errorOf(() => parseShare(words.with(3, other(3)).with(20, other(20)).join(' ')))
    expect(twice.code).toBe('share-checksum')
    expect(twice.details.mistakes).toEqual([])
    expect(quotedIn(twice.message)).toEqual([])
  })

  it('are malformed with an unlisted word, another length, or none', async () => {
    const [words] = (await split(2, 3)).map((text) => text.split(' ')) as [string[]]
    const unlisted = errorOf(() => parseShare(words.with(6, 'absrtact').join(' ')))
    expect(unlisted.code).toBe('share-malformed')
    expect(unlisted.details).toMatchObject({ position: 7 })
    expect(unlisted.message).toContain('"abstract"')
    for (const count of [0, 1, 24, 32]) {
      expect(codeOf(() => parseShare(words.slice(0, count).join(' ')))).toBe('share-malformed')
    }
    const phrase = formatPhrase(generateRootSecret(random))
    expect(errorOf(() => parseShare(phrase)).message).toContain('recovery phrase')
  })

  it('are refused when their fields are impossible under a good checksum', async () => {
    const share = parseShare((await split(2, 3))[0] as string)
    const good = formatShare(share)
    expect(codeOf(() => parseShare(good))).toBeUndefined()
    for (const change of [
      { threshold: 1 },
      { threshold: 4 },
      { number: 4 },
      { part: share.part.with(36, 0) },
    ]) {
      const words = formatShare({ ...share, ...change })
      expect(codeOf(() => parseShare(words))).toBe('share-malformed')
    }
  })

  it('name the text they are in, among several', async () => {
    const [a, b] = (await split(2, 2)) as [string, string]
    const error = await refusalOf([a, b.replace(/^\w+/, 'notaword')])
    expect(error.code).toBe('share-malformed')
    expect(error.message).toMatch(/^share 2 of the 2 given: word 1 /)
    expect(error.details).toMatchObject({ share: 2, position: 1 })
  })
})

describe('shares that do not belong together', () => {
  it('are told by their sets, with the numbers of each', async () => {
    const [one, other] = [await split(2, 3), await split(3, 5)]
    const texts = [one[0], other[4], one[2], other[0]] as string[]
    const error = await refusalOf(texts)
    expect(error.code).toBe('shares-mixed')
    expect(error.details.sets).toEqual([
      { threshold: 2, count: 3, numbers: [1, 3] },
      { threshold: 3, count: 5, numbers: [1, 5] },
    ])
    expect(error.message).toContain('numbers 1 and 3 of one set (2 of 3 needed)')
    const said = error.message.split(/\W+/)
    for (const text of texts) expect(said).not.toContain(text.split(' ')[0])
  })

  it('are told by their digest when they only say that they are of one set', async () => {
    const [one, other] = [await split(2, 3), await split(2, 3)].map((set) => set.map(parseShare))
    const forged = formatShare({ ...other?.[1], set: one?.[0]?.set } as never)
    const good = (one ?? []).map(formatShare)
    expect((await refusalOf([good[0] as string, forged])).code).toBe('shares-mixed')
    const error = await refusalOf([good[0], forged, good[2]] as string[])
    expect(error.code).toBe('shares-mixed')
    expect(error.details).toEqual({ numbers: [2] })
    expect(error.message).toContain('number 2 does not fit the others')
  })

  it('are told when the threshold was changed, down or up', async () => {
    const all = (await split(3, 5)).map(parseShare)
    const changed = all.map((share) => formatShare({ ...share, threshold: 2 }))
    expect((await refusalOf(changed.slice(0, 2))).code).toBe('shares-mixed')
    expect((await refusalOf(changed)).code).toBe('shares-mixed')
  })

  it('conflict when one number has two contents, or two numbers one point', async () => {
    const [one, other] = [await split(2, 3), await split(2, 3)].map((set) => set.map(parseShare))
    const [a, b] = (one ?? []).map(formatShare) as [string, string]
    const second = formatShare({ ...other?.[0], set: one?.[0]?.set } as never)
    const conflict = await refusalOf([a, b, second])
    expect(conflict.code).toBe('shares-conflict')
    expect(conflict.details).toEqual({ numbers: [1] })
    const copied = formatShare({ ...one?.[0], number: 3 } as never)
    expect((await refusalOf([a, copied])).code).toBe('shares-mixed')
  })

  it('are too few when there are none', async () => {
    expect((await refusalOf([])).code).toBe('shares-too-few')
  })

  it('cannot choose the seed by standing at point 0', async () => {
    const [a] = (await split(2, 3)).map(parseShare)
    const forged = formatShare({ ...a, number: 2, part: new Uint8Array(37) } as never)
    expect((await refusalOf([formatShare(a as never), forged])).code).toBe('share-malformed')
  })
})

function errorOf(run: () => unknown): VaultError {
  try {
    run()
  } catch (error) {
    return error as VaultError
  }
  throw new Error('nothing was refused')
}

function quotedIn(message: string): (string | undefined)[] {
  return [...message.matchAll(/"(\w+)"/g)].map((match) => match[1])
}
