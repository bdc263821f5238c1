/**
 * Mailbox transport: how two devices that pair reach the mailbox they share at a remote. Refusals
 * and failures are those of transport.ts.
 */
import {
  encodeMessage,
  formatMailboxId,
  HEADER_MAILBOX_ID,
  MailboxAnswer,
  type MailboxId,
  MailboxWriteAnswer,
  MailboxWriteRequest,
  type parseMessage,
} from '@blindcopy/protocol'

export interface MailboxTransport {
  /** Scheme, host and port: what both devices derive their keys for. */
  readonly origin: string
  /** Without a token only the slot of newcomers can be written. */
  writeMailbox(request: MailboxWriteRequest, token?: string): Promise<MailboxWriteAnswer>
  readMailbox(mailboxId: MailboxId): Promise<MailboxAnswer>
  closeMailbox(mailboxId: MailboxId, token: string): Promise<void>
}

type Exchange = <T>(
  call: {
    method: 'GET' | 'POST' | 'DELETE'
    path: string
    headers?: Record<string, string>
    body?: Uint8Array
  },
  schema: Parameters<typeof parseMessage<T>>[0],
) => Promise<T>

export function mailboxesOver(exchange: Exchange): Omit<MailboxTransport, 'origin'> {
  const path = '/v1/mailboxes'
  const authorization = (token: string | undefined): Record<string, string> =>
    token === undefined ? {} : { authorization: `Bearer ${token}` }
  const idHeader = (id: MailboxId) => ({ [HEADER_MAILBOX_ID]: formatMailboxId(id) })
  return {
    writeMailbox(request, token) {
      const body = encodeMessage(MailboxWriteRequest, request)
      const call = { method: 'POST', path, headers: authorization(token), body } as const
      return exchange(call, MailboxWriteAnswer)
    },
    readMailbox: (id) => exchange({ method: 'GET', path, headers: idHeader(id) }, MailboxAnswer),
    async closeMailbox(id, token) {
      const headers = { ...authorization(token), ...idHeader(id) }
      await exchange({ method: 'DELETE', path, headers }, MailboxWriteAnswer)
    },
  }
}
