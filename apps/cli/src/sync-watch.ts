/**
 * Sync watch: stays in step until it is told to stop, and tells it: what goes on in a line that is
 * written over, what has happened in lines that stay. With --json, each status is a line.
 */
import type { SyncProblem, SyncStatus, Vault } from '@blindcopy/client'
import { SyncFailure, TOKEN_REFUSED } from './cli-error.ts'
import { count, printable, wrap } from './layout.ts'
import { createStatusLine, type StatusLine } from './status-line.ts'
import { type Direction, newNotices } from './sync-pass.ts'
import { describePhase, describeRemedy, describeWaiting } from './sync-text.ts'
import { SyncTraffic } from './sync-traffic.ts'
import type { Terminal } from './terminal.ts'

export type WatchOptions = {
  readonly direction: Direction
  /** Seconds between two exchanges; live without it. */
  readonly interval: number | undefined
  /** What the remote is given if it asks for it. */
  readonly token: string | undefined
}

/** Ends by itself only when sync has stopped for good. */
export async function watchSync(
  vault: Vault,
  { direction, interval, token }: WatchOptions,
  terminal: Terminal,
): Promise<void> {
  const end = new AbortController()
  terminal.onInterrupt(() => end.abort())
  const mode =
    interval === undefined ? {} : { mode: 'interval' as const, everyMs: interval * 1_000 }
  const start = (): void => vault.sync.start({ direction, ...mode })
  const line = createStatusLine(terminal, { isQuick: true })
  const teller = new Teller(vault.sync.status, line, terminal)
  let unusedToken = token
  start()
  try {
    for await (const status of vault.sync.watch(end.signal)) {
      await teller.tell(status)
      const { phase, problem } = status
      if (phase !== 'stopped' || problem === null) continue
      if (problem.code !== 'registration-required' || token === undefined) {
        throw new SyncFailure(problem.code, problem.message)
      }
      if (unusedToken === undefined) throw new SyncFailure(problem.code, TOKEN_REFUSED)
      await vault.setRegistrationToken(unusedToken)
      unusedToken = undefined
      start()
    }
  } finally {
    line.clear()
  }
  await vault.sync.stop()
}

/** Of the time and what follows it. */
const INDENT = 10

class Teller {
  readonly #line: StatusLine
  readonly #terminal: Terminal
  #last: SyncStatus
  #traffic: SyncTraffic
  #wasInStep = false

  constructor(start: SyncStatus, line: StatusLine, terminal: Terminal) {
    this.#last = start
    this.#traffic = new SyncTraffic(start)
    this.#line = line
    this.#terminal = terminal
  }

  async tell(status: SyncStatus): Promise<void> {
    const terminal = this.#terminal
    if (terminal.json) return terminal.print(JSON.stringify(status))
    const news = [...this.#sent(status), ...newsOf(this.#last, status), ...this.#inStep(status)]
    this.#last = status
    if (news.length > 0) this.#line.clear()
    for (const text of news) await terminal.print(this.#fit(printable(text)))
    const waiting = describeWaiting(status)
    const words = [describePhase(status), ...waiting].join(' · ')
    this.#line.show([status.phase, ...waiting].join(' '), `${timeOfDay()}  ${words}`)
  }

  #fit(text: string): string {
    const line = `${timeOfDay()}  ${text}`
    return this.#terminal.isPiped ? line : wrap(line, this.#terminal.columns, INDENT)
  }

  /** Told when a push is over. */
  #sent(status: SyncStatus): string[] {
    this.#traffic.take(status)
    if (status.phase === 'pushing') return []
    const { sent } = this.#traffic
    this.#traffic = new SyncTraffic(status)
    return sent === 0 ? [] : [`sent ${count(sent, 'transaction')}`]
  }

  /** Told once, and again after it was lost. */
  #inStep({ phase, problem }: SyncStatus): string[] {
    const wasInStep = this.#wasInStep
    if (phase === 'live' || phase === 'waiting') this.#wasInStep = true
    if (problem !== null) this.#wasInStep = false
    return this.#wasInStep && !wasInStep ? ['in step'] : []
  }
}

/** What is worth a line that stays. */
function newsOf(last: SyncStatus, status: SyncStatus): string[] {
  const refused = status.attention - last.attention
  const lost = status.conflicts - last.conflicts
  const { problem } = status
  const received = status.received - last.received
  const isNewProblem = problem !== null && !isSame(problem, last.problem)
  return [
    ...newNotices(last, status).map(({ code, message }) => `${message} [${code}]`),
    ...(refused > 0 ? [`${count(refused, 'transaction')} not sent: \`blindcopy attention\``] : []),
    ...(lost > 0 ? [`${count(lost, 'conflict')}: \`blindcopy conflicts\``] : []),
    ...(isNewProblem
      ? [`${problem.message} [${problem.code}]`, `what to do: ${describeRemedy(problem)}`]
      : []),
    ...(received > 0 ? [`received ${count(received, 'change')}`] : []),
  ]
}

const isSame = (problem: SyncProblem, other: SyncProblem | null): boolean =>
  other !== null && problem.code === other.code && problem.message === other.message

const timeOfDay = (): string => new Date().toTimeString().slice(0, 8)
