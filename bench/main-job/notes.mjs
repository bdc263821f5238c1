/**
 * The notes of the benchmark: about 300 bytes of JSON each (title, body, tags, date), the same in every
 * run, in words of several scripts.
 */
const WORDS = [
  'harbour',
  'winter',
  'летопись',
  'βιβλίο',
  'notebook',
  '記録',
  'garden',
  'señal',
  'quiet',
  'mountain',
  'कहानी',
  'letter',
  'river',
  'straße',
  'paper',
  'evening',
]

/** Mulberry32, a small generator of 32 bits: repeatable notes, and cheap to make. */
function generator(seed) {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

export function noteOf(index) {
  const pick = generator(index + 1)
  const words = (count) => {
    let text = WORDS[pick(WORDS.length)]
    for (let i = 1; i < count; i++) text += ` ${WORDS[pick(WORDS.length)]}`
    return text
  }
  return {
    title: `${words(3)} ${index}`,
    body: words(22),
    tags: [words(1), words(1), words(1)],
    date: new Date(1_700_000_000_000 + index * 60_000).toISOString(),
  }
}

export const keyOf = (index) => `note-${String(index).padStart(7, '0')}`
