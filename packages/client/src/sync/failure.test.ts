/** Failures: how long a remote asks to be left alone, however it says so. */
import { ProtocolError } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { retryAfterOf } from './failure.ts'
import { LiveConnection } from './live.ts'
import type { LiveHandlers } from './transport.ts'

const refusal = (details: Record<string, number | string>): ProtocolError =>
  new ProtocolError('too-many-requests', 'too many', { details })

describe('retryAfterOf', () => {
  it('is what a header says, before what the refusal says', () => {
    expect(retryAfterOf(refusal({ retryAfterMs: 7_000, retryAfterSeconds: 60 }))).toBe(7_000)
    expect(retryAfterOf(refusal({ retryAfterMs: Number.NaN }))).toBeUndefined()
    expect(retryAfterOf(refusal({ retryAfterSeconds: -1 }))).toBeUndefined()
    expect(retryAfterOf(refusal({ retryAfterSeconds: 'soon' }))).toBeUndefined()
    expect(retryAfterOf(refusal({}))).toBeUndefined()
  })

  it('is what a refused live socket says', () => {
    let handlers: LiveHandlers | undefined
    const closed: Error[] = []
    const transport = {
      live: (given: LiveHandlers) => {
        handlers = given
        return { hello: () => undefined, close: () => undefined }
      },
    }
    const data = { token: '', syncId: new Uint8Array(16), position: { seq: 0, chain: [] } }
    const nothing = (): void => undefined
    const events = { onReady: nothing, onFrames: nothing, onCheckpoint: nothing }
    new LiveConnection(transport as never, data as never, {
      events: { ...events, onClosed: (error) => closed.push(error) },
      timers: { setTimer: () => nothing } as never,
    })
    handlers?.onFrame([5, 'too-many-requests', 'too many sockets', { retryAfterSeconds: 60 }])
    expect(closed.map(retryAfterOf)).toEqual([60_000])
  })
})
