/**
 * Layout: text that a person reads, fitted to the terminal. Records hold anything, so what comes
 * from them is shown without control characters: a note must not be able to move the cursor.
 */

const EAST_ASIAN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u
const WIDE_SIGN = /[\p{Extended_Pictographic}\u3000-\u303f\uff01-\uff60]/u
const NO_WIDTH = /[\p{Mark}\p{Cf}]/u

/** How many columns a text takes, nearly: terminals differ about some characters. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += widthOfCharacter(character)
  return width
}

function widthOfCharacter(character: string): number {
  if (character < '\u0300') return 1
  if (NO_WIDTH.test(character)) return 0
  return EAST_ASIAN.test(character) || WIDE_SIGN.test(character) ? 2 : 1
}

/** Control characters, and those that turn the direction of a line, as one visible sign. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu, '·')
}

/** At most `columns` wide, with an ellipsis for what is cut. */
export function clip(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text
  let width = 0
  let clipped = ''
  for (const character of text) {
    width += widthOfCharacter(character)
    if (width > columns - 1) break
    clipped += character
  }
  return `${clipped}…`
}

/** Rows in columns, two spaces apart; the last column takes what is left of the line. */
export function formatTable(rows: readonly (readonly string[])[], columns: number): string {
  const widths: number[] = []
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))
    })
  }
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : pad(cell, widths[i] ?? 0))).join('  '),
  )
  return lines.map((line) => clip(line.trimEnd(), columns)).join('\n')
}

/**
 * The same where the lines are wide enough; elsewhere each row begins with its first cells, and the
 * others stand below them: nothing of what a person decides by is cut.
 */
export function formatRows(
  rows: readonly (readonly string[])[],
  columns: number,
  leading = 2,
): string {
  const table = formatTable(rows, Number.POSITIVE_INFINITY)
  if (table.split('\n').every((line) => widthOf(line) <= columns)) return table
  const heads = formatTable(
    rows.map((row) => row.slice(0, leading)),
    columns,
  ).split('\n')
  return rows
    .flatMap((row, i) => [
      heads[i] ?? '',
      ...row
        .slice(leading)
        .filter((cell) => cell !== '')
        .map((cell) => `${BELOW}${wrap(cell, columns, BELOW.length)}`),
    ])
    .join('\n')
}

const BELOW = '      '

export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)))
}

const WORDS_A_ROW_MAX = 4
const WORDS_GAP = '   '

/** The words of a phrase, numbered, to be copied row by row. */
export function formatWords(
  words: readonly string[],
  columns: number = Number.POSITIVE_INFINITY,
): string {
  const longest = Math.max(...words.map((word) => word.length))
  const cells = words.map((word, i) => `${String(i + 1).padStart(2)}. ${word.padEnd(longest)}`)
  const fitting = Math.floor((columns - 2 + WORDS_GAP.length) / (longest + 4 + WORDS_GAP.length))
  const wordsARow = Math.max(1, Math.min(WORDS_A_ROW_MAX, fitting))
  const rows: string[] = []
  for (let i = 0; i < cells.length; i += wordsARow) {
    rows.push(`  ${cells.slice(i, i + wordsARow).join(WORDS_GAP)}`.trimEnd())
  }
  return rows.join('\n')
}

/** `1 record`, `2 records`, `1,000 records`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}

export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

const UNITS: readonly (readonly [noun: string, ms: number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
]

/** `2 hours`, `1 minute`: in the greatest unit of which there is one. */
export function formatSpan(ms: number): string {
  for (const [noun, unitMs] of UNITS) {
    if (Math.abs(ms) >= unitMs) return count(Math.floor(Math.abs(ms) / unitMs), noun)
  }
  return 'less than a second'
}

const WEEK_MS = 7 * 86_400_000

/** `3 minutes ago` for what is near; a date for what is long ago, or ahead of this clock. */
export function formatAgo(ms: number, nowMs: number): string {
  const spanMs = nowMs - ms
  if (spanMs < 0 || spanMs > WEEK_MS) return formatTime(ms)
  return spanMs < 2_000 ? 'just now' : `${formatSpan(spanMs)} ago`
}

/** Each line in as many as it takes; they begin below its first word. */
export function wrapLines(text: string, columns: number): string {
  if (columns === Number.POSITIVE_INFINITY) return text
  return text
    .split('\n')
    .map((line) => {
      if (widthOf(withoutStyle(line)) <= columns) return line
      const indent = /^ */.exec(line)?.[0] ?? ''
      return indent + wrap(line.slice(indent.length), columns, indent.length)
    })
    .join('\n')
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what begins a style.
const STYLE = /\u001b\[[\d;]*m/g

const withoutStyle = (text: string): string => text.replace(STYLE, '')

/** Words set in lines of at most `columns`; all lines but the first begin with `indent` spaces. */
export function wrap(text: string, columns: number, indent = 0): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent + widthOf(line) + 1 + widthOf(word) > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}
