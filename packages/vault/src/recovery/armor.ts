/**
 * Armor: bytes as text that can be kept as a file, sent, or printed.
 *
 *   -----BEGIN BLINDCOPY KEY FILE-----
 *   base64 (RFC 4648, section 4) in lines of 64
 *   -----END BLINDCOPY KEY FILE-----
 *
 * What mail and word processors do to it is taken: other line ends, spaces, quote marks before the
 * lines, dashes of another kind, text around it. A checksum inside says whether it is whole.
 */
import { formatBase64Url, parseBase64Url } from '@blindcopy/protocol'
import { VaultError } from '../error.ts'
import { ARMOR_NAME, formatKind, recoveryKindOf } from './recovery-kind.ts'

const LINE_CHARACTERS = 64
/** Far more than a key file with much text around it. */
const TEXT_CHARACTERS_MAX = 1_000_000
const BASE64_CHARACTERS_MAX = 8_192
const BEGIN = new RegExp(`BEGIN\\s+${ARMOR_NAME}`, 'iu')
const END = new RegExp(`END\\s+${ARMOR_NAME}`, 'iu')
/** What stands around the words of the first and last line. */
const DASHES_ONLY = /^[\p{Pd}\u2212]+$/u
/** Characters without width, and what is left of 16-bit letters that were read as bytes. */
const INVISIBLE = /[\p{Cf}\0]/gu
const QUOTE_MARKS = /^[>|\s]+/u

export function formatArmor(bytes: Uint8Array): string {
  const base64 = formatBase64Url(bytes).replaceAll('-', '+').replaceAll('_', '/')
  const padded = base64.padEnd(Math.ceil(base64.length / 4) * 4, '=')
  const lines = []
  for (let at = 0; at < padded.length; at += LINE_CHARACTERS) {
    lines.push(padded.slice(at, at + LINE_CHARACTERS))
  }
  const marks = ['BEGIN', 'END'].map((mark) => `-----${mark} ${ARMOR_NAME}-----`)
  return `${[marks[0], ...lines, marks[1]].join('\n')}\n`
}

/** `isEnded` is false when the last line is missing. */
export type Unarmored = { readonly bytes: Uint8Array; readonly isEnded: boolean }

/** Throws `recovery-kind-wrong` or `recovery-file-damaged`. */
export function parseArmor(text: string): Unarmored {
  const plain = text.slice(0, TEXT_CHARACTERS_MAX).replace(INVISIBLE, '')
  const kind = recoveryKindOf(plain)
  if (kind !== 'recovery-file') throw kindWrong(`this is ${formatKind(kind)}`, kind)
  const begin = BEGIN.exec(plain)
  if (begin === null) throw damaged('it looks cut: its first line is missing')
  const rest = plain.slice(begin.index + begin[0].length)
  if (BEGIN.test(rest)) throw kindWrong('there are several key files in it: give one', 'several')
  const end = END.exec(rest)
  if (end === null) return { bytes: bytesOf(startOf(rest), false), isEnded: false }
  return { bytes: bytesOf(wholeOf(rest.slice(0, end.index)), true), isEnded: true }
}

export function damaged(why: string): VaultError {
  return new VaultError('recovery-file-damaged', `the key file is damaged: ${why}`)
}

function kindWrong(what: string, kind: string): VaultError {
  return new VaultError('recovery-kind-wrong', `a key file is needed: ${what}`, {
    details: { kind },
  })
}

function linesOf(text: string): string[] {
  return text
    .split(/\r\n|\r|\n|\u2028/u)
    .map((line) => line.replace(QUOTE_MARKS, '').replace(/\s/gu, ''))
    .map((line) => (DASHES_ONLY.test(line) ? '' : line))
}

const isBase64 = (line: string): boolean => /^[A-Za-z0-9+/]*=*$/.test(line)

function wholeOf(text: string): string {
  const lines = linesOf(text)
  const wrong = lines.findIndex((line) => !isBase64(line))
  if (wrong < 0) return lines.join('')
  throw damaged(`line ${wrong + 1} of it holds a character that does not belong there`)
}

/** Without its last line nobody knows where it ends: as far as it looks like one. */
function startOf(text: string): string {
  const lines = linesOf(text)
  const other = lines.findIndex((line) => !isBase64(line))
  return lines.slice(0, other < 0 ? lines.length : other).join('')
}

function bytesOf(base64: string, isEnded: boolean): Uint8Array {
  if (base64.length > BASE64_CHARACTERS_MAX) throw damaged('it holds more than was written')
  const whole = base64.replace(/=+$/u, '').replaceAll('+', '-').replaceAll('/', '_')
  try {
    return parseBase64Url(whole)
  } catch {
    if (isEnded) throw damaged('a character of it is missing, or was changed')
  }
  // Cut between two characters of one group: the groups before it say how much is there.
  try {
    return parseBase64Url(whole.slice(0, -(whole.length % 4) || whole.length))
  } catch {
    throw damaged('it looks cut, and a character of it was changed')
  }
}
