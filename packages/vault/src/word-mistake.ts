/**
 * Mistake: what may be wrong with words that are all on the list and whose checksum does not fit.
 *
 * One word read as another, or two neighbours the wrong way round: each such change is tried, and
 * those that make the checksum right are told, the likeliest first. A phrase has 8 bits of
 * checksum, so that of 256 changes one is right by chance: only words that look like the typed one
 * are tried, and what is found is a guess. A share has 33 bits: what is found there is what was
 * written.
 */
import { nearWords } from './word-list.ts'

/** Positions count from 1; `swapped` is the first of two neighbours. */
export type Mistake =
  | { readonly position: number; readonly word: string }
  | { readonly swapped: number }

const MISTAKES_MAX = 3
/** A swap is as likely as one wrong letter. */
const SWAP_DISTANCE = 1

export function likelyMistakes(
  words: readonly string[],
  isRight: (words: readonly string[]) => boolean,
  distanceMax: number,
): Mistake[] {
  const found: { mistake: Mistake; distance: number }[] = []
  words.forEach((typed, i) => {
    for (const { word, distance } of nearWords(typed, distanceMax)) {
      if (!isRight(words.with(i, word))) continue
      found.push({ mistake: { position: i + 1, word }, distance })
    }
    const next = words[i + 1]
    if (next === undefined || next === typed) return
    if (!isRight(words.with(i, next).with(i + 1, typed))) return
    found.push({ mistake: { swapped: i + 1 }, distance: SWAP_DISTANCE })
  })
  return found
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, MISTAKES_MAX)
    .map(({ mistake }) => mistake)
}

/** The end of a sentence: empty when nothing likely was found. */
export function formatMistakes(mistakes: readonly Mistake[]): string {
  const parts = mistakes.map((mistake) =>
    'word' in mistake
      ? `word ${mistake.position} may be "${mistake.word}"`
      : `words ${mistake.swapped} and ${mistake.swapped + 1} may be the wrong way round`,
  )
  return parts.length === 0 ? '' : `: ${parts.join(', or ')}`
}

/** The sentence for a word that is on no list, without the word. */
export function formatUnlisted(position: number, likely: readonly string[]): string {
  const quoted = likely.map((word) => `"${word}"`).join(' or ')
  return `word ${position} is not on the list of words; it may be ${quoted}`
}
