/**
 * The emergency kit in a real browser: it prints on one sheet of A4 and of Letter, its own style is
 * let through by its policy and nothing else is, and its code scans as it is shown.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeEmergencyKit, parseKit } from '@blindcopy/client'
import { formatVaultId } from '@blindcopy/protocol'
import { deriveRoot, formatPhrase, generateRootSecret, pooledRandom } from '@blindcopy/vault'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCode } from '../../packages/client/src/backup/scanner.fixture.ts'
import { isMissing, type Pages, serveScripts } from './chromium.ts'

const folder = mkdtempSync(join(tmpdir(), 'blindcopy-kit-'))

function kitOf(deviceNames: readonly string[], remote: string): string {
  const secret = generateRootSecret(pooledRandom())
  const vaultId = formatVaultId(deriveRoot(secret).vaultId)
  const recoveryPhrase = formatPhrase(secret)
  return makeEmergencyKit({ recoveryPhrase, vaultId, remote, deviceNames, madeMs: Date.now() })
}

/** What a scanner reads off the picture that the browser makes of the code. */
async function scan(page: Page, blank: Page): Promise<string> {
  // A scanner of paper copes with any size; this one wants whole pixels.
  await page.locator('svg').evaluate((code) => {
    const [, , modules] = code.getAttribute('viewBox')?.split(' ') ?? []
    const size = `${Number(modules) * 4}px`
    Object.assign((code as SVGElement).style, { width: size, height: size, position: 'fixed' })
    Object.assign((code as SVGElement).style, { margin: 0, left: 0, top: 0 })
  })
  const picture = (await page.locator('svg').screenshot()).toString('base64')
  const { width, height, pixels } = await blank.evaluate(async (png) => {
    const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0))
    const image = await createImageBitmap(new Blob([bytes]))
    const drawing = new OffscreenCanvas(image.width, image.height).getContext('2d')
    drawing?.drawImage(image, 0, 0)
    const read = drawing?.getImageData(0, 0, image.width, image.height).data ?? []
    return { width: image.width, height: image.height, pixels: [...read] }
  }, picture)
  return readCode({ width, height, data: Uint8Array.from(pixels) })
}

describe.skipIf(isMissing)('an emergency kit', () => {
  let pages: Pages
  beforeAll(async () => {
    pages = await serveScripts(new Map([['page.js', '']]))
  })
  afterAll(async () => {
    await pages?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('prints on one page, however much there is to say, and loads nothing', async () => {
    const many = Array.from({ length: 64 }, (_, i) => `${i} `.repeat(30))
    const kits = [
      kitOf(['phone'], 'https://sync.example.org'),
      kitOf(many, `https://${'a-long-name.'.repeat(18)}example.org`),
    ]
    const context = await pages.newContext()
    const blank = await context.newPage()
    for (const [i, kit] of kits.entries()) {
      const path = join(folder, `kit-${i}.html`)
      writeFileSync(path, kit)
      const page = await context.newPage()
      const asked: string[] = []
      const complaints: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      page.on('console', (message) => complaints.push(message.text()))
      const url = pathToFileURL(path).href
      await page.goto(url)
      for (const format of ['A4', 'Letter']) {
        const printed = await page.pdf({ format, preferCSSPageSize: false })
        expect(printed.toString('latin1').match(/\/Type\s*\/Page\b/g), format).toHaveLength(1)
      }
      const code = await page.locator('svg').boundingBox()
      expect(code?.width).toBeGreaterThan(180)
      expect(await page.locator('.words li').count()).toBe(24)
      expect(asked).toEqual([url])
      expect(complaints).toEqual([])
      expect(parseKit(await scan(page, blank))).toEqual(parseKit(kit))
    }
  }, 60_000)
})
