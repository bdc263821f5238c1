/**
 * One device of the benchmark, in a process of its own so that its peak memory is its own. Takes a job
 * from the command line, prints one JSON line for each thing it measured, and ends.
 */
import { createVaultOn, nodePlatform, openVaultOn, restoreVaultOn } from '@blindcopy/client'
import { peakMemory, watchMemory } from './memory.mjs'
import { keyOf, noteOf } from './notes.mjs'

const TRANSACTION_RECORDS = 1_000
const SINGLE_WRITES = 10_000

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
/** Monotonic and the same for all processes of the machine. */
const nowMs = () => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** With `via`, requests go to a proxy that counts them, while logins are for the remote itself. */
function platformOf({ remote, via }) {
  const platform = nodePlatform()
  if (via === undefined) return platform
  return { ...platform, fetch: (url, init) => fetch(url.replace(remote, via), init) }
}

async function timed(job) {
  const startMs = nowMs()
  await job()
  return (nowMs() - startMs) / 1_000
}

const jobs = {
  /** A new vault with `count` notes, written in transactions and uploaded. */
  async upload({ path, remote, via, count }) {
    const platform = platformOf({ remote, via })
    const { vault, recoveryPhrase } = await createVaultOn(platform, { path, remote })
    const notes = vault.collection('notes')
    let writeSeconds = 0
    for (let first = 0; first < count; first += TRANSACTION_RECORDS) {
      const last = Math.min(count, first + TRANSACTION_RECORDS)
      // Made beforehand: an app has its notes, and their keys, when it writes them.
      const made = flat(
        Array.from({ length: last - first }, (_, i) => [keyOf(first + i), noteOf(first + i)]),
      )
      writeSeconds += await timed(() =>
        vault.transaction(async (transaction) => {
          const target = transaction.collection(notes)
          for (const [key, note] of made) await target.put(key, note)
        }),
      )
    }
    const writePeak = peakMemory()
    const uploadSeconds = await timed(() => vault.sync.once())
    const measured = { writeSeconds, writePeak, uploadSeconds, peak: peakMemory() }
    print({ recoveryPhrase, ...measured, paddedBytes: await paddedBytes(vault) })
    await vault.close()
  },
  /** A second device, from nothing to everything. */
  async bootstrap({ path, remote, via, phrase, count }) {
    const platform = platformOf({ remote, via })
    const vault = await restoreVaultOn(platform, { path, remote, recoveryPhrase: phrase })
    const seconds = await timed(() => vault.sync.once())
    const peak = peakMemory()
    const notes = vault.collection('notes')
    let listed = 0
    const listSeconds = await timed(async () => {
      for await (const _ of notes) listed++
    })
    if (listed !== count) throw new Error(`listed ${listed} notes of ${count}`)
    const reads = Math.min(count, 5_000)
    const readSeconds = await timed(async () => {
      for (let i = 0; i < reads; i++) await notes.get(keyOf((i * 7919) % count))
    })
    print({ seconds, listSeconds, readSeconds, reads, peak })
    await vault.close()
  },
  /** Single writes, each awaited. */
  async single({ path, remote }) {
    const { vault } = await createVaultOn(nodePlatform(), { path, remote })
    const notes = vault.collection('notes')
    const seconds = await timed(async () => {
      for (let i = 0; i < SINGLE_WRITES; i++) await notes.put(keyOf(i), noteOf(i))
    })
    print({ count: SINGLE_WRITES, seconds })
    await vault.close()
  },
  /** Writes one note after another, each when the one before was seen, and says when. */
  async liveWriter({ path, rounds }) {
    const vault = await openVaultOn(nodePlatform(), { path })
    vault.sync.start()
    for await (const { phase } of vault.sync.watch()) if (phase === 'live') break
    print({ ready: true })
    const notes = vault.collection('live')
    let round = 0
    for await (const line of lines()) {
      if (line !== 'next' || round >= rounds) break
      print({ round, writtenMs: nowMs() })
      await notes.put('note', { ...noteOf(round), round })
      round++
    }
    await vault.close()
  },
  /** Says when each round could be read here. */
  async liveReader({ path }) {
    const vault = await openVaultOn(nodePlatform(), { path })
    vault.sync.start()
    const notes = vault.collection('live')
    const results = notes.watch()
    await results.next()
    for await (const { phase } of vault.sync.watch()) if (phase === 'live') break
    print({ ready: true })
    process.stdin.on('end', () => process.exit(0))
    process.stdin.resume()
    for await (const [item] of results) {
      if (item !== undefined) print({ round: item.fields.round, readMs: nowMs() })
    }
  },
}

/** Strings that were just put together are trees inside; those of an app are not. */
const flat = (value) => JSON.parse(JSON.stringify(value))

const ENVELOPE_OVERHEAD_BYTES = 78

/** What the records alone take, padded: what the wire's own cost is measured against. */
async function paddedBytes(vault) {
  let sizeBytes = 0
  for await (const view of vault.remoteView()) {
    if (view.type !== 'transaction') continue
    for (const record of view.records) sizeBytes += record.sizeBytes - ENVELOPE_OVERHEAD_BYTES
  }
  return sizeBytes
}

async function* lines() {
  let rest = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
}

watchMemory()
const [job, options] = process.argv.slice(2)
await jobs[job](JSON.parse(options))
