/**
 * The main job, measured: local writes, first upload, bootstrap of a fresh device, one live change, at
 * 10,000 and 100,000 notes; bytes a record on disk and on the wire; peak memory of every process; and
 * the machine's raw limits in the same run.
 *
 *   npm run bench                 both sizes
 *   npm run bench -- 10000        one size
 *   npm run bench -- --json       one JSON object, for a baseline
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rawHttp, rawSeal, rawStore } from './raw.mjs'

const LIVE_ROUNDS = 200
const here = (name) => fileURLToPath(new URL(name, import.meta.url))

const args = process.argv.slice(2)
const asJson = args.includes('--json')
const sizes = args.filter((arg) => /^\d+$/.test(arg)).map(Number)

/** A child process that prints JSON lines. */
function start(script, ...parameters) {
  const child = spawn(process.execPath, [here(script), ...parameters], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting = []
  const printed = []
  let rest = ''
  const hand = (line) => (waiting.length > 0 ? waiting.shift()(line) : printed.push(line))
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) hand(JSON.parse(part))
  })
  const ended = new Promise((resolve, reject) => {
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${script}: ${code}`))))
  })
  const failed = ended.then(() => new Promise(() => undefined))
  const line = () =>
    Promise.race([
      failed,
      printed.length > 0
        ? Promise.resolve(printed.shift())
        : new Promise((resolve) => waiting.push(resolve)),
    ])
  return { child, line, ended, say: (text) => child.stdin.write(`${text}\n`) }
}

const device = (job, options) => start('device.mjs', job, JSON.stringify(options))

async function runDevice(job, options) {
  const { line, ended } = device(job, options)
  const result = await line()
  await ended
  return result
}

async function folderBytes(path) {
  let sizeBytes = 0
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sizeBytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return sizeBytes
}

/** Counts the bytes of all connections to the remote, both ways, headers included. */
async function countingProxy(target) {
  const { port } = new URL(target)
  const counted = { up: 0, down: 0 }
  const server = createServer((client) => {
    const remote = createConnection({ port: Number(port), host: '127.0.0.1' })
    client.on('data', (chunk) => {
      counted.up += chunk.length
    })
    remote.on('data', (chunk) => {
      counted.down += chunk.length
    })
    client.pipe(remote).pipe(client)
    client.on('error', () => remote.destroy())
    remote.on('error', () => client.destroy())
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, counted, server }
}

async function measureSize(count) {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
  const remote = start('remote.mjs', join(folder, 'remote'))
  const { url } = await remote.line()
  try {
    const single = await runDevice('single', { path: join(folder, 'single'), remote: url })
    const phone = join(folder, 'phone')
    const laptop = join(folder, 'laptop')
    const upload = await runDevice('upload', { path: phone, remote: url, count })
    const phrase = upload.recoveryPhrase
    const bootstrap = await runDevice('bootstrap', { path: laptop, remote: url, phrase, count })
    const live = await measureLive({ phone, laptop })
    const disk = {
      client: (await folderBytes(laptop)) / count,
      remote: (await folderBytes(join(folder, 'remote'))) / count,
    }
    remote.child.stdin.end()
    const { peak } = await remote.line()
    return { count, single, upload, bootstrap, live, disk, remotePeak: peak }
  } finally {
    remote.child.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measureLive({ phone, laptop }) {
  const reader = device('liveReader', { path: laptop })
  const writer = device('liveWriter', { path: phone, rounds: LIVE_ROUNDS })
  await Promise.all([reader.line(), writer.line()])
  const delaysMs = []
  for (let round = 0; round < LIVE_ROUNDS; round++) {
    writer.say('next')
    const { writtenMs } = await writer.line()
    let seen = await reader.line()
    while (seen.round !== round) seen = await reader.line()
    delaysMs.push(seen.readMs - writtenMs)
  }
  writer.say('end')
  reader.child.stdin.end()
  await Promise.all([writer.ended, reader.ended])
  delaysMs.sort((a, b) => a - b)
  return { p50Ms: delaysMs[LIVE_ROUNDS / 2], p95Ms: delaysMs[Math.floor(LIVE_ROUNDS * 0.95)] }
}

/** Bytes on the wire, in a run of its own, because the proxy that counts them costs time. */
async function measureWire(count) {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
  const remote = start('remote.mjs', join(folder, 'remote'))
  const { url } = await remote.line()
  const proxy = await countingProxy(url)
  try {
    // The remote takes logins for its own address only, and the proxy has another.
    const options = { remote: url, via: proxy.url, count }
    const upload = await runDevice('upload', { ...options, path: join(folder, 'phone') })
    const up = { ...proxy.counted }
    const phrase = upload.recoveryPhrase
    await runDevice('bootstrap', { ...options, path: join(folder, 'laptop'), phrase })
    return {
      upload: up.up / count,
      bootstrap: (proxy.counted.down - up.down) / count,
      padded: upload.paddedBytes / count,
    }
  } finally {
    proxy.server.close()
    remote.child.stdin.end()
    await remote.line()
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the process itself held at most, and with mapped files. */
const memoryOf = ({ ownMb, residentMb }) => `${Math.round(ownMb)} (${Math.round(residentMb)})`

function report({ machine, raw, wire, results }) {
  const rate = (count, seconds) => Math.round(count / seconds)
  const table = results.map((result) => {
    const { count, single, upload, bootstrap, live, disk, remotePeak } = result
    const write = rate(count, upload.writeSeconds)
    return {
      notes: count,
      'writes one by one /s': rate(single.count, single.seconds),
      'writes in transactions /s': write,
      'of raw LevelDB': (write / raw.store.writes).toFixed(2),
      'upload /s': rate(count, upload.uploadSeconds),
      'of raw HTTP': (rate(count, upload.uploadSeconds) / raw.http.records).toFixed(2),
      'bootstrap /s': rate(count, bootstrap.seconds),
      'list /s': rate(count, bootstrap.listSeconds),
      'get /s': rate(bootstrap.reads, bootstrap.readSeconds),
      'live p50 ms': live.p50Ms.toFixed(2),
      'live p95 ms': live.p95Ms.toFixed(2),
      'of small POST': (live.p50Ms / raw.http.smallMs).toFixed(1),
      'memory, writer MB': memoryOf(upload.peak),
      'memory, bootstrap MB': memoryOf(bootstrap.peak),
      'memory, remote MB': memoryOf(remotePeak),
      'disk B/note, client': Math.round(disk.client),
      'disk B/note, remote': Math.round(disk.remote),
    }
  })
  console.log(`${machine.cores} cores, ${machine.model}, Node ${machine.node}`)
  console.log(
    `raw: LevelDB ${raw.store.writes} records/s (synced ${raw.store.syncedWrites}), seal ${raw.seal}/s, HTTP ${raw.http.records} records/s, small POST ${raw.http.smallMs.toFixed(2)} ms`,
  )
  console.log(
    `wire: upload ${wire.upload.toFixed(1)} B/note, bootstrap ${wire.bootstrap.toFixed(1)} B/note, padded record ${wire.padded.toFixed(1)} B: ${(wire.upload - wire.padded).toFixed(1)} B and ${(wire.bootstrap - wire.padded).toFixed(1)} B above it`,
  )
  const names = Object.keys(table[0] ?? {})
  for (const name of names) {
    console.log(name.padEnd(28), ...table.map((row) => String(row[name]).padStart(10)))
  }
}

const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
const raw = {
  store: await rawStore(join(folder, 'raw')),
  seal: await rawSeal(),
  http: await rawHttp(),
}
await rm(folder, { recursive: true, force: true })
const wire = await measureWire(10_000)
const results = []
for (const count of sizes.length > 0 ? sizes : [10_000, 100_000]) {
  results.push(await measureSize(count))
}
const machine = { cores: cpus().length, model: cpus()[0]?.model ?? '', node: process.version }
if (asJson) {
  const withoutPhrases = results.map(({ upload: { recoveryPhrase: _, ...upload }, ...result }) => ({
    ...result,
    upload,
  }))
  console.log(JSON.stringify({ machine, raw, wire, results: withoutPhrases }, null, 2))
} else {
  report({ machine, raw, wire, results })
}
