/**
 * Mailboxes: where two devices that pair leave sealed messages for each other (design 14), in
 * memory, for ten minutes. A restart ends every pairing that is under way.
 *
 * Each of the four slots is written once. Slot 1 is written by a stranger, who shows by the id that
 * it has the code; whoever writes another message there after the first makes the mailbox
 * contested, which both devices see and give up for. The others are the inviting member's own.
 *
 * All that is kept is bounded: a member that invites too often loses its oldest invitation, a
 * process that holds too many answers `busy`. Who asks for mailboxes that are not there is slowed
 * down, together with all others who do; one that is there is always served, so that nobody can
 * hold up the pairing of others. The bound is against load: it is the size of an id, 128 bits made
 * of a secret by derivation, that makes guessing hopeless.
 */
import {
  equalBytes,
  formatHex,
  MAILBOX_MS,
  MAILBOX_SLOTS,
  MAILBOX_SLOTS_COUNT,
  type MailboxAnswer,
  type MailboxId,
  type MailboxWriteRequest,
  ProtocolError,
} from '@blindcopy/protocol'
import type { Session } from './token.ts'

/** The member that invites. */
export type MailboxOwner = Pick<Session, 'vaultId' | 'memberId'>

export type Mailbox = MailboxAnswer & { readonly owner: MailboxOwner }

export type Mailboxes = {
  /**
   * Makes a mailbox by its first message. The same again is a success: an answer was lost. Throws
   * `mailbox-taken`, or `busy`.
   */
  begin(owner: MailboxOwner, write: MailboxWriteRequest): Mailbox
  /** Writes another slot. Throws `mailbox-taken`, and as `find`. */
  write(write: MailboxWriteRequest): Mailbox
  /** Throws `mailbox-unknown`, or `too-many-requests` when that was asked too often. */
  find(mailboxId: MailboxId): Mailbox
  remove(mailboxId: MailboxId): void
}

export const MAILBOXES_PER_MEMBER_MAX = 4
export const MAILBOXES_PER_PROCESS_MAX = 2_048
/** Within one minute, of all askers together. */
export const UNKNOWN_A_MINUTE_MAX = 120
const MINUTE_MS = 60_000

export function createMailboxes(parts: {
  readonly nowMs: () => number
  readonly perProcessMax?: number
}): Mailboxes {
  const { nowMs, perProcessMax = MAILBOXES_PER_PROCESS_MAX } = parts
  // In the order they were made, which is the order they expire in.
  const mailboxesById = new Map<string, Mailbox>()
  const noteUnknown = createBudget(nowMs)

  function forgetExpired(): void {
    for (const [id, { expiresMs }] of mailboxesById) {
      if (expiresMs > nowMs()) break
      mailboxesById.delete(id)
    }
  }

  function find(mailboxId: MailboxId): Mailbox {
    forgetExpired()
    const mailbox = mailboxesById.get(formatHex(mailboxId))
    if (mailbox !== undefined) return mailbox
    noteUnknown()
    throw mailboxUnknown()
  }

  function makeRoom(owner: MailboxOwner): void {
    const own = [...mailboxesById].filter(([, mailbox]) => isOwner(mailbox, owner))
    const [oldest] = own
    if (oldest !== undefined && own.length >= MAILBOXES_PER_MEMBER_MAX) {
      mailboxesById.delete(oldest[0])
    }
    if (mailboxesById.size < perProcessMax) return
    throw new ProtocolError('busy', 'too many devices are being paired here: try again', {
      details: { retryAfterSeconds: MINUTE_MS / 1000 },
    })
  }

  return {
    begin(owner, { mailboxId, message }) {
      forgetExpired()
      const id = formatHex(mailboxId)
      const found = mailboxesById.get(id)
      if (found !== undefined) {
        if (isOwner(found, owner) && holds(found, MAILBOX_SLOTS.invite, message)) return found
        throw mailboxTaken()
      }
      makeRoom(owner)
      const messages = new Array<Uint8Array | null>(MAILBOX_SLOTS_COUNT).fill(null)
      messages[MAILBOX_SLOTS.invite] = message.slice()
      const expiresMs = nowMs() + MAILBOX_MS
      const mailbox: Mailbox = { owner, expiresMs, contested: 0, messages }
      mailboxesById.set(id, mailbox)
      return mailbox
    },
    write({ mailboxId, slot, message }) {
      const mailbox = find(mailboxId)
      const id = formatHex(mailboxId)
      if (holds(mailbox, slot, message)) return mailbox
      if (mailbox.messages[slot] === null) {
        const messages = mailbox.messages.with(slot, message.slice())
        const written = { ...mailbox, messages }
        mailboxesById.set(id, written)
        return written
      }
      if (slot === MAILBOX_SLOTS.join) mailboxesById.set(id, { ...mailbox, contested: 1 })
      throw mailboxTaken()
    },
    find,
    remove: (mailboxId) => void mailboxesById.delete(formatHex(mailboxId)),
  }
}

export const isOwner = ({ owner }: Mailbox, other: MailboxOwner): boolean =>
  equalBytes(owner.vaultId, other.vaultId) && equalBytes(owner.memberId, other.memberId)

function holds(mailbox: Mailbox, slot: number, message: Uint8Array): boolean {
  const stored = mailbox.messages[slot]
  return stored !== null && stored !== undefined && equalBytes(stored, message)
}

/** Throws `too-many-requests` beyond the bound, until the minute is over. */
function createBudget(nowMs: () => number): () => void {
  let minute = 0
  let count = 0
  return () => {
    const now = nowMs()
    if (Math.floor(now / MINUTE_MS) !== minute) {
      minute = Math.floor(now / MINUTE_MS)
      count = 0
    }
    count++
    if (count <= UNKNOWN_A_MINUTE_MAX) return
    const retryAfterSeconds = Math.ceil(((minute + 1) * MINUTE_MS - now) / 1000)
    throw new ProtocolError('too-many-requests', 'too many codes were tried here: wait a minute', {
      details: { retryAfterSeconds },
    })
  }
}

export function mailboxUnknown(): ProtocolError {
  return new ProtocolError(
    'mailbox-unknown',
    'no invitation of this code waits here: it was used, has expired, or never was',
  )
}

function mailboxTaken(): ProtocolError {
  return new ProtocolError('mailbox-taken', 'another message stands there already')
}
