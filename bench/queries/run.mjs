/**
 * Queries, measured on one device over 100,000 notes on its disk: building the indexes, narrow queries
 * with and without them, and what one change costs a live query. No remote takes part.
 *
 *   npm run bench:queries                 100,000 notes
 *   npm run bench:queries -- 10000        another size
 *   npm run bench:queries -- --json       one JSON object
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVault } from '@blindcopy/client'
import { keyOf, noteOf } from '../main-job/notes.mjs'

const TRANSACTION_RECORDS = 1_000
const QUERIES = 2_000
const SCANS = 5
const UPDATES = 1_000
/** How many lists the notes are in: a narrow query finds some of the notes of one. */
const NOTES_IN_LIST = 200
const INDEXES = ['due', ['list', 'due']]

const args = process.argv.slice(2)
const asJson = args.includes('--json')
const count = Number(args.find((arg) => /^\d+$/.test(arg)) ?? 100_000)
const listCount = Math.ceil(count / NOTES_IN_LIST)

const nowMs = () => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** The main job's notes, in lists, each due on a day of its own. */
const queryNoteOf = (index) => ({
  ...noteOf(index),
  list: `list-${(index * 7919) % listCount}`,
  due: new Date(1_700_000_000_000 + ((index * 104_729) % count) * 60_000),
})

async function heapBytes() {
  global.gc?.()
  await new Promise((resolve) => setImmediate(resolve))
  global.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

async function timed(job) {
  const startMs = nowMs()
  await job()
  return nowMs() - startMs
}

function summaryOf(durations, processorMs) {
  const sorted = [...durations].sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { p50: at(0.5), p99: at(0.99), processor: processorMs / durations.length }
}

/** What this process has used of the processor: other programs cannot make it longer. */
function processorMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Runs a job so many times, after the compiler has seen it, and sums up how long it took, in ms. */
async function repeated(times, job, { prepare = (i) => i, warm = Math.min(200, times) } = {}) {
  for (let i = 0; i < warm; i++) await job(prepare(i))
  const prepared = Array.from({ length: times }, (_, i) => prepare(warm + i))
  const durations = []
  const startMs = processorMs()
  for (const each of prepared) durations.push(await timed(() => job(each)))
  return summaryOf(durations, processorMs() - startMs)
}

async function write(vault) {
  const notes = vault.collection('notes')
  for (let first = 0; first < count; first += TRANSACTION_RECORDS) {
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(notes)
      for (let i = first; i < Math.min(count, first + TRANSACTION_RECORDS); i++) {
        await target.put(keyOf(i), queryNoteOf(i))
      }
    })
  }
}

const QUERIES_BY_NAME = {
  one: (i) => ({ where: { due: queryNoteOf((i * 31) % count).due } }),
  tenOfList: (i) => ({
    where: { list: `list-${i % listCount}` },
    orderBy: { due: 'desc' },
    limit: 10,
  }),
  list: (i) => ({ where: { list: `list-${i % listCount}` } }),
  newest: () => ({ orderBy: { due: 'desc' }, limit: 10 }),
}

async function measureLive(notes) {
  const results = notes.watch({ where: { list: 'list-0' }, orderBy: 'due', limit: 20 })
  await results.next()
  const due = new Date(0)
  return repeated(UPDATES, async (i) => {
    due.setTime(i)
    await notes.put(keyOf(0), { ...queryNoteOf(0), list: 'list-0', due, round: i })
    await results.next()
  })
}

async function measure(vault) {
  const plain = vault.collection('notes')
  const indexed = vault.collection('notes', { indexes: INDEXES })
  const scanned = {}
  for (const [name, queryOf] of Object.entries(QUERIES_BY_NAME)) {
    scanned[name] = await repeated(SCANS, (query) => plain.query(query), {
      prepare: queryOf,
      warm: 1,
    })
  }
  const before = await heapBytes()
  const buildMs = await timed(() => indexed.query(QUERIES_BY_NAME.one(0)))
  const indexBytes = (await heapBytes()) - before
  const found = {}
  const opened = {}
  for (const [name, queryOf] of Object.entries(QUERIES_BY_NAME)) {
    opened[name] = (await indexed.explain(queryOf(1))).opened
    found[name] = await repeated(QUERIES, (query) => indexed.query(query), { prepare: queryOf })
  }
  const get = await repeated(QUERIES, (i) => plain.get(keyOf((i * 31) % count)))
  const others = vault.collection('others')
  const put = await repeated(UPDATES, (i) => others.put('one', { ...queryNoteOf(0), i }))
  const live = await measureLive(indexed)
  return { count, buildMs, indexBytes, opened, found, scanned, get, put, live }
}

function print(measured) {
  const ms = ({ p50, p99, processor }) =>
    `${[p50, p99, processor].map((value) => value.toFixed(2)).join(' / ')} ms`
  const { found, scanned, opened } = measured
  console.log(
    `${cpus()[0]?.model}, Node ${process.versions.node}, ${count} notes, p50 / p99 / processor time\n`,
  )
  console.log(`two indexes built        ${(measured.buildMs / 1_000).toFixed(2)} s`)
  const perNote = Math.round(measured.indexBytes / count)
  console.log(
    `memory of both           ${(measured.indexBytes / 1e6).toFixed(1)} MB, ${perNote} B a note`,
  )
  for (const name of Object.keys(found)) {
    const label = `${name}, ${opened[name]} opened`.padEnd(24)
    console.log(`${label} ${ms(found[name])}   without index ${ms(scanned[name])}`)
  }
  console.log(`get                      ${ms(measured.get)}`)
  console.log(`put                      ${ms(measured.put)}`)
  console.log(`put, until a watch shows ${ms(measured.live)}`)
}

const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
try {
  const { vault } = await createVault({ path: join(folder, 'vault'), remote: 'http://127.0.0.1:9' })
  await write(vault)
  const measured = await measure(vault)
  await vault.close()
  if (asJson) console.log(JSON.stringify(measured))
  else print(measured)
} finally {
  await rm(folder, { recursive: true, force: true })
}
