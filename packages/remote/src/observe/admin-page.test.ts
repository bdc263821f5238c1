/** The admin page as text: what it says, and that nothing put into it becomes markup. */
import { createHash } from 'node:crypto'
import { formatVaultId } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openVault } from '../remote.fixture.ts'
import { renderAdminPage } from './admin-page.ts'
import { formatAgo, formatBytes, formatSpan } from './admin-text.ts'
import {
  findWarnings,
  gatherAdminView,
  isNearlyFull,
  type ListedVaults,
  parseAdminQuery,
} from './admin-view.ts'
import { ADMIN_TOKEN, bearer, makeRow, makeView, openObserved } from './observe.fixture.ts'

const GIB = 1024 ** 3
const LISTED = makeView().listed as ListedVaults
const textOf = (html: string) =>
  html
    .replace(/<style>[\s\S]*<\/style>/, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')

describe('renderAdminPage', () => {
  it('shows short ids only, and what each vault uses', () => {
    const row = makeRow({ use: 0.937, devices: undefined, pushedMs: 0 })
    const html = renderAdminPage(makeView({ listed: { ...LISTED, rows: [row] } }))
    const id = formatVaultId(row.vaultId)
    expect(html).toContain(id.slice(0, 8))
    expect(html).not.toContain(id.slice(0, 12))
    const text = textOf(html)
    expect(text).toMatch(/1,200 3.24 MiB 234 KiB – 2 never .* 93 %/)
    expect(html).toMatch(/class="bar near"/)
    expect(text).toContain('All well')
  })

  it('lets nothing that it shows become markup', () => {
    const nasty = fc.constantFrom(
      '<script>x</script>',
      '"><img src=x>',
      "' onload='x",
      '&lt;',
      '</style>',
    )
    fc.assert(
      fc.property(nasty, nasty, nasty, (version, origin, warning) => {
        const html = renderAdminPage(makeView({ version, origins: [origin], warnings: [warning] }))
        const inert = renderAdminPage(makeView({ version: 'x', origins: ['x'], warnings: ['x'] }))
        const tags = (page: string) => [...page.matchAll(/<[^>]*>/g)].map(([tag]) => tag)
        expect(tags(html)).toEqual(tags(inert))
      }),
    )
  })

  it('has no script, no form, and nothing of elsewhere', () => {
    const html = renderAdminPage(makeView())
    expect(html).not.toMatch(/<(script|form|img|link|iframe|object|input|button)\b/i)
    expect(html).not.toMatch(/\b(src|style|on\w+)=/i)
    expect([...html.matchAll(/href="([^"]*)"/g)].every(([, to = '']) => to.startsWith('?'))).toBe(
      true,
    )
  })

  it('says what is unknown, what is being counted, and that there is no vault yet', () => {
    const nothing = textOf(renderAdminPage(makeView({ disk: undefined, listed: undefined })))
    expect(nothing).toContain('Vaults – Records – Stored – History –')
    expect(nothing).toContain('Disk unknown')
    expect(nothing).toContain('being counted')
    expect(textOf(renderAdminPage(makeView({ listed: { ...LISTED, rows: [] } })))).toContain(
      'There is none yet',
    )
  })

  it('stands under a policy that names its one style', async () => {
    const answer = await openObserved().remote.app.request('/admin', bearer())
    const html = await answer.text()
    const [, style = ''] = /<style>([\s\S]*)<\/style>/.exec(html) ?? []
    const hash = createHash('sha256').update(style).digest('base64')
    expect(answer.headers.get('Content-Security-Policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(html).not.toContain(ADMIN_TOKEN)
  })
})

describe('gatherAdminView', () => {
  it('counts devices and sockets of the vaults it shows', async () => {
    const { bench, chain } = await openVault()
    const { remote, clock } = bench
    const nowMs = () => clock.ms
    const read: string[] = []
    const rows = [makeRow({ vaultId: chain.vaultId }), makeRow({ keychainBytes: 2 ** 21 })]
    const { totals } = LISTED
    const view = await gatherAdminView(
      {
        vaults: {
          waiting: () => 3,
          read: async (vaultId) => {
            read.push(formatVaultId(vaultId))
            return undefined
          },
        },
        live: remote.live,
        registration: { mode: 'closed' },
        origins: [],
        nowMs,
        census: { read: async () => ({ ms: clock.ms, totals, vaults: rows }) },
        disk: async () => undefined,
        isReady: async () => true,
        version: '1',
        startMs: clock.ms - 7000,
        isExposed: false,
      },
      { page: 9, sort: 'size' },
    )
    // One keychain is too long to be replayed for a figure on a page.
    expect(read).toEqual([formatVaultId(chain.vaultId)])
    expect(view).toMatchObject({ upMs: 7000, waiting: 3, warnings: [] })
    expect(view.listed).toMatchObject({ page: 1, pages: 1 })
  })

  it('takes any query for a page and an order that there are', () => {
    expect(parseAdminQuery('3', 'push')).toEqual({ page: 3, sort: 'push' })
    const texts = fc.option(fc.string(), { nil: undefined })
    fc.assert(
      fc.property(texts, texts, (page, sort) => {
        const query = parseAdminQuery(page, sort)
        expect(Number.isSafeInteger(query.page) && query.page >= 1).toBe(true)
        expect(['size', 'quota', 'push', 'age']).toContain(query.sort)
      }),
    )
    for (const page of ['0', '-1', '1e9', '9999999', ' 2', 'x']) {
      expect(parseAdminQuery(page, 'constructor')).toEqual({ page: 1, sort: 'size' })
    }
  })
})

describe('findWarnings', () => {
  const fine = { isReady: true, disk: undefined, totals: LISTED.totals }
  const inside = { isExposed: false, origins: [] }

  it('warns of each thing, and of nothing else', () => {
    expect(findWarnings(inside, fine)).toEqual([])
    expect(findWarnings({ isExposed: true, origins: ['https://a.example'] }, fine)).toEqual([])
    const one = (warnings: string[]) => {
      expect(warnings.length).toBe(1)
      return warnings[0]
    }
    expect(one(findWarnings({ isExposed: true, origins: ['http://a'] }, fine))).toMatch(/https/)
    expect(one(findWarnings(inside, { ...fine, isReady: false }))).toMatch(/store/)
    const disk = { storeBytes: 1, freeBytes: GIB, sizeBytes: 100 * GIB }
    expect(one(findWarnings(inside, { ...fine, disk }))).toMatch(/nearly full/)
    const totals = { ...LISTED.totals, nearQuota: 2 }
    expect(one(findWarnings(inside, { ...fine, totals }))).toMatch(/^2 vaults have used 90 %/)
    const broken = { ...LISTED.totals, unreadable: 1 }
    expect(one(findWarnings(inside, { ...fine, totals: broken }))).toMatch(/1 vault cannot be read/)
  })

  it('does not call a large disk full that has much room', () => {
    const of = (free: number, size: number) =>
      isNearlyFull({ storeBytes: 0, freeBytes: free * GIB, sizeBytes: size * GIB })
    expect([of(9, 100), of(11, 100), of(60, 4000), of(40, 4000)]).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
})

describe('the text of numbers', () => {
  it('has three digits, and never a thousand of a unit', () => {
    const texts = [0, 999, 1000, 1023, 1024, 10_239, 1_047_552, 1_048_576, 5 * GIB, 2 ** 53]
    expect(texts.map((bytes) => formatBytes(bytes).replace('\u00a0', ' '))).toEqual([
      '0 B',
      '999 B',
      '0.98 KiB',
      '1.00 KiB',
      '1.00 KiB',
      '10.0 KiB',
      '1.00 MiB',
      '1.00 MiB',
      '5.00 GiB',
      '8.00 PiB',
    ])
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (bytes) => {
        expect(formatBytes(bytes)).toMatch(/^(\d{1,3}|\d{2}\.\d|\d\.\d\d)\u00a0([KMGTP]i)?B$/)
      }),
    )
  })

  it('tells how long and how long ago', () => {
    const [s, min, h, d] = [1000, 60_000, 3_600_000, 86_400_000]
    expect([5 * s, 61 * s, 3 * h + 2 * min, 40 * d + h].map(formatSpan)).toEqual([
      '5 s',
      '1 min',
      '3 h 2 min',
      '40 d 1 h',
    ])
    expect([0, 9 * s, 59 * min, 47 * h, 48 * h].map((ms) => formatAgo(0, ms))).toEqual([
      'just now',
      '9 s ago',
      '59 min ago',
      '47 h ago',
      '2 d ago',
    ])
  })
})
