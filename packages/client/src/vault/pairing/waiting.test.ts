/** Waiting for the other device: what the remote puts off is asked again, when it says so. */
import { ProtocolError } from '@blindcopy/protocol'
import { expect, it } from 'vitest'
import { POLL_MS, untilDone, type Waiting } from './waiting.ts'

function waitingUntil(expiresMs: number): { waiting: Waiting; pauses: number[] } {
  const clock = { ms: 0 }
  const pauses: number[] = []
  const platform = {
    nowMs: () => clock.ms,
    setTimer: (fire: () => void, delayMs: number) => {
      pauses.push(delayMs)
      clock.ms += delayMs
      queueMicrotask(fire)
      return () => undefined
    },
  }
  const { signal } = new AbortController()
  return { waiting: { platform, expiresMs, signal } as Partial<Waiting> as Waiting, pauses }
}

const tooMany = (retryAfterMs: number): ProtocolError =>
  new ProtocolError('too-many-requests', 'too many failed attempts', { details: { retryAfterMs } })

it('outlasts wrong codes that were tried behind the same address', async () => {
  const { waiting, pauses } = waitingUntil(600_000)
  const answers = [tooMany(4_000), undefined, tooMany(8_000), 'joined']
  const job = async (): Promise<string | undefined> => {
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return answer
  }
  expect(await untilDone(waiting, job)).toBe('joined')
  expect(pauses).toEqual([4_000, POLL_MS, 8_000])
})

it('waits no longer than the invitation lives', async () => {
  const { waiting, pauses } = waitingUntil(600_000)
  const job = (): Promise<undefined> => Promise.reject(tooMany(900_000))
  await expect(untilDone(waiting, job)).rejects.toMatchObject({ code: 'pairing-expired' })
  expect(pauses).toEqual([600_000])
})

it('ends with what does not pass', async () => {
  const { waiting, pauses } = waitingUntil(600_000)
  const gone = new ProtocolError('not-a-member', 'removed')
  await expect(untilDone(waiting, () => Promise.reject(gone))).rejects.toBe(gone)
  expect(pauses).toEqual([])
})
