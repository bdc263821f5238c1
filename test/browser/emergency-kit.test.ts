/**
 * The emergency kit in a real browser: it prints on one sheet of A4 and of Letter, its own style is
 * let through by its policy and nothing else is, and its code is as large as it should be.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeEmergencyKit } from '@blindcopy/client'
import { formatVaultId } from '@blindcopy/protocol'
import { deriveRoot, formatPhrase, generateRootSecret, pooledRandom } from '@blindcopy/vault'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, serveScripts } from './chromium.ts'

const folder = mkdtempSync(join(tmpdir(), 'blindcopy-kit-'))

function kitOf(deviceNames: readonly string[], remote: string): string {
  const secret = generateRootSecret(pooledRandom())
  const vaultId = formatVaultId(deriveRoot(secret).vaultId)
  const recoveryPhrase = formatPhrase(secret)
  return makeEmergencyKit({ recoveryPhrase, vaultId, remote, deviceNames, madeMs: Date.now() })
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
    }
  }, 60_000)
})
