/**
 * The status board: who watches sees the present status first, and never an old one after a new
 * one.
 */
import { describe, expect, it } from 'vitest'
import { StatusBoard, type SyncStatus } from './status.ts'

const RESTING: SyncStatus = {
  phase: 'resting',
  pending: 0,
  attention: 0,
  conflicts: 0,
  received: 0,
  lastSyncedMs: null,
  lastContactMs: null,
  lastCheckedMs: null,
  initialSyncComplete: false,
  progress: null,
  problem: null,
  notices: [],
  clock: null,
}

describe('StatusBoard', () => {
  it('gives the status now, then each change, the latest only to the slow', async () => {
    const board = new StatusBoard(RESTING)
    const seen = board.watch()
    expect((await seen.next()).value).toEqual(RESTING)
    board.set({ pending: 1 })
    board.set({ pending: 2 })
    expect((await seen.next()).value).toMatchObject({ pending: 2 })
    const next = seen.next()
    board.set({ phase: 'live' })
    expect((await next).value).toMatchObject({ phase: 'live', pending: 2 })
    await seen.return(undefined)
  })

  it('tells nobody when nothing changed', async () => {
    const board = new StatusBoard(RESTING)
    const before = board.status
    board.set({ pending: 0, phase: 'resting' })
    expect(board.status).toBe(before)
  })

  it('ends a watch when its signal does', async () => {
    const board = new StatusBoard(RESTING)
    const end = new AbortController()
    const seen = board.watch(end.signal)
    await seen.next()
    const next = seen.next()
    end.abort()
    expect((await next).done).toBe(true)
  })
})
