/** What a camera reads off the picture of a code is the code. */
import { formatBase64Url } from '@blindcopy/protocol'
import decodeQR from 'qr/decode.js'
import { describe, expect, it } from 'vitest'
import { drawPicture, formatPicture } from './pairing-picture.ts'

const PIXELS = 4

/** As a camera sees it: grey values, so many to each module. */
function read(isLight: (x: number, y: number) => boolean, modules: number): string {
  const size = modules * PIXELS
  const data = new Uint8Array(size * size * 4).fill(255)
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const light = isLight(Math.floor(x / PIXELS), Math.floor(y / PIXELS)) ? 255 : 0
      data.fill(light, (y * size + x) * 4, (y * size + x) * 4 + 3)
    }
  }
  return decodeQR({ height: size, width: size, data })
}

const codeOf = (remote: string): string =>
  `blindcopy-pair:${formatBase64Url(new TextEncoder().encode(`0123456789abcdefg${remote}`))}`

describe('the picture of a code', () => {
  const codes = ['http://127.0.0.1:8787', `https://${'a-long-name.'.repeat(12)}example`].map(codeOf)

  it.each(codes)('in half blocks shows it: %s', (code) => {
    const rows = formatPicture(code, true)
      .split('\n')
      .map((row) => [...row])
    const modules = rows[0]?.length ?? 0
    expect(modules).toBeLessThan(80)
    const isLight = (x: number, y: number): boolean => {
      const character = rows[Math.floor(y / 2)]?.[x]
      return character === '█' || character === (y % 2 === 0 ? '▀' : '▄')
    }
    expect(read(isLight, modules)).toBe(code)
  })

  it.each(codes)('as SVG shows it: %s', (code) => {
    const svg = drawPicture(code)
    const modules = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1])
    const dark = new Set<string>()
    let [x, y] = [0, 0]
    for (const [, command, numbers = ''] of svg.matchAll(/([Mm])([-\d. ]+)h1v1/g)) {
      const [dx = 0, dy = 0] = numbers
        .trim()
        .split(/(?=-)|\s+/)
        .map(Number)
      ;[x, y] = command === 'M' ? [dx, dy] : [x + dx, y + dy]
      dark.add(`${x} ${y}`)
    }
    expect(read((column, row) => !dark.has(`${column} ${row}`), modules)).toBe(code)
  })

  it('says its colors itself, where there are any', () => {
    const [first = ''] = formatPicture('x', false).split('\n')
    expect(first.startsWith('\u001b[97;40m') && first.endsWith('\u001b[0m')).toBe(true)
    expect(formatPicture('x', true)).not.toContain('\u001b')
  })
})
