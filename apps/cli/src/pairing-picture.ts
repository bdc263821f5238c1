/**
 * The picture of a pairing code: a QR code for a terminal, in half blocks, or as SVG.
 */
import encodeQR from 'qr'

/** Of the light around the code: scanners want four, and manage with two. */
const BORDER = 2

/** Light on dark, whatever the colors of the terminal; without colors, right for a dark one. */
export function formatPicture(code: string, isPlain: boolean): string {
  const rows = encodeQR(code, 'ascii', { ecc: 'low', border: BORDER }).trimEnd().split('\n')
  return rows.map((row) => (isPlain ? row : `\u001b[97;40m${row}\u001b[0m`)).join('\n')
}

/** How wide it is, all of it: a part of one is none. */
export function pictureColumns(code: string): number {
  const [first = ''] = formatPicture(code, true).split('\n')
  return first.length
}

export const drawPicture = (code: string): string => encodeQR(code, 'svg', { ecc: 'medium' })
