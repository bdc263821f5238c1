/**
 * Nearest: of the names there are the one that was likely meant.
 */

/** More slips than this make another name. */
const SLIPS_MAX = 3

/** Undefined when none is near. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const shortened = written.slice(0, 64)
  let best: { name: string; slips: number } | undefined
  for (const name of names) {
    const slips = slipsBetween(shortened, name)
    const isNear = slips <= Math.min(SLIPS_MAX, Math.ceil(name.length / 3))
    if (isNear && slips < (best?.slips ?? Number.POSITIVE_INFINITY)) best = { name, slips }
  }
  return best?.name
}

/** Characters to add, take away or change (Levenshtein). */
function slipsBetween(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(changed, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    above = row
  }
  return above[b.length] ?? 0
}
