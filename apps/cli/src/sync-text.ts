/**
 * Sync text: what a status means, in words a person can act on.
 */
import type { SyncPhase, SyncProblem, SyncProgress, SyncStatus } from '@blindcopy/client'
import { count, formatAgo, formatSpan, formatTime } from './layout.ts'

const PHASES: Readonly<Record<SyncPhase, string>> = {
  resting: 'at rest',
  connecting: 'connecting',
  reconciling: 'comparing everything',
  pulling: 'receiving',
  pushing: 'sending',
  waiting: 'waiting for the next exchange',
  live: 'in step, live',
  'backing-off': 'trying again soon',
  stopped: 'stopped',
}

const PHASE_OF: Readonly<Record<SyncProgress['direction'], SyncPhase>> = {
  pull: 'pulling',
  push: 'pushing',
  reconcile: 'reconciling',
}

/** What goes on, with how far it has come. */
export function describePhase({ phase, progress }: SyncStatus): string {
  const what = PHASES[phase]
  // What is left of the step before says nothing of this one.
  const isOfPhase = progress !== null && PHASE_OF[progress.direction] === phase
  return isOfPhase && progress.total > 0 ? `${what}  ${describeProgress(progress)}` : what
}

const BAR_COLUMNS = 20

export function describeProgress({ direction, done, total }: SyncProgress): string {
  const part = Math.min(1, Math.max(0, done / total))
  const full = Math.floor(part * BAR_COLUMNS)
  const bar = '█'.repeat(full) + '░'.repeat(BAR_COLUMNS - full)
  const percentage = `${Math.floor(part * 100)} %`.padStart(5)
  const numbers = `${done.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`
  return `${bar} ${percentage}  ${numbers}${direction === 'reconcile' ? ' differences' : ''}`
}

/** What waits for the remote, or for the person. */
export function describeWaiting({ pending, attention, conflicts }: SyncStatus): string[] {
  return [
    pending > 0 ? `${count(pending, 'transaction')} to send` : 'all sent',
    ...(attention > 0 ? [`${attention} not sent`] : []),
    ...(conflicts > 0 ? [`${count(conflicts, 'conflict')}`] : []),
  ]
}

export function describeSynced(
  { lastSyncedMs, initialSyncComplete }: SyncStatus,
  nowMs: number,
): string {
  if (lastSyncedMs === null) return 'never'
  const ago = formatAgo(lastSyncedMs, nowMs)
  const time = formatTime(lastSyncedMs)
  const when = ago === time ? time : `${ago}, ${time}`
  return initialSyncComplete ? when : `${when} (not everything yet)`
}

/** Both clocks, and what is done about it. */
export function describeClock(offsetMs: number, nowMs: number): string {
  const how = offsetMs > 0 ? 'slow' : 'fast'
  const here = formatTime(nowMs)
  const there = formatTime(nowMs + offsetMs)
  const clocks = `here it is ${here}, at the remote ${there}`
  return `${formatSpan(offsetMs)} ${how}: ${clocks}; new writes bear the time there`
}

/** What to do here, where the command line has a way of its own. */
const REMEDIES: Readonly<Record<string, string>> = {
  'clock-wrong':
    'set the clock of this device right; or, if that of the remote is right, `blindcopy sync --accept-clock`',
  'registration-required':
    'ask whoever runs the remote for its token: `blindcopy sync --registration-token TOKEN`',
  'one-way': 'sync both ways once: `blindcopy sync`',
}

export const describeRemedy = ({ code, remedy }: SyncProblem): string => REMEDIES[code] ?? remedy
