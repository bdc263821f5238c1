/**
 * Load on a remote: many vaults, many devices of one, one that is very large.
 *
 *   npm run bench:load
 *
 * The load is made in this process and the remote runs in another. What this process spends is part
 * of every latency, and of every rate where both share two cores.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLine } from './line.mjs'
import { openVault } from './vault.mjs'

const VAULTS = Number(process.env.VAULTS ?? 1_000)
const DEVICES = Number(process.env.DEVICES ?? 64)
const LARGE_RECORDS = Number(process.env.LARGE_RECORDS ?? 1_000_000)
const SECONDS = Number(process.env.SECONDS ?? 10)
const CONNECTIONS = 128
const KIB = 1024
const REMOTE = fileURLToPath(new URL('./remote.mjs', import.meta.url))

async function startRemote(path) {
  const child = fork(REMOTE, [path], { execArgv: ['--expose-gc'] })
  const [{ url }] = await once(child, 'message')
  return {
    url,
    async memory() {
      child.send('memory')
      const [memory] = await once(child, 'message')
      return memory
    },
    async close() {
      child.send('close')
      await once(child, 'exit')
    },
  }
}

const percentile = (sorted, part) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]

function summary(latenciesMs) {
  const sorted = Float64Array.from(latenciesMs).sort()
  const of = (part) => `${percentile(sorted, part).toFixed(1)} ms`
  return `p50 ${of(0.5)}, p99 ${of(0.99)}, worst ${of(1)}`
}

const show = (what, result) => console.log(`${what.padEnd(58)} ${result}`)

/** As many at a time, until the time is over. */
async function closedLoop(seconds, atOnce, work) {
  const untilMs = performance.now() + seconds * 1000
  const latencies = []
  const worker = async () => {
    while (performance.now() < untilMs) {
      const startMs = performance.now()
      await work()
      latencies.push(performance.now() - startMs)
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: atOnce }, worker))
  return { latencies, perSecond: (latencies.length / (performance.now() - startMs)) * 1000 }
}

/** So many a second, begun at their time whether or not earlier ones are answered. */
async function openLoop(seconds, perSecond, work) {
  const latencies = []
  const pending = []
  const startMs = performance.now()
  const count = seconds * perSecond
  for (let i = 0; i < count; ) {
    const dueCount = Math.min(count, ((performance.now() - startMs) * perSecond) / 1000)
    for (; i < dueCount; i++) {
      const dueMs = startMs + (i * 1000) / perSecond
      pending.push(work().then(() => latencies.push(performance.now() - dueMs)))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(pending)
  return { latencies }
}

async function inGroups(count, atOnce, work) {
  const results = []
  for (let first = 0; first < count; first += atOnce) {
    const group = Array.from({ length: Math.min(atOnce, count - first) }, (_, i) => work(first + i))
    results.push(...(await Promise.all(group)))
  }
  return results
}

const kib = (bytes, count) => `${(bytes / count / KIB).toFixed(1)} KiB`

async function manyVaults(remote, line) {
  const before = await remote.memory()
  const vaults = (await inGroups(VAULTS, 32, () => openVault(line))).map(([device]) => device)
  const withVaults = await remote.memory()
  const total = ({ rss }) => rss
  show(
    `${VAULTS} vaults, idle: memory of one (heap)`,
    kib(withVaults.heapUsed - before.heapUsed, VAULTS),
  )
  const sockets = await inGroups(VAULTS, 32, (i) => vaults[i].goLive())
  const withSockets = await remote.memory()
  const held = (m) => m.heapUsed + m.external
  show(
    'one idle live socket: memory (heap and buffers)',
    kib(held(withSockets) - held(withVaults), VAULTS),
  )
  show('the same, resident', kib(total(withSockets) - total(withVaults), VAULTS))

  const any = () => vaults[Math.floor(Math.random() * vaults.length)]
  const pushOne = () => {
    const device = any()
    return device.push([device.transaction(1, 100)])
  }
  await closedLoop(2, CONNECTIONS, pushOne)
  const pushes = await closedLoop(SECONDS, CONNECTIONS, pushOne)
  show(
    `pushes of one record, ${CONNECTIONS} at once`,
    `${pushes.perSecond.toFixed(0)} a second, ${summary(pushes.latencies)}`,
  )
  const mixed = await closedLoop(SECONDS, CONNECTIONS, () =>
    Math.random() < 0.3 ? any().pull() : pushOne(),
  )
  show(
    'seven pushes to three pulls',
    `${mixed.perSecond.toFixed(0)} a second, ${summary(mixed.latencies)}`,
  )
  for (const perSecond of [250, 500, 1_000]) {
    const { latencies } = await openLoop(SECONDS, perSecond, pushOne)
    show(`pushes at a steady ${perSecond} a second`, summary(latencies))
  }
  const after = await remote.memory()
  show('resident memory of the remote at the end', `${(after.rss / KIB / KIB).toFixed(0)} MiB`)
  for (const socket of sockets) socket.terminate()
}

async function manyDevices(line) {
  const devices = await openVault(line, DEVICES)
  let arrivals = 0
  let awaited
  const latencies = []
  const sockets = await inGroups(DEVICES, 16, (i) =>
    devices[i].goLive(() => {
      arrivals++
      if (arrivals === DEVICES) awaited?.()
    }),
  )
  const pushed = []
  for (let i = 0; i < 300; i++) {
    arrivals = 0
    const arrived = new Promise((resolve) => {
      awaited = resolve
    })
    const startMs = performance.now()
    const device = devices[i % DEVICES]
    await device.push([device.transaction(1, 1000)])
    pushed.push(performance.now() - startMs)
    await arrived
    latencies.push(performance.now() - startMs)
  }
  show(`one vault, ${DEVICES} live devices: a push`, summary(pushed))
  show('until every device has it', summary(latencies))
  const all = await closedLoop(SECONDS, DEVICES, () => {
    const device = devices[Math.floor(Math.random() * DEVICES)]
    return device.push([device.transaction(1, 1000)])
  })
  show('all of them pushing', `${all.perSecond.toFixed(0)} a second, ${summary(all.latencies)}`)
  for (const socket of sockets) socket.terminate()
}

async function oneLarge(line) {
  const [large] = await openVault(line)
  const startMs = performance.now()
  for (let i = 0; i < LARGE_RECORDS; i += 10_000) {
    await large.push(Array.from({ length: 10 }, () => large.transaction(1_000)))
  }
  const seconds = (performance.now() - startMs) / 1000
  show(
    `one vault of ${LARGE_RECORDS} records: filling it`,
    `${(LARGE_RECORDS / seconds).toFixed(0)} records a second`,
  )
  const small = (await inGroups(100, 16, () => openVault(line))).map(([device]) => device)
  const pushOne = () => {
    const device = small[Math.floor(Math.random() * small.length)]
    return device.push([device.transaction(1, 100)])
  }
  const alone = await openLoop(SECONDS, 200, pushOne)
  show('100 small vaults, 200 pushes a second: alone', summary(alone.latencies))
  let isOver = false
  let pages = 0
  const bootstrap = async () => {
    for (let since = 0; !isOver; since = (since + 10) % (LARGE_RECORDS / 1_000)) {
      await large.pull(since)
      pages++
    }
  }
  const bootstraps = [bootstrap(), bootstrap()]
  const read = await openLoop(SECONDS, 200, pushOne)
  isOver = true
  await Promise.all(bootstraps)
  show(
    'the same beside two bootstraps of the large one',
    `${summary(read.latencies)}; ${pages} pages of 4 MiB`,
  )
  isOver = false
  let heavy = 0
  const pushing = (async () => {
    while (!isOver) {
      await large.push(Array.from({ length: 10 }, () => large.transaction(1_000)))
      heavy += 10_000
    }
  })()
  const written = await openLoop(SECONDS, 200, pushOne)
  isOver = true
  await pushing
  show(
    'the same beside the large one pushing without end',
    `${summary(written.latencies)}; ${heavy} records`,
  )
}

const folder = await mkdtemp(join(tmpdir(), 'blindcopy-load-'))
const remote = await startRemote(join(folder, 'vaults'))
const line = createLine(remote.url, CONNECTIONS)
try {
  await manyVaults(remote, line)
  await manyDevices(line)
  await oneLarge(line)
} finally {
  line.close()
  await remote.close()
  await rm(folder, { recursive: true, force: true })
}
