/**
 * Admin style: the one style sheet of the admin page. It stands in the page itself, and the page's
 * policy names its hash, so nothing else can style it.
 */
export const ADMIN_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --sheet: #ffffff; --line: #dfe3e8; --faint: #eceff3;
  --text: #1a212b; --quiet: #5a6675; --accent: #2459c4; --fine: #1a7f4b; --warn: #9a5b00;
  --warn-sheet: #fff6e3; --warn-line: #ecc873; --full: #c2313c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1318; --sheet: #171c23; --line: #2a323c; --faint: #222932;
    --text: #e4e8ee; --quiet: #98a4b3; --accent: #84aaff; --fine: #57c98a; --warn: #f0bd62;
    --warn-sheet: #272011; --warn-line: #5d4a1d; --full: #f0717a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: 1.75rem 1.5rem 3rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .75rem; }
h1 { font-size: 1.35rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1rem; margin: 0; }
.quiet { color: var(--quiet); }
.small { font-size: .85rem; }
header .quiet { margin-left: auto; }
.state {
  display: inline-flex; align-items: center; gap: .4rem; padding: .1rem .6rem; border-radius: 1rem;
  border: 1px solid var(--line); background: var(--sheet); font-size: .85rem; font-weight: 600;
}
.state::before {
  content: ""; width: .55rem; height: .55rem; border-radius: 50%; background: currentColor;
}
.state.fine { color: var(--fine); }
.state.warn { color: var(--warn); }
.warnings {
  list-style: none; margin: 1.25rem 0 0; padding: .75rem 1rem; border-radius: .6rem;
  border: 1px solid var(--warn-line); background: var(--warn-sheet);
}
.warnings li + li { margin-top: .4rem; padding-top: .4rem; border-top: 1px solid var(--warn-line); }
section { margin-top: 1.25rem; }
.sheet { background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; }
.totals {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  margin: 1.25rem 0 0; overflow: hidden;
}
.totals div { padding: .8rem 1rem; box-shadow: 1px 1px 0 var(--line); }
.totals dt { color: var(--quiet); font-size: .85rem; }
.totals dd {
  margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums;
  line-height: 1.3;
}
.facts {
  display: grid; grid-template-columns: 6.5rem 1fr 6.5rem 1fr; margin: 0; padding: .4rem 1rem;
}
.facts dt, .facts dd { margin: 0; padding: .5rem .75rem .5rem 0; }
.facts dt { color: var(--quiet); }
.facts dt:nth-of-type(n+3), .facts dd:nth-of-type(n+3) { border-top: 1px solid var(--faint); }
.facts dd { overflow-wrap: anywhere; }
.facts ul { list-style: none; margin: 0; padding: 0; }
.bar {
  display: block; width: 100%; height: .4rem; border-radius: .2rem; overflow: hidden;
  background: var(--line);
}
.bar rect { fill: var(--accent); }
.bar.near rect { fill: var(--warn); }
.bar.full rect { fill: var(--full); }
.facts .bar { max-width: 24rem; margin-top: .4rem; }
.above {
  display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; margin-bottom: .6rem;
}
nav { display: flex; flex-wrap: wrap; gap: .25rem .9rem; }
.above nav { margin-left: auto; }
a { color: var(--accent); text-underline-offset: .2em; }
a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
table {
  width: 100%; border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums;
}
th {
  text-align: right; font-size: .85rem; font-weight: 500; color: var(--quiet);
  padding: .6rem .75rem; white-space: nowrap;
}
td {
  text-align: right; padding: .6rem .75rem; border-top: 1px solid var(--faint);
  white-space: nowrap;
}
th:first-child, td:first-child { text-align: left; padding-left: 1rem; }
th:last-child, td:last-child { text-align: left; padding-right: 1rem; width: 16%; min-width: 8rem; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.used { display: flex; align-items: center; gap: .6rem; }
.used span { width: 3.2rem; text-align: right; flex: none; }
.pages { margin-top: .8rem; align-items: baseline; }
.pages .quiet { margin-right: auto; }
footer { margin-top: 1.5rem; }
@media (max-width: 46rem) {
  main { padding: 1.1rem .9rem 2rem; }
  header .quiet { margin-left: 0; width: 100%; }
  .totals { grid-template-columns: 1fr 1fr; }
  .totals dd { font-size: 1.2rem; }
  .facts { grid-template-columns: 6.5rem 1fr; }
  .facts dt, .facts dd { padding-right: 0; }
  .facts dt:nth-of-type(n+2), .facts dd:nth-of-type(n+2) { border-top: 1px solid var(--faint); }
  .above nav { margin-left: 0; width: 100%; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1fr 1fr; gap: .15rem 1.25rem; padding: .75rem 1rem; }
  tbody tr + tr { border-top: 1px solid var(--line); }
  td, td:first-child, td:last-child {
    display: flex; justify-content: space-between; gap: .5rem; border: 0; padding: 0;
    width: auto; min-width: 0;
  }
  td::before { content: attr(data-label); color: var(--quiet); }
  td:first-child, td:last-child { grid-column: 1 / -1; }
  td:first-child { font-weight: 600; font-size: 1rem; }
  td:first-child::before { content: none; }
  .used { flex: 1; max-width: 70%; }
}
@media (max-width: 22rem) {
  tr { grid-template-columns: 1fr; }
}
`
