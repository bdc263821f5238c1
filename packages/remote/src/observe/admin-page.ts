/**
 * Admin page: the view as HTML. It reads only, works without scripts, and loads nothing.
 *
 * Bars are drawn with numbers in attributes of SVG: the page's policy allows no style but that of
 * the one sheet. Everything that is put in is escaped by `html`; only the sheet itself is not.
 */
import { formatVaultId } from '@blindcopy/protocol'
import { html, raw } from 'hono/html'
import { ADMIN_STYLE } from './admin-style.ts'
import { formatAgo, formatBytes, formatCount, formatMoment, formatSpan } from './admin-text.ts'
import { type AdminView, type ListedVaults, VAULT_SORTS, type VaultRow } from './admin-view.ts'
import { NEAR_QUOTA } from './census.ts'

type Markup = ReturnType<typeof html>

/** Enough to tell vaults apart, and too little to find one elsewhere by. */
const VAULT_ID_CHARACTERS = 8

export function renderAdminPage(view: AdminView): string {
  const { warnings, listed } = view
  return String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Blindcopy remote</title>
<style>${raw(ADMIN_STYLE)}</style>
</head>
<body>
<main>
${renderHeader(view)}
${warnings.length === 0 ? '' : renderWarnings(warnings)}
${renderTotals(view)}
${renderHealth(view)}
${listed === undefined ? renderCounting() : renderVaults(view, listed)}
</main>
</body>
</html>
`)
}

function renderHeader({ warnings, nowMs }: AdminView): Markup {
  const state =
    warnings.length === 0
      ? html`<span class="state fine">All well</span>`
      : html`<span class="state warn">Needs a look</span>`
  return html`<header>
<h1>Blindcopy remote</h1>
${state}
<span class="quiet small">as of ${formatMoment(nowMs)}</span>
</header>`
}

function renderWarnings(warnings: readonly string[]): Markup {
  const items = warnings.map((text) => html`<li>${text}</li>`)
  return html`<ul class="warnings" aria-label="Warnings">${items}</ul>`
}

function renderTotals({ listed, sockets, waiting }: AdminView): Markup {
  const totals = listed?.totals
  const figures = [
    ['Vaults', formatCount(totals?.vaults)],
    ['Records', formatCount(totals?.records)],
    ['Stored', formatBytes(totals?.bytes)],
    ['History', formatBytes(totals?.historyBytes)],
    ['Live sockets', formatCount(sockets)],
    ['Requests waiting', formatCount(waiting)],
  ].map(([name, figure]) => html`<div><dt>${name}</dt><dd>${figure}</dd></div>`)
  return html`<dl class="totals sheet">${figures}</dl>`
}

function renderHealth(view: AdminView): Markup {
  const { registration, version, upMs, nowMs, isReady } = view
  const origins = view.origins.map((origin) => html`<li>${origin}</li>`)
  return html`<section aria-labelledby="health">
<div class="above"><h2 id="health">Health</h2></div>
<dl class="facts sheet">
<dt>Disk</dt><dd>${renderDisk(view)}</dd>
<dt>Origins</dt><dd><ul>${origins}</ul></dd>
<dt>Store</dt><dd>${isReady ? 'answers' : 'does not answer, or the remote is going down'}</dd>
<dt>New vaults</dt><dd>${REGISTRATION[registration]}</dd>
<dt>Running</dt><dd>${formatSpan(upMs)}, since ${formatMoment(nowMs - upMs)}</dd>
<dt>Version</dt><dd>${version}</dd>
</dl>
</section>`
}

const REGISTRATION = {
  open: 'anybody may create one',
  token: 'with the registration token',
  closed: 'none are taken',
} as const

function renderDisk({ disk }: AdminView): Markup {
  if (disk === undefined) return html`unknown`
  const { storeBytes, freeBytes, sizeBytes } = disk
  const used = sizeBytes === 0 ? 0 : 1 - freeBytes / sizeBytes
  const room = `${formatBytes(freeBytes)} free of ${formatBytes(sizeBytes)}`
  const bar = renderBar(used, `${formatShare(used)} of the disk is used`)
  return html`${room}; ${formatBytes(storeBytes)} stored${bar}`
}

function renderCounting(): Markup {
  const text = 'The vaults are being counted. Load the page again in a moment.'
  return renderSection(html``, html`<p class="quiet">${text}</p>`)
}

function renderVaults(view: AdminView, listed: ListedVaults): Markup {
  const { rows, totals, remembered, countedMs } = listed
  if (rows.length === 0) {
    const text = 'There is none yet. The first device that is connected creates one.'
    return renderSection(html``, html`<p class="quiet">${text}</p>`)
  }
  const all = formatCount(totals.vaults)
  const shown =
    remembered < totals.vaults ? `the ${formatCount(remembered)} largest of ${all}` : all
  const heads = COLUMNS.map((name) => html`<th scope="col">${name}</th>`)
  return renderSection(
    html`<span class="quiet small">${shown}, counted ${formatAgo(countedMs, view.nowMs)}</span>
${renderSorts(listed)}`,
    html`<table class="sheet">
<thead><tr>${heads}</tr></thead>
<tbody>
${rows.map((row) => renderRow(row, view.nowMs))}
</tbody>
</table>
${renderPages(listed)}`,
  )
}

function renderSection(beside: Markup, content: Markup): Markup {
  return html`<section aria-labelledby="vaults">
<div class="above"><h2 id="vaults">Vaults</h2>${beside}</div>
${content}
</section>`
}

const SORT_NAMES = { size: 'Size', quota: 'Quota', push: 'Last push', age: 'Oldest' } as const

function renderSorts({ sort }: ListedVaults): Markup {
  const links = VAULT_SORTS.map((other) => {
    const current = other === sort ? raw(' aria-current="true"') : ''
    return html`<a href="?sort=${other}"${current}>${SORT_NAMES[other]}</a>`
  })
  return html`<nav class="small" aria-label="Order"><span class="quiet">Order</span>${links}</nav>`
}

const COLUMNS = [
  'Vault',
  'Records',
  'Size',
  'History',
  'Devices',
  'Sockets',
  'Last push',
  'Quota used',
] as const

function renderRow(row: VaultRow, nowMs: number): Markup {
  const { vaultId, records, bytes, historyBytes, devices, sockets, pushedMs, quota, use } = row
  const share = formatShare(use)
  const of = `${formatBytes(quota.bytesMax)} and ${formatCount(quota.recordsMax)} records`
  const bar = renderBar(use, `${share} of ${of}`)
  return html`<tr>
<td><code>${formatVaultId(vaultId).slice(0, VAULT_ID_CHARACTERS)}</code></td>
<td data-label="Records">${formatCount(records)}</td>
<td data-label="Size">${formatBytes(bytes)}</td>
<td data-label="History">${formatBytes(historyBytes)}</td>
<td data-label="Devices">${formatCount(devices)}</td>
<td data-label="Sockets">${formatCount(sockets)}</td>
<td data-label="Pushed">${pushedMs === 0 ? 'never' : formatAgo(pushedMs, nowMs)}</td>
<td data-label="Quota"><span class="used">${bar}<span>${share}</span></span></td>
</tr>
`
}

function renderBar(share: number, label: string): Markup {
  const level = share >= 1 ? ' full' : share >= NEAR_QUOTA ? ' near' : ''
  const width = Math.min(100, Math.max(0, share * 100)).toFixed(1)
  const box = raw('viewBox="0 0 100 6" preserveAspectRatio="none"')
  return html`<svg class="bar${level}" role="img" aria-label="${label}" ${box}>
<title>${label}</title><rect width="${width}" height="6"></rect></svg>`
}

function formatShare(share: number): string {
  if (share > 0 && share < 0.01) return '< 1 %'
  return `${Math.floor(share * 100)} %`
}

function renderPages({ page, pages, sort }: ListedVaults): Markup {
  if (pages === 1) return html``
  const link = (to: number, text: string): Markup =>
    to < 1 || to > pages || to === page
      ? html`<span class="quiet">${text}</span>`
      : html`<a href="?sort=${sort}&amp;page=${to}">${text}</a>`
  return html`<nav class="pages small" aria-label="Pages">
<span class="quiet">Page ${page} of ${formatCount(pages)}</span>
${link(1, 'First')}
${link(page - 1, 'Previous')}
${link(page + 1, 'Next')}
${link(pages, 'Last')}
</nav>`
}
