/**
 * What fan-out, hash size and leaf threshold of set reconciliation were chosen by (decision 0016):
 * bytes and rounds of a descent from the root, reckoned for sets of random ids, beside the real
 * implementation, which has one choice only.
 *
 *   node bench/reconcile/choose.mjs
 */

const LIST_HEAD_BYTES = 3
const PAIR_BYTES = 32

/** Ids as whole numbers of 48 bits, ascending; a record in `changed` differs between the ends. */
function makeSet(count, differences) {
  const ids = Array.from({ length: count }, () => Math.floor(Math.random() * 2 ** 48))
  ids.sort((a, b) => a - b)
  const changed = new Uint8Array(count)
  for (let left = differences; left > 0; ) {
    const at = Math.floor(Math.random() * count)
    if (changed[at]) continue
    changed[at] = 1
    left--
  }
  return { ids, changed }
}

const countBytes = (count) => (count < 128 ? 1 : count < 16_384 ? 2 : 3)

/** Level by level; a node is a range of the sorted ids. */
function descend({ ids, changed }, { bits, hashBytes, leaf }) {
  let nodes = [{ from: 0, to: ids.length, low: 0, depth: 0 }]
  let [up, down, rounds] = [0, 0, 0]
  while (nodes.length > 0) {
    rounds++
    const next = []
    for (const { from, to, low, depth } of nodes) {
      up += 1 + Math.ceil(depth / 8)
      if (to - from <= leaf) {
        down += LIST_HEAD_BYTES + PAIR_BYTES * (to - from)
        continue
      }
      down++
      const width = 2 ** (48 - depth - bits)
      let start = from
      for (let child = 0; child < 2 ** bits; child++) {
        const childLow = low + child * width
        let end = start
        let differs = false
        for (; end < to && ids[end] < childLow + width; end++) differs ||= changed[end] === 1
        down += end > start ? countBytes(end - start) + hashBytes : 1
        if (differs) next.push({ from: start, to: end, low: childLow, depth: depth + bits })
        start = end
      }
    }
    nodes = next
  }
  return { up, down, rounds }
}

const kib = (bytes) => (bytes / 1024).toFixed(1)

for (const [count, differences] of [
  [100_000, 1],
  [100_000, 100],
  [1_000_000, 100],
  [100_000, 10_000],
]) {
  const set = makeSet(count, differences)
  console.log(`\n${differences} differences in ${count}: KiB up + down, rounds`)
  for (const bits of [2, 3, 4, 5, 6, 8]) {
    const row = [2, 4, 8, 16, 32].map((leaf) => {
      const { up, down, rounds } = descend(set, { bits, hashBytes: 6, leaf })
      return `${kib(up)}+${kib(down)} (${rounds})`.padStart(17)
    })
    console.log(`fan-out ${String(2 ** bits).padStart(3)}, leaf 2 4 8 16 32:`, ...row)
  }
  const hashes = [4, 6, 8, 16].map((hashBytes) => {
    const { up, down } = descend(set, { bits: 4, hashBytes, leaf: 4 })
    return `${hashBytes} B ${kib(up + down)}`
  })
  console.log('fan-out  16, leaf 4, by hash:', hashes.join(', '))
}
