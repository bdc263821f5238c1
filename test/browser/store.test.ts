/**
 * The store on IndexedDB keeps every promise of the port: the same suite as on LevelDB, run inside
 * a browser.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, type Pages, servePages } from './chromium.ts'
import type { runTests } from './vitest-in-page.ts'

describe.skipIf(isMissing)('the store in a browser', () => {
  let pages: Pages

  beforeAll(async () => {
    pages = await servePages('./store-page.ts')
  }, 60_000)
  afterAll(() => pages?.close())

  it('passes the conformance suite on IndexedDB', async () => {
    const page = await pages.open(await pages.newContext())
    const results = await page.evaluate(() =>
      (globalThis as unknown as { runTests: typeof runTests }).runTests(),
    )
    expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
    expect(results.length).toBeGreaterThanOrEqual(36)
  }, 120_000)
})
