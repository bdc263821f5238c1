/**
 * Set reconciliation, measured: rounds, bytes each way and time for 0 to 10,000 differences in sets
 * of 10,000 to 1,000,000 records, both ends in this process over encoded messages; and over a real
 * remote on loopback, on LevelDB. Rounds and bytes hardly differ from run to run.
 *
 *   npm run bench:reconcile
 *   npm run bench:reconcile -- 10000        one size, without the remote
 */
import { randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import {
  answerReconcile,
  createPairSource,
  encodeMessage,
  Fingerprint,
  parseMessage,
  ReconcileAnswer,
  ReconcileRequest,
  Reconciliation,
  SetSummary,
} from '@blindcopy/protocol'
import { measureRemote } from './remote.mjs'

const SIZES = [10_000, 100_000, 1_000_000]
const DIFFERENCES = [0, 1, 100, 10_000]
const REMOTE_RECORDS = 100_000
const PAGE_PAIRS = 1_000

/** Pairs in order, in one piece of memory: a million objects would measure the collector. */
function makePairs(count) {
  const bytes = randomBytes(count * 32)
  const pairs = Array.from({ length: count }, (_, i) => bytes.subarray(i * 32, i * 32 + 32))
  return pairs.sort(Buffer.compare)
}

/** A sorted list is the index here: what a range costs is the store's, and measured with one below. */
function createEnd(pairs) {
  const startMs = performance.now()
  const summary = new SetSummary(pairs.length)
  for (const pair of pairs) summary.add(pair)
  const scanMs = performance.now() - startMs
  const fingerprint = new Fingerprint()
  for (const pair of pairs) fingerprint.add(pair)
  const state = {
    head: { seq: 1, chain: new Uint8Array(32) },
    count: pairs.length,
    fingerprint: fingerprint.toBytes(),
  }
  async function* readPairs({ first, last }) {
    for (let next = lowerBound(pairs, first); next < pairs.length; ) {
      const page = []
      for (; next < pairs.length && page.length < PAGE_PAIRS; next++) {
        if (Buffer.compare(pairs[next].subarray(0, 16), last) > 0) break
        page.push(pairs[next])
      }
      if (page.length > 0) yield page
      if (page.length < PAGE_PAIRS) return
    }
  }
  return { source: createPairSource({ summary, state: () => state, readPairs }), scanMs }
}

function lowerBound(pairs, id) {
  let low = 0
  let high = pairs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(pairs[middle].subarray(0, 16), id) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Half of the differences here, half there; equal sets have none. */
function makeEnds(count, differences) {
  const here = Math.ceil(differences / 2)
  const there = differences - here
  const pairs = makePairs(count + there)
  const alone = new Set()
  while (alone.size < differences) alone.add(Math.floor(Math.random() * pairs.length))
  const [mineOnly, theirsOnly] = [[...alone].slice(0, here), [...alone].slice(here)].map(
    (indexes) => new Set(indexes),
  )
  return [
    createEnd(pairs.filter((_, i) => !theirsOnly.has(i))),
    createEnd(pairs.filter((_, i) => !mineOnly.has(i))),
  ]
}

/** One reconciliation; `ask` sends an encoded request and gives the encoded answer. */
async function measure(source, ask) {
  const startMs = performance.now()
  const reconciliation = new Reconciliation(source)
  let [up, down, found] = [0, 0, 0]
  for (let asked = reconciliation.next(); asked !== null; asked = reconciliation.next()) {
    const request = encodeMessage(ReconcileRequest, asked)
    const answer = await ask(request)
    up += request.length
    down += answer.length
    const pages = reconciliation.take(parseMessage(ReconcileAnswer, answer))
    for await (const page of pages) found += page.length
  }
  return { rounds: reconciliation.rounds, up, down, found, ms: performance.now() - startMs }
}

const askOf = (source) => async (request) =>
  encodeMessage(
    ReconcileAnswer,
    await answerReconcile(source, parseMessage(ReconcileRequest, request)),
  )

const size = (bytes) => (bytes < 10_000 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KiB`)

function print(name, { rounds, up, down, found, ms }) {
  const columns = [name, rounds, size(up), size(down), found, `${ms.toFixed(1)} ms`]
  console.log(`| ${columns.join(' | ')} |`)
}

const chosen = process.argv
  .slice(2)
  .filter((arg) => /^\d+$/.test(arg))
  .map(Number)
console.log(`${cpus().length} cores, ${cpus()[0]?.model ?? ''}, Node ${process.version}\n`)
console.log(
  '| differences in records | rounds | up | down | found | time |\n|---|---|---|---|---|---|',
)
for (const count of chosen.length > 0 ? chosen : SIZES) {
  let scanMs = 0
  for (const differences of DIFFERENCES) {
    const [mine, theirs] = makeEnds(count, differences)
    scanMs = theirs.scanMs
    print(`${differences} in ${count}`, await measure(mine.source, askOf(theirs.source)))
  }
  const { source } = createEnd(makePairs(count))
  print(`all ${count}, empty asker`, await measure(createEnd([]).source, askOf(source)))
  print(`all ${count}, empty answerer`, await measure(source, askOf(createEnd([]).source)))
  console.log(`| scan of ${count} into a summary | | | | | ${scanMs.toFixed(1)} ms |`)
}
if (chosen.length === 0) {
  const ends = { createEnd, measure }
  for (const [name, result] of await measureRemote(REMOTE_RECORDS, ends)) print(name, result)
}
