/**
 * The engine over a scripted remote and virtual time: its modes, its timers, its retries, and that
 * nothing a remote answers makes it go round without a pause.
 *
 * Lessons: C3. Threats: 40.
 */
import { ProtocolError } from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClientError } from '../error.ts'
import { type Call, makeEngine, network, settle } from './engine.fixture.ts'

const MINUTE_MS = 60_000

describe('a mode', () => {
  it('once leaves no timer and no socket behind', async () => {
    const { engine, remote, timers } = await makeEngine()
    await engine.once()
    expect(remote.calls).toEqual(['login', 'changes'])
    expect(engine.status).toMatchObject({ phase: 'resting', problem: null })
    expect(engine.status.initialSyncComplete).toBe(true)
    expect(timers.delaysMs).toEqual([])
  })

  it('live has one timer, which waits for the heartbeat, and stop none', async () => {
    const { engine, remote, timers } = await makeEngine()
    engine.start()
    await settle()
    expect(engine.status.phase).toBe('live')
    expect(timers.delaysMs).toEqual([MINUTE_MS])
    const calls = remote.calls.length
    remote.socket?.onFrame([3] as never)
    await timers.pass(MINUTE_MS - 1)
    expect(remote.calls).toHaveLength(calls)
    await engine.stop()
    expect(timers.delaysMs).toEqual([])
    expect(engine.status.phase).toBe('resting')
  })

  it('interval exchanges every so often, with one timer between', async () => {
    const { engine, remote, timers } = await makeEngine()
    engine.start({ mode: 'interval', everyMs: 10 * MINUTE_MS })
    await settle()
    for (let round = 1; round <= 3; round++) {
      expect(remote.count('changes')).toBe(round)
      expect(remote.count('live')).toBe(0)
      expect(engine.status.phase).toBe('waiting')
      expect(timers.delaysMs).toEqual([10 * MINUTE_MS])
      await timers.pass(10 * MINUTE_MS)
    }
    // Asked for, an exchange comes at once, and the rest begins anew.
    await engine.once()
    expect(remote.count('changes')).toBe(5)
    expect(timers.delaysMs).toEqual([10 * MINUTE_MS])
    await engine.stop()
    expect(timers.delaysMs).toEqual([])
  })

  it('refuses an interval that is none', async () => {
    const { engine, timers } = await makeEngine()
    for (const everyMs of [0, -1, 999, Number.NaN, 2 ** 40]) {
      expect(() => engine.start({ mode: 'interval', everyMs })).toThrow(/everyMs/)
    }
    expect(timers.delaysMs).toEqual([])
    expect(engine.status.phase).toBe('resting')
  })

  it('push only asks for no changes and opens no socket', async () => {
    const { engine, remote } = await makeEngine()
    await engine.once({ direction: 'push' })
    engine.start({ direction: 'push' })
    await settle()
    expect(engine.status.phase).toBe('waiting')
    expect(remote.count('changes') + remote.count('live')).toBe(0)
    // Somebody else wants both ways: that exchange goes both ways, and no other.
    await engine.once()
    expect(remote.count('changes')).toBe(1)
    await engine.stop()
  })
})

describe('stop', () => {
  it('ends also when sync is started again at once, which then goes on', async () => {
    const { engine, timers } = await makeEngine()
    engine.start()
    await settle()
    const stopped = engine.stop()
    engine.start()
    await stopped
    await settle()
    expect(engine.status.phase).toBe('live')
    await Promise.all([engine.stop(), engine.stop()])
    expect(engine.status.phase).toBe('resting')
    expect(timers.delaysMs).toEqual([])
  })
})

describe('the status', () => {
  it('says "live" only while nothing is unread', async () => {
    const { engine, remote } = await makeEngine()
    engine.start()
    await settle()
    const digest = new Uint8Array(32)
    const frame = [0, 1, digest, null, [], new Uint8Array(0)]
    remote.socket?.onFrame(frame as never)
    expect(engine.status.phase).toBe('pulling')
    await engine.stop()
  })
})

describe('a failure', () => {
  it('is followed by ever longer pauses, up to a minute, until the network is back', async () => {
    const { engine, remote, timers } = await makeEngine((size) => new Uint8Array(size).fill(255))
    remote.behave = network
    engine.start()
    await settle()
    const pauses: number[] = []
    for (let i = 0; i < 8; i++) {
      expect(engine.status).toMatchObject({ phase: 'backing-off', problem: { code: 'network' } })
      expect(engine.status.problem?.remedy).toMatch(/again/)
      const [pauseMs = 0] = timers.delaysMs
      pauses.push(pauseMs)
      await timers.pass(pauseMs)
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    remote.behave = () => undefined
    engine.noteOnline()
    await settle()
    expect(engine.status).toMatchObject({ phase: 'live', problem: null })
    await engine.stop()
  })

  it('waits as long as the remote asks for', async () => {
    const { engine, remote, timers } = await makeEngine()
    const details = { retryAfterMs: 90_000 }
    remote.behave = () => new ProtocolError('busy', 'later', { details })
    engine.start()
    await settle()
    expect(timers.delaysMs).toEqual([90_000])
    await engine.stop()
    expect(timers.delaysMs).toEqual([])
  })

  it('that only the person can end stops it, with a remedy and without a timer', async () => {
    const { engine, remote, timers } = await makeEngine()
    remote.behave = () => new ClientError('history-forked', 'another history')
    engine.start()
    await settle()
    expect(engine.status).toMatchObject({ phase: 'stopped', problem: { code: 'history-forked' } })
    expect(engine.status.problem?.remedy).toMatch(/verify/)
    expect(timers.delaysMs).toEqual([])
    await timers.pass(60 * MINUTE_MS)
    expect(remote.count('login')).toBe(1)
    // What the person was asked for is there: one call goes on.
    remote.behave = () => undefined
    engine.start()
    await settle()
    expect(engine.status).toMatchObject({ phase: 'live', problem: null })
    await engine.stop()
  })

  it('that may be ended on another device is looked at again, and shown until then', async () => {
    const { engine, remote, timers } = await makeEngine((size) => new Uint8Array(size).fill(255))
    remote.behave = () => new ProtocolError('registration-required', 'a token')
    engine.start()
    const asked = engine.once()
    await expect(asked).rejects.toMatchObject({ code: 'sync-stopped' })
    await timers.pass(10 * MINUTE_MS)
    expect(engine.status).toMatchObject({ phase: 'stopped' })
    expect(engine.status.problem?.remedy).toMatch(/token/)
    expect(remote.count('login')).toBeLessThan(20)
    remote.behave = () => undefined
    await timers.pass(MINUTE_MS)
    expect(engine.status).toMatchObject({ phase: 'live', problem: null })
    await engine.stop()
  })
})

describe('another SyncId', () => {
  it('in the middle is met by another login and a healing', async () => {
    const { engine, remote, local } = await makeEngine()
    await engine.once()
    const other = new Uint8Array(16).fill(5) as typeof remote.statedSyncId
    remote.statedSyncId = other
    remote.behave = (call) =>
      call === 'changes' && !local.cursor.syncId?.every((byte) => byte === 5)
        ? new ProtocolError('sync-id-mismatch', 'another')
        : undefined
    await engine.once()
    expect(local.cursor.syncId).toEqual(other)
    expect(engine.status.notices.map(({ code }) => code)).toEqual(['healed'])
  })

  it('again and again is not followed without a pause', async () => {
    const { engine, remote, timers } = await makeEngine((size) => new Uint8Array(size).fill(128))
    await engine.once()
    remote.behave = (call) =>
      call === 'login' ? undefined : new ProtocolError('sync-id-mismatch', 'yet another')
    engine.start()
    await timers.pass(10 * MINUTE_MS)
    expect(remote.count('login')).toBeLessThan(70)
    expect(engine.status.phase).toBe('backing-off')
    await engine.stop()
  })
})

describe('a remote that does half of what it is asked', () => {
  const half = (size: number): Uint8Array => new Uint8Array(size).fill(128)

  it('and closes every socket that it has taken is met ever less often', async () => {
    const { engine, remote, timers } = await makeEngine(half)
    engine.start()
    await timers.pass(0)
    for (let second = 0; second < 600; second++) {
      if (engine.status.phase === 'live') remote.socket?.onClose(new ProtocolError('busy', 'no'))
      await timers.pass(1_000)
    }
    expect(remote.count('login')).toBeLessThan(40)
    // In step for long, it is forgiven.
    for (let beat = 0; beat < 12; beat++) {
      await timers.pass(25_000)
      remote.socket?.onFrame([3] as never)
    }
    remote.socket?.onClose(network())
    await settle()
    expect(Math.max(...timers.delaysMs)).toBeLessThanOrEqual(1_000)
    await engine.stop()
  })

  it('and has another SyncId once the network is back is healed at once', async () => {
    const { engine, remote, timers } = await makeEngine(half)
    const answers = [network(), new ProtocolError('sync-id-mismatch', 'another')]
    remote.behave = (call) => (call === 'changes' ? answers.shift() : undefined)
    engine.start()
    await timers.pass(0)
    expect(engine.status.phase).toBe('backing-off')
    await timers.pass(1_000)
    expect(engine.status.phase).toBe('live')
    await engine.stop()
  })

  it('and has another SyncId at every login costs few healings', async () => {
    const { engine, remote, timers } = await makeEngine(half)
    await engine.once()
    let logins = 0
    remote.behave = (call) => {
      if (call === 'changes') return new ProtocolError('sync-id-mismatch', 'yet another')
      if (call !== 'login') return undefined
      remote.statedSyncId = new Uint8Array(16).fill(1 + (++logins % 255)) as never
      return undefined
    }
    engine.start()
    await timers.pass(60 * MINUTE_MS)
    expect(logins).toBeLessThan(150)
    expect(engine.status).toMatchObject({ phase: 'backing-off' })
    await engine.stop()
  })
})

const CODES = [
  'session-required',
  'sync-id-mismatch',
  'unknown-vault',
  'internal',
  'busy',
  'too-many-requests',
  'malformed',
] as const
const CALLS: readonly Call[] = ['login', 'changes', 'live', 'keychain', 'reconcile']

describe('whatever a remote answers', () => {
  it('it is asked a bounded number of times a minute, and heard of when it is well', async () => {
    const failures = fc.array(
      fc.record({
        call: fc.constantFrom(...CALLS),
        code: fc.constantFrom(...CODES),
        times: fc.integer({ min: 1, max: 30 }),
      }),
      { minLength: 1, maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(failures, fc.integer({ min: 0, max: 255 }), async (script, byte) => {
        // Not next to nothing: the mean of many pauses is what bounds the work.
        const random = (size: number) => new Uint8Array(size).fill(64 + (byte >> 1))
        const { engine, remote, timers } = await makeEngine(random)
        const left = script.map((failure) => ({ ...failure }))
        remote.behave = (call) => {
          const failure = left.find((one) => one.call === call && one.times > 0)
          if (failure === undefined) return undefined
          failure.times--
          return new ProtocolError(failure.code, 'scripted')
        }
        engine.start()
        for (let minute = 0; minute < 5; minute++) {
          const before = remote.calls.length
          await timers.pass(MINUTE_MS)
          expect(remote.calls.length - before).toBeLessThan(80)
          expect(timers.delaysMs.length).toBeLessThanOrEqual(1)
        }
        remote.behave = () => undefined
        engine.start()
        await settle()
        expect(engine.status).toMatchObject({ phase: 'live', problem: null })
        await engine.stop()
        expect(timers.delaysMs).toEqual([])
      }),
      { numRuns: process.env.SLOW === '1' ? 300 : 25 },
    )
  }, 60_000)
})
