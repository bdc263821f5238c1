/**
 * Waiting for the other device: reads the mailbox once a second, as long as the invitation lives.
 *
 * The remote may keep a mailbox longer than it should, so the ten minutes are counted here too.
 * What the network loses is asked again until then, and so is what the remote puts off: the other
 * device is mostly behind the same address, and a few wrong codes there make both wait.
 */
import type {
  MailboxAnswer,
  MailboxId,
  MailboxSlot,
  MailboxWriteRequest,
} from '@blindcopy/protocol'
import { codeOf } from '../../error.ts'
import type { Platform } from '../../platform.ts'
import { retryAfterOf } from '../../sync/failure.ts'
import type { MailboxTransport } from '../../transport/mailbox-transport.ts'
import { pairingContested, pairingExpired } from './pairing-error.ts'

export const POLL_MS = 1_000

export type Waiting = {
  readonly platform: Pick<Platform, 'nowMs' | 'setTimer'>
  readonly transport: MailboxTransport
  readonly mailboxId: MailboxId
  /** By this device's clock. */
  readonly expiresMs: number
  readonly signal: AbortSignal
}

/** What may be over by itself a second later. */
const PASSING: ReadonlySet<string> = new Set(['network', 'busy', 'too-many-requests'])

export const isPassing = (error: unknown): boolean => PASSING.has(codeOf(error) ?? '')

/** The message of a slot, as soon as it stands there. */
export function awaitMessage(waiting: Waiting, slot: MailboxSlot): Promise<Uint8Array> {
  return untilDone(waiting, async () => {
    const { messages } = await readMailbox(waiting)
    return messages[slot] ?? undefined
  })
}

/** Throws `pairing-expired` and `pairing-contested`. */
export async function readMailbox(waiting: Waiting): Promise<MailboxAnswer> {
  checkGoing(waiting)
  const read = waiting.transport.readMailbox(waiting.mailboxId)
  const mailbox = await orAborted(read.catch(translate), waiting.signal)
  if (mailbox.contested === 1) throw pairingContested()
  return mailbox
}

export async function writeMailbox(
  waiting: Waiting,
  message: Omit<MailboxWriteRequest, 'mailboxId'>,
  token?: string,
): Promise<void> {
  checkGoing(waiting)
  const { mailboxId } = waiting
  const written = waiting.transport.writeMailbox({ mailboxId, ...message }, token)
  await orAborted(written.catch(translate), waiting.signal)
}

/** Does the job until it gives something, over what passes by itself. */
export async function untilDone<T>(
  waiting: Waiting,
  job: () => Promise<T | undefined>,
): Promise<T> {
  for (;;) {
    checkGoing(waiting)
    let pauseMs = POLL_MS
    const done = await job().catch((error: unknown) => {
      if (!isPassing(error)) throw error
      // No longer than the invitation lives.
      const leftMs = waiting.expiresMs - waiting.platform.nowMs()
      pauseMs = Math.max(POLL_MS, Math.min(retryAfterOf(error) ?? 0, leftMs))
      return undefined
    })
    if (done !== undefined) return done
    await pause(waiting, pauseMs)
  }
}

export function checkGoing({ platform, expiresMs, signal }: Waiting): void {
  signal.throwIfAborted()
  if (platform.nowMs() >= expiresMs) throw pairingExpired()
}

function translate(error: unknown): never {
  const code = codeOf(error)
  if (code === 'mailbox-unknown') throw pairingExpired(error)
  if (code === 'mailbox-taken') throw pairingContested(error)
  throw error
}

function pause({ platform, signal }: Waiting, pauseMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel()
      reject(signal.reason)
    }
    const cancel = platform.setTimer(() => {
      signal.removeEventListener('abort', end)
      resolve()
    }, pauseMs)
    signal.addEventListener('abort', end, { once: true })
  })
}

/** Nobody who gives up waits for an answer that is on its way. */
function orAborted<T>(job: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => reject(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    job.then(resolve, reject).finally(() => signal.removeEventListener('abort', end))
  })
}
