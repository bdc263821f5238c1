/**
 * What was sent, from the statuses of a sync.
 */
import type { SyncStatus } from '@blindcopy/client'
import { expect, it } from 'vitest'
import { SyncTraffic } from './sync-traffic.ts'

const start = { phase: 'resting', pending: 5, attention: 0, progress: null } as SyncStatus
const pushing = (done: number, pending: number, more: Partial<SyncStatus> = {}): SyncStatus => ({
  ...start,
  phase: 'pushing',
  pending,
  progress: { direction: 'push', done, total: 5 },
  ...more,
})
const sentAfter = (...statuses: SyncStatus[]): number => {
  const traffic = new SyncTraffic(start)
  for (const status of statuses) traffic.take(status)
  return traffic.sent
}

it('counts what several pushes have settled', () => {
  expect(sentAfter(pushing(1, 4), pushing(3, 2), { ...start, phase: 'pulling', pending: 2 })).toBe(
    3,
  )
  expect(sentAfter(pushing(3, 2), { ...start, phase: 'pulling', pending: 2 }, pushing(2, 0))).toBe(
    5,
  )
  expect(sentAfter(pushing(2, 3), pushing(1, 2), pushing(3, 0))).toBe(5)
})

it('leaves out what was refused, what lost before it was sent, and what waits again', () => {
  expect(sentAfter(pushing(5, 0, { attention: 2 }))).toBe(3)
  expect(sentAfter({ ...start, pending: 0 })).toBe(0)
  expect(sentAfter(pushing(5, 5))).toBe(0)
})
