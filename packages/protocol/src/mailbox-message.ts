/**
 * Messages of the mailboxes (`/v1/mailboxes`), through which two devices pair: four slots that are
 * each written once, of sealed messages that the remote cannot read (pairing-message.ts).
 *
 *   slot 0  invite   by the member who makes the mailbox
 *   slot 1  join     by whoever knows its id
 *   slot 2  reveal   by the member again
 *   slot 3  verdict  by the member again
 *
 * The id of a mailbox stands in a header or a body, never in a URL.
 */
import * as z from 'zod/mini'
import { formatBase64Url, parseBase64Url } from './bytes.ts'
import { ProtocolError } from './error.ts'
import type { Brand } from './ids.ts'
import { MAILBOX_MESSAGE_BYTES_MAX } from './limits.ts'

export type MailboxId = Brand<'MailboxId'>

export const MAILBOX_ID_BYTES = 16
export const HEADER_MAILBOX_ID = 'Blindcopy-Mailbox-Id'
/** The slots, by what they hold. */
export const MAILBOX_SLOTS = { invite: 0, join: 1, reveal: 2, verdict: 3 } as const
export type MailboxSlot = (typeof MAILBOX_SLOTS)[keyof typeof MAILBOX_SLOTS]
export const MAILBOX_SLOTS_COUNT = 4

const idMessage = `MailboxId: ${MAILBOX_ID_BYTES} bytes expected`
const mailboxId: z.ZodMiniType<MailboxId> = z
  .custom<MailboxId>(
    (value) => value instanceof Uint8Array && value.length === MAILBOX_ID_BYTES,
    idMessage,
  )
  .check(z.describe(idMessage))
const message: z.ZodMiniType<Uint8Array> = z
  .custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= MAILBOX_MESSAGE_BYTES_MAX,
    `at most ${MAILBOX_MESSAGE_BYTES_MAX} bytes expected`,
  )
  .check(z.describe('mailbox message'))

/** `POST /v1/mailboxes`: writes one slot; slot 0 makes the mailbox. */
export const MailboxWriteRequest = z.strictObject({
  mailboxId,
  slot: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  message,
})
export type MailboxWriteRequest = z.infer<typeof MailboxWriteRequest>
/** When the mailbox is gone, by the clock of the remote; also the answer to `DELETE`. */
export const MailboxWriteAnswer = z.strictObject({ expiresMs: z.int().check(z.nonnegative()) })
export type MailboxWriteAnswer = z.infer<typeof MailboxWriteAnswer>

/** `GET /v1/mailboxes`. Contested: two strangers have written different messages into slot 1. */
export const MailboxAnswer = z.strictObject({
  expiresMs: z.int().check(z.nonnegative()),
  contested: z.union([z.literal(0), z.literal(1)]),
  messages: z.array(z.nullable(message)).check(z.length(MAILBOX_SLOTS_COUNT)),
})
export type MailboxAnswer = z.infer<typeof MailboxAnswer>

export const formatMailboxId = (id: MailboxId): string => formatBase64Url(id)

/** Of the header. Throws `malformed`. */
export function parseMailboxId(text: string | null): MailboxId {
  const bytes =
    text === null || text.length > 2 * MAILBOX_ID_BYTES ? undefined : parseBase64Url(text)
  if (bytes?.length === MAILBOX_ID_BYTES) return bytes as MailboxId
  throw new ProtocolError('malformed', `${HEADER_MAILBOX_ID} is missing, or is no id of a mailbox`)
}
