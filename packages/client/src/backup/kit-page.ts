/**
 * Kit page: how an emergency kit looks. One sheet of A4 or Letter, black on white, for somebody who
 * has never seen it before and is in trouble.
 */
import { encodeUtf8, formatBase64Url, sha256 } from '@blindcopy/protocol'

export type KitPage = {
  readonly words: readonly string[]
  readonly vaultId: string
  readonly remote: string
  readonly deviceNames: readonly string[]
  readonly madeMs: number
  /** The kit for a program; not printed. */
  readonly line: string
  /** The same as a QR code: its dark modules. */
  readonly code: readonly (readonly boolean[])[]
}

/** What there is to say of names and addresses takes a few lines (in any script; `.names` cuts what
 * is wider still), never a second sheet. */
const NAMES_MAX = 5
const NAME_CHARACTERS_MAX = 24
const SHORT_ADDRESS_CHARACTERS_MAX = 80

/** Never dark: a code that is turned to white on black does not scan. */
const STYLE = `
@page { margin: 10mm 12mm }
:root { color-scheme: only light }
* { box-sizing: border-box }
body { color: #000; background: #fff; max-width: 186mm; margin: 8mm auto;
  font: 10pt/1.35 system-ui, "Helvetica Neue", Arial, sans-serif }
@media print { body { margin: 0 auto } }
h1 { font-size: 20pt; line-height: 1.1; margin: 0 }
h2 { font-size: 11.5pt; margin: 3.5mm 0 1mm }
p { margin: 0 0 1.5mm }
header { display: flex; justify-content: space-between; align-items: flex-end;
  border-bottom: 0.7mm solid #000; padding-bottom: 2mm }
header p { margin: 0 }
.calm { margin: 3mm 0 0 }
.warning { border: 0.5mm solid #000; padding: 2mm 3mm; margin: 3mm 0 }
.phrase { display: flex; gap: 7mm; align-items: flex-start }
.phrase > div:first-child { flex: 1 }
.words { list-style: none; display: grid; grid-template-columns: repeat(4, 1fr);
  gap: 1mm 2mm; margin: 0; padding: 0 }
.words li { border-bottom: 0.2mm solid #000; padding: 0.6mm 0; white-space: nowrap;
  font: 12pt/1.3 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace }
.words b { display: inline-block; width: 6mm; font: 8pt system-ui, sans-serif }
.code { width: 50mm; flex: none; font-size: 8pt; line-height: 1.3 }
.code svg { display: block; width: 50mm; height: 50mm; margin: -3mm 0 0 }
dl { display: grid; grid-template-columns: 26mm 1fr; gap: 0.8mm 3mm; margin: 0;
  align-items: baseline }
dd { margin: 0; overflow-wrap: anywhere }
code { font: 9.5pt ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace }
.long { font-size: 8pt }
.names { max-height: 4.05em; overflow: hidden }
ol code { white-space: nowrap }
ol { margin: 0; padding-left: 5mm }
li { margin: 0 0 0.6mm }
.write { display: grid; grid-template-columns: 3fr 2fr; gap: 0 8mm }
.write p { border-bottom: 0.2mm solid #000; padding-top: 6mm; font-size: 9pt }
@media screen and (max-width: 760px) {
  body { margin: 5mm; font-size: 12pt }
  header, .phrase { display: block }
  .words { grid-template-columns: repeat(auto-fill, minmax(34mm, 1fr)) }
  .words li { font-size: 14pt }
  .code { width: auto; font-size: 10pt }
  .code svg { width: 100%; height: auto; max-width: 75mm; margin: 3mm auto 0 }
  dl, .write { display: block }
  dt { font-weight: bold }
  dd { margin-bottom: 1.5mm }
  code { font-size: 10.5pt; overflow-wrap: anywhere }
  ol { padding-left: 6mm }
  ol code { white-space: normal }
  ol code span { white-space: nowrap }
}
`

/** The person reads what it says, so whatever turns or hides text is shown as a dot. */
function escapeText(text: string): string {
  return text
    .replace(/[\p{Cc}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, '·')
    .replaceAll('&', '&amp;')
    .replace(/[<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
}

export function kitPage(kit: KitPage): string {
  const style = formatBase64Url(sha256(encodeUtf8(STYLE)))
    .replaceAll('-', '+')
    .replaceAll('_', '/')
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${style}='`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="blindcopy-kit" content="${escapeText(kit.line)}">
<title>Blindcopy emergency kit</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>Emergency kit</h1><p>Blindcopy · made ${dayOf(kit.madeMs)}</p></header>
<p class="calm">With this page and any computer you get back everything that was synced, even if
every device is gone. Take your time: nothing here expires.</p>
<p class="warning"><b>Whoever has this page has the vault</b>: everything in it, and everything that
comes into it later. Keep it on paper, in a place that is safe from others, from fire and from
water. Take no photo of it, do not mail it, and delete the file once it is printed.</p>
${phraseOf(kit)}
${placeOf(kit)}
${STEPS}
<div class="write"><p>Where Blindcopy comes from</p><p>Who else has a kit</p>
<p>Where the latest backup file is kept</p><p>Checked on</p></div>
</body>
</html>
`
}

function phraseOf({ words, code }: KitPage): string {
  const items = words.map((word, i) => `<li><b>${i + 1}</b>${escapeText(word)}</li>`).join('\n')
  return `<section class="phrase">
<div>
<h2>Recovery phrase</h2>
<p>24 words, in this order, row by row.</p>
<ol class="words">
${items}
</ol>
</div>
<div class="code">
${codeOf(code)}
<p>The same for a Blindcopy app to scan. Scan it with nothing else: other apps may pass on what they
read.</p>
</div>
</section>`
}

/** One path of horizontal runs: prints sharp at any size. */
function codeOf(code: KitPage['code']): string {
  const runs: string[] = []
  for (const [y, row] of code.entries()) {
    for (let x = 0; x < row.length; x++) {
      const start = x
      while (row[x] === true) x++
      if (x > start) runs.push(`M${start} ${y}h${x - start}v1h-${x - start}z`)
    }
  }
  const size = code.length
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}"
shape-rendering="crispEdges" role="img" aria-label="QR code of the recovery phrase">
<path d="${runs.join('')}"/></svg>`
}

function placeOf({ vaultId, remote, deviceNames }: KitPage): string {
  const isLong = remote.length > SHORT_ADDRESS_CHARACTERS_MAX
  return `<h2>The vault</h2>
<dl>
<dt>Remote</dt><dd><code${isLong ? ' class="long"' : ''}>${escapeText(remote)}</code></dd>
<dt>Vault</dt><dd><code>${escapeText(vaultId)}</code></dd>
<dt>Devices then</dt><dd class="names">${escapeText(namesOf(deviceNames))}</dd>
</dl>`
}

function namesOf(names: readonly string[]): string {
  const shown = names
    .slice(0, NAMES_MAX)
    .map((name) => [...name])
    .map((name) =>
      name.length > NAME_CHARACTERS_MAX
        ? `${name.slice(0, NAME_CHARACTERS_MAX).join('')}…`
        : name.join(''),
    )
  const more = names.length - shown.length
  const text = [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join(', ')
  return text === '' ? 'none' : text
}

/** What is typed is never broken inside of an option. */
const typed = (command: string): string =>
  `<code>${command
    .split(' ')
    .map((part) => `<span>${part}</span>`)
    .join(' ')}</code>`

const STEPS = `<h2>When every device is lost</h2>
<ol>
<li>Install Blindcopy on any computer, from where you first got it (below). Nobody who helps you
needs to see the words.</li>
<li>Open a terminal and run ${typed('blindcopy restore --vault my-vault --remote ADDRESS')} with
the address of the remote above. Type the 24 words when it asks for them. It says which word it does
not know, and you may try as often as you like.</li>
<li>If the remote is gone as well, take your latest backup file and any remote, old or new:
${typed('blindcopy backup restore FILE --vault my-vault --remote ADDRESS')}</li>
<li>${typed('blindcopy list --vault my-vault')} shows what came back.</li>
</ol>
<h2>When somebody may have seen this page</h2>
<p>The words cannot be changed. Make a new vault, with words of its own, move your records there
with <code>blindcopy export</code> and <code>import</code>, and destroy this page.</p>`

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
