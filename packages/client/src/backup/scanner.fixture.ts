/**
 * A scanner for tests: what it reads off a picture of a QR code.
 */
import decodeQR from 'qr/decode.js'

/** `data` has four bytes a pixel: red, green, blue and opacity. */
export type Picture = {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

export const readCode = (picture: Picture): string => decodeQR(picture)
