/**
 * What a status means, in words.
 */
import type { SyncStatus } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import {
  describeClock,
  describePhase,
  describeRemedy,
  describeSynced,
  describeWaiting,
} from './sync-text.ts'

const NOW = Date.UTC(2026, 0, 31, 12)
const status = (change: Partial<SyncStatus>): SyncStatus => ({
  phase: 'resting',
  pending: 0,
  attention: 0,
  conflicts: 0,
  lastSyncedMs: null,
  lastContactMs: null,
  lastCheckedMs: null,
  received: 0,
  initialSyncComplete: true,
  progress: null,
  problem: null,
  notices: [],
  clock: null,
  ...change,
})

describe('describePhase', () => {
  it('shows how far a step is, and not how far the one before it was', () => {
    const progress = { direction: 'pull', done: 1_200, total: 4_000 } as const
    expect(describePhase(status({ phase: 'pulling', progress }))).toBe(
      'receiving  ██████░░░░░░░░░░░░░░  30 %  1,200 of 4,000',
    )
    expect(describePhase(status({ phase: 'pushing', progress }))).toBe('sending')
    const empty = { direction: 'push', done: 0, total: 0 } as const
    expect(describePhase(status({ phase: 'pushing', progress: empty }))).toBe('sending')
  })

  it('never says more than all of it', () => {
    const progress = { direction: 'reconcile', done: 12, total: 10 } as const
    const text = describePhase(status({ phase: 'reconciling', progress }))
    expect(text).toBe('comparing everything  ████████████████████ 100 %  12 of 10 differences')
  })
})

it('describeWaiting tells what needs somebody, and nothing else', () => {
  expect(describeWaiting(status({}))).toEqual(['all sent'])
  const waiting = describeWaiting(status({ pending: 1, attention: 2, conflicts: 3 }))
  expect(waiting).toEqual(['1 transaction to send', '2 not sent', '3 conflicts'])
})

it('describeSynced says when, and whether that was everything', () => {
  expect(describeSynced(status({}), NOW)).toBe('never')
  const lastSyncedMs = NOW - 180_000
  const synced = status({ lastSyncedMs, initialSyncComplete: false })
  expect(describeSynced(synced, NOW)).toBe(
    '3 minutes ago, 2026-01-31 11:57:00 UTC (not everything yet)',
  )
  const ahead = status({ lastSyncedMs: NOW + 3_600_000 })
  expect(describeSynced(ahead, NOW)).toBe('2026-01-31 13:00:00 UTC')
})

it('describeClock shows both clocks, whichever is ahead', () => {
  expect(describeClock(7_200_000, NOW)).toMatch(/^2 hours slow: .* 12:00:00 UTC, .* 14:00:00 UTC/)
  expect(describeClock(-90_000, NOW)).toMatch(/^1 minute fast: .* 12:00:00 UTC, .* 11:58:30 UTC/)
})

it('describeRemedy names the command where there is one, else what the client says', () => {
  const problem = { message: '', remedy: 'wait', atMs: 0 }
  expect(describeRemedy({ ...problem, code: 'clock-wrong' })).toContain('--accept-clock')
  expect(describeRemedy({ ...problem, code: 'busy' })).toBe('wait')
})
