/**
 * The emergency kit in a real browser, opened as the file that it is, without a network: it asks
 * for nothing, prints on one sheet, shows every word whole on a desk and on a phone, and its code
 * scans as it is shown.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeEmergencyKit, parseKit } from '@blindcopy/client'
import { formatVaultId } from '@blindcopy/protocol'
import { deriveRoot, formatPhrase, generateRootSecret, pooledRandom } from '@blindcopy/vault'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCode } from '../../packages/client/src/backup/scanner.fixture.ts'
import { isMissing, type Pages, serveScripts } from './chromium.ts'

const folder = mkdtempSync(join(tmpdir(), 'blindcopy-kit-'))

type Kit = {
  readonly page: string
  readonly recoveryPhrase: string
  readonly vaultId: string
  readonly remote: string
}

function kitOf(deviceNames: readonly string[], remote: string): Kit {
  const secret = generateRootSecret(pooledRandom())
  const vaultId = formatVaultId(deriveRoot(secret).vaultId)
  const said = { recoveryPhrase: formatPhrase(secret), vaultId, remote }
  const page = makeEmergencyKit({ ...said, deviceNames, madeMs: Date.now() })
  return { ...said, page }
}

const SHORT = kitOf(['phone'], 'https://sync.example.org')
/** As much as there can be to say. */
const FULL = kitOf(
  Array.from({ length: 64 }, () => '🗝'.repeat(60)),
  `https://${'a-long-name.'.repeat(18)}example.org`.padEnd(300, '/path'),
)
/** In millimetres. */
const SHEETS = { A4: [210, 297], Letter: [215.9, 279.4] } as const

const SCREENS = {
  desk: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 800 }, deviceScaleFactor: 3, isMobile: true },
  'small phone': { viewport: { width: 320, height: 600 }, deviceScaleFactor: 2, isMobile: true },
  'desk in the dark': {
    viewport: { width: 1280, height: 900 },
    deviceScaleFactor: 2,
    colorScheme: 'dark',
  },
} as const

/** What a scanner reads off the code as it stands on the screen. */
async function scan(page: Page, blank: Page): Promise<string> {
  const picture = (await page.locator('svg').screenshot()).toString('base64')
  const { width, height, pixels } = await blank.evaluate(async (png) => {
    const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0))
    const image = await createImageBitmap(new Blob([bytes]))
    const drawing = new OffscreenCanvas(image.width, image.height).getContext('2d')
    drawing?.drawImage(image, 0, 0)
    const read = drawing?.getImageData(0, 0, image.width, image.height).data ?? []
    // As text: a list of a million numbers takes seconds on its way out of the page.
    const pixels = Array.from(read, (byte) => String.fromCharCode(byte)).join('')
    return { width: image.width, height: image.height, pixels }
  }, picture)
  return readCode({ width, height, data: Uint8Array.from(Buffer.from(pixels, 'latin1')) })
}

describe.skipIf(isMissing)('an emergency kit', () => {
  let pages: Pages
  const contexts: BrowserContext[] = []

  beforeAll(async () => {
    pages = await serveScripts(new Map([['page.js', '']]))
  })
  afterAll(async () => {
    await pages?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** The kit, opened from the disk by a browser that has no network. */
  async function open(kit: Kit, screen: keyof typeof SCREENS = 'desk') {
    const path = join(folder, `kit-${contexts.length}.html`)
    writeFileSync(path, kit.page)
    const context = await pages.newContext(SCREENS[screen])
    contexts.push(context)
    await context.setOffline(true)
    const page = await context.newPage()
    const [asked, complaints]: [string[], string[]] = [[], []]
    page.on('request', (request) => asked.push(request.url()))
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    const url = pathToFileURL(path).href
    await page.goto(url)
    return { page, context, asked, complaints, url }
  }

  it('is a file that asks for nothing, and shows what it says under its own policy', async () => {
    for (const kit of [SHORT, FULL]) {
      const { page, asked, complaints, url } = await open(kit)
      expect(asked).toEqual([url])
      expect(complaints).toEqual([])
      const text = await page.locator('body').textContent()
      expect(text).toContain(kit.vaultId)
      expect(text).toContain(kit.remote)
      const font = await page.locator('.words li').first().evaluate(readFont)
      expect(font, 'its own style is let through').toMatch(/mono/i)
    }
  }, 60_000)

  it('prints on one sheet of A4 and of Letter, however much there is to say', async () => {
    for (const kit of [SHORT, FULL]) {
      const { page } = await open(kit)
      for (const [format, [widthMm, heightMm]] of Object.entries(SHEETS)) {
        const printed = (await page.pdf({ format })).toString('latin1')
        expect(printed.match(/\/Type\s*\/Page\b/g), format).toHaveLength(1)
        const [, width, height] = /\/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]/.exec(printed) ?? []
        expect(Math.abs(Number(width) / 72 - widthMm / 25.4), format).toBeLessThan(0.05)
        expect(Math.abs(Number(height) / 72 - heightMm / 25.4), format).toBeLessThan(0.05)
      }
      await page.emulateMedia({ media: 'print' })
      const code = await page.locator('svg').boundingBox()
      expect(code?.width, '50 mm of paper').toBeGreaterThan(180)
    }
  }, 60_000)

  it('shows every word whole and in its order, on a desk and on a phone', async () => {
    for (const screen of Object.keys(SCREENS) as (keyof typeof SCREENS)[]) {
      for (const kit of [SHORT, FULL]) {
        const { page } = await open(kit, screen)
        const shown = await page.locator('.words li').evaluateAll(readWords)
        expect(shown.map(({ text }) => text).join(' '), screen).toBe(kit.recoveryPhrase)
        expect(shown.map(({ number }) => number)).toEqual(shown.map((_, i) => String(i + 1)))
        for (const { text, isWhole, points, isDark } of shown) {
          expect(isWhole, `${text}, ${screen}`).toBe(true)
          expect(points, `${text}, ${screen}`).toBeGreaterThanOrEqual(12)
          expect(isDark, `${text}, ${screen}`).toBe(true)
        }
        const spill = await page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement
          return scrollWidth - clientWidth
        })
        expect(spill, `what stands beside the ${screen}`).toBe(0)
      }
    }
  }, 120_000)

  it('scans as it is shown, on a desk and on a phone, and says what restores the vault', async () => {
    const blank = await (await pages.newContext()).newPage()
    const scans = [
      [SHORT, 'desk in the dark'],
      [FULL, 'desk'],
      [FULL, 'phone'],
    ] as const
    for (const [kit, screen] of scans) {
      const { page } = await open(kit, screen)
      const { recoveryPhrase, vaultId, remote } = kit
      expect(parseKit(await scan(page, blank)), screen).toEqual({ recoveryPhrase, vaultId, remote })
    }
  }, 120_000)
})

const readFont = (element: Element): string => getComputedStyle(element).fontFamily

/** Runs in the page. */
function readWords(items: Element[]) {
  const ground = getComputedStyle(document.body).backgroundColor
  return items.map((item) => {
    const [number, word] = [...item.childNodes].map((node) => node.textContent ?? '')
    const range = document.createRange()
    range.selectNodeContents(item)
    const [drawn, room] = [range.getBoundingClientRect(), item.getBoundingClientRect()]
    const { fontSize, color } = getComputedStyle(item)
    return {
      number,
      text: word,
      isWhole: drawn.left >= room.left && drawn.right <= room.right && room.right <= innerWidth,
      points: Math.round(Number.parseFloat(fontSize) * 0.75),
      isDark: color === 'rgb(0, 0, 0)' && ground === 'rgb(255, 255, 255)',
    }
  })
}
