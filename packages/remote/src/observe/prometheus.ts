/**
 * Prometheus: counts for one remote, with a registry of its own. The only file that imports
 * prom-client, and through it the process's own numbers (memory, event loop, garbage collection).
 *
 * docs/observability.md lists every name; prometheus.test.ts keeps list and registry the same.
 */
import type { ProtocolErrorCode } from '@blindcopy/protocol'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Gauges, Metrics } from './metrics.ts'

/** Seconds. */
const REQUEST_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]
const COMMIT_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
/** These stand at 0 from the start, so that the first one of a kind is seen as an increase. */
const VERDICTS = ['applied', 'repeated', 'conflict', 'refused']
const ALERTED_CODES: readonly ProtocolErrorCode[] = [
  'internal',
  'storage-full',
  'quota-exceeded',
  'too-many-requests',
]
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
/** Counted when somebody asks: prom-client wants a value, and there is none. */
const UNKNOWN = Number.NaN

export type PrometheusOptions = {
  /** Whether the numbers of the process are among them; one of a process should say yes. */
  readonly isOfProcess?: boolean
}

export function createPrometheus({ isOfProcess = true }: PrometheusOptions = {}): Metrics {
  const registry = new Registry()
  if (isOfProcess) collectDefaultMetrics({ register: registry })
  const gauges: { current: Partial<Gauges> } = { current: {} }
  registerGauges(registry, gauges)
  return {
    ...countRequests(registry),
    ...countPushes(registry),
    ...countSockets(registry),
    watch: (more) => {
      gauges.current = { ...gauges.current, ...more }
    },
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

type Facts = { readonly name: string; readonly help: string }

const counter = <Label extends string = never>(
  registry: Registry,
  { name, help }: Facts,
  labelNames: Label[] = [],
): Counter<Label> =>
  new Counter({ name: `blindcopy_${name}`, help, labelNames, registers: [registry] })

function countRequests(
  registry: Registry,
): Pick<Metrics, 'requested' | 'loggedIn' | 'adminRefused'> {
  const requests = counter(
    registry,
    { name: 'http_requests_total', help: 'Requests, by pattern of the route and class of status.' },
    ['method', 'route', 'status'],
  )
  const seconds = new Histogram({
    name: 'blindcopy_http_request_duration_seconds',
    help: 'From the head of a request until its answer began, the way of its body included.',
    labelNames: ['route', 'status'],
    buckets: REQUEST_BUCKETS,
    registers: [registry],
  })
  const refusals = counter(
    registry,
    { name: 'refusals_total', help: 'Requests that were refused, by code.' },
    ['code'],
  )
  const logins = counter(registry, { name: 'logins_total', help: 'Logins, by outcome.' }, [
    'outcome',
  ])
  for (const outcome of ['right', 'wrong']) logins.inc({ outcome }, 0)
  for (const code of ALERTED_CODES) refusals.inc({ code }, 0)
  const adminRefusals = counter(registry, {
    name: 'admin_refusals_total',
    help: 'Wrong admin tokens.',
  })
  return {
    requested({ method, route, status, code, ms }) {
      const labels = { route, status: `${Math.floor(status / 100)}xx` }
      requests.inc({ ...labels, method: METHODS.has(method) ? method : 'other' })
      seconds.observe(labels, ms / 1000)
      if (code !== undefined) refusals.inc({ code })
    },
    loggedIn: (isRight) => logins.inc({ outcome: isRight ? 'right' : 'wrong' }),
    adminRefused: () => adminRefusals.inc(),
  }
}

function countPushes(registry: Registry): Pick<Metrics, 'pushed' | 'commit' | 'checkpointed'> {
  const pushes = counter(registry, { name: 'pushes_total', help: 'Push requests answered.' })
  const transactions = counter(
    registry,
    { name: 'transactions_total', help: 'Pushed transactions, by verdict.' },
    ['verdict'],
  )
  const refused = counter(
    registry,
    { name: 'transactions_refused_total', help: 'Refused transactions, by code.' },
    ['code'],
  )
  const ops = counter(
    registry,
    { name: 'ops_total', help: 'Ops of applied transactions, by outcome.' },
    ['outcome'],
  )
  for (const verdict of VERDICTS) transactions.inc({ verdict }, 0)
  for (const outcome of ['applied', 'stale']) ops.inc({ outcome }, 0)
  const checkpoints = counter(registry, { name: 'checkpoints_total', help: 'Checkpoints taken.' })
  const seconds = new Histogram({
    name: 'blindcopy_commit_duration_seconds',
    help: 'Writes to the disk, until it has them (fsync).',
    buckets: COMMIT_BUCKETS,
    registers: [registry],
  })
  const bytes = counter(registry, { name: 'commit_bytes_total', help: 'Bytes of these writes.' })
  return {
    pushed(tally) {
      pushes.inc()
      transactions.inc({ verdict: 'applied' }, tally.applied)
      transactions.inc({ verdict: 'repeated' }, tally.repeated)
      transactions.inc({ verdict: 'conflict' }, tally.conflicts)
      transactions.inc({ verdict: 'refused' }, tally.refused.length)
      for (const code of tally.refused) refused.inc({ code })
      ops.inc({ outcome: 'applied' }, tally.opsApplied)
      ops.inc({ outcome: 'stale' }, tally.opsStale)
    },
    commit(commit) {
      seconds.observe(commit.ms / 1000)
      bytes.inc(commit.bytes)
    },
    checkpointed: () => checkpoints.inc(),
  }
}

function countSockets(registry: Registry): Pick<Metrics, 'socketClosed'> {
  const closed = counter(
    registry,
    { name: 'live_sockets_closed_total', help: 'Live sockets that ended, by reason.' },
    ['reason'],
  )
  return { socketClosed: (reason) => closed.inc({ reason }) }
}

type Reading = Facts & { readonly value: () => number | undefined | Promise<number | undefined> }

type Current = { readonly current: Partial<Gauges> }

/** What is not counted along but read when somebody asks. */
function registerGauges(registry: Registry, gauges: Current): void {
  const traffic = () => gauges.current.traffic?.()
  const readings = [...readWork(gauges), ...readDisk(gauges), ...readTotals(gauges)]
  for (const reading of readings) registerGauge(registry, reading)
  registerSum(registry, {
    name: 'network_received_bytes_total',
    help: 'Bytes of all connections, heads and frames included.',
    value: () => traffic()?.receivedBytes,
  })
  registerSum(registry, {
    name: 'network_sent_bytes_total',
    help: 'Bytes of all connections, heads and frames included.',
    value: () => traffic()?.sentBytes,
  })
}

function readWork(gauges: Current): Reading[] {
  return [
    {
      name: 'live_sockets',
      help: 'Live sockets that are open.',
      value: () => gauges.current.sockets?.(),
    },
    {
      name: 'queue_requests',
      help: 'Requests that wait for their vault, or are at work in it.',
      value: () => gauges.current.waiting?.(),
    },
    {
      name: 'body_bytes',
      help: 'Bodies of requests that are held in memory.',
      value: () => gauges.current.bodyBytes?.(),
    },
  ]
}

function readDisk(gauges: Current): Reading[] {
  const disk = () => gauges.current.disk?.()
  return [
    {
      name: 'disk_store_bytes',
      help: 'The data folder.',
      value: async () => (await disk())?.storeBytes,
    },
    {
      name: 'disk_free_bytes',
      help: 'What may still be written to the file system of the data folder.',
      value: async () => (await disk())?.freeBytes,
    },
    {
      name: 'disk_size_bytes',
      help: 'The whole of that file system.',
      value: async () => (await disk())?.sizeBytes,
    },
  ]
}

function readTotals(gauges: Current): Reading[] {
  const totals = () => gauges.current.totals?.()
  return [
    { name: 'vaults', help: 'Vaults.', value: async () => (await totals())?.vaults },
    {
      name: 'vaults_near_quota',
      help: 'Vaults that have used 90 % of their quota of bytes or records, or more.',
      value: async () => (await totals())?.nearQuota,
    },
    {
      name: 'vaults_unreadable',
      help: 'Vaults whose state is missing or cannot be read.',
      value: async () => (await totals())?.unreadable,
    },
    {
      name: 'records',
      help: 'Records of all vaults.',
      value: async () => (await totals())?.records,
    },
    {
      name: 'stored_bytes',
      help: 'Live envelopes and log entries of all vaults.',
      value: async () => (await totals())?.bytes,
    },
    {
      name: 'history_bytes',
      help: 'Superseded envelopes that are kept.',
      value: async () => (await totals())?.historyBytes,
    },
  ]
}

function registerGauge(registry: Registry, { name, help, value }: Reading): void {
  new Gauge({
    name: `blindcopy_${name}`,
    help,
    registers: [registry],
    async collect() {
      this.set((await value()) ?? UNKNOWN)
    },
  })
}

/** A counter that is kept elsewhere. */
function registerSum(registry: Registry, { name, help, value }: Reading): void {
  new Counter({
    name: `blindcopy_${name}`,
    help,
    registers: [registry],
    async collect() {
      const sum = (await value()) ?? 0
      this.reset()
      this.inc(sum)
    },
  })
}
