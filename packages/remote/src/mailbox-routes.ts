/**
 * The routes of mailboxes: who may write which slot.
 *
 *   slots 0, 2, 3   the member that invites, by its token; it must be an active member each time
 *   slot 1, reading whoever knows the id
 *
 * An invitation lives no longer than the membership of who made it: it is gone for everybody as
 * soon as that member is revoked.
 */
import {
  HEADER_MAILBOX_ID,
  MAILBOX_MESSAGE_BYTES_MAX,
  MAILBOX_SLOTS,
  MailboxAnswer,
  type MailboxId,
  MailboxWriteAnswer,
  MailboxWriteRequest,
  parseMailboxId,
  parseMessage,
  signingKeyOf,
} from '@blindcopy/protocol'
import type { Hono } from 'hono'
import { requestAddress } from './address.ts'
import { type BodyBounds, createBodyBudget, withBody } from './body.ts'
import { isOwner, type Mailbox, mailboxUnknown } from './mailboxes.ts'
import type { Parts } from './parts.ts'
import { cborResponse } from './request.ts'
import { authorize, mustMember } from './session.ts'
import { type Session, sessionRequired } from './token.ts'
import { mustVault } from './vaults.ts'

/** Bodies that may be held at once; those of strangers apart, so that they crowd out no member. */
const BODIES_BYTES_MAX = 16 * 1024 * 1024
/** Beside the message of a write: the rest of it. */
const AROUND_BYTES = 128

export function routeMailboxes(app: Hono, parts: Parts): void {
  const boundsOf = (): BodyBounds => ({
    bytesMax: MAILBOX_MESSAGE_BYTES_MAX + AROUND_BYTES,
    budget: createBodyBudget(BODIES_BYTES_MAX),
  })
  const members = boundsOf()
  const strangers = boundsOf()

  app.get('/v1/mailboxes', async ({ req, env }) => {
    const mailboxId = parseMailboxId(req.raw.headers.get(HEADER_MAILBOX_ID))
    const asked = (): Promise<Mailbox> => findLive(parts, mailboxId)
    const mailbox = await parts.strangers.pair(requestAddress(env), asked)
    const { expiresMs, contested, messages } = mailbox
    return cborResponse(MailboxAnswer, { expiresMs, contested, messages })
  })
  app.post('/v1/mailboxes', async (context) => {
    const session = await sessionOf(parts, context.req.raw.headers)
    const written = (): Promise<Response> =>
      withBody(context, session === undefined ? strangers : members, async (body) => {
        const { expiresMs } = await write(parts, session, parseMessage(MailboxWriteRequest, body))
        return cborResponse(MailboxWriteAnswer, { expiresMs })
      })
    return parts.strangers.pair(requestAddress(context.env), written)
  })
  app.delete('/v1/mailboxes', async ({ req }) => {
    const session = (await sessionOf(parts, req.raw.headers)) ?? sessionRequired()
    const mailboxId = parseMailboxId(req.raw.headers.get(HEADER_MAILBOX_ID))
    await asOwner(parts, session, mailboxId)
    parts.mailboxes.remove(mailboxId)
    return cborResponse(MailboxWriteAnswer, { expiresMs: parts.nowMs() })
  })
}

/** Undefined for a stranger; a token that is given must be good. */
async function sessionOf(parts: Parts, headers: Headers): Promise<Session | undefined> {
  const header = headers.get('Authorization')
  return header === null ? undefined : (await authorize(parts, header)).session
}

async function write(
  parts: Parts,
  session: Session | undefined,
  request: MailboxWriteRequest,
): Promise<Mailbox> {
  const { mailboxId, slot } = request
  if (slot === MAILBOX_SLOTS.join) {
    await findLive(parts, mailboxId)
    return parts.mailboxes.write(request)
  }
  const owner = session ?? sessionRequired()
  if (slot !== MAILBOX_SLOTS.invite) await asOwner(parts, owner, mailboxId)
  // Asked again where nothing can come between: a member that was revoked meanwhile writes nothing.
  return parts.vaults.exclusively(owner.vaultId, async (vault) => {
    mustMember(mustVault(vault), owner.memberId)
    const { vaultId, memberId } = owner
    if (slot === MAILBOX_SLOTS.invite) return parts.mailboxes.begin({ vaultId, memberId }, request)
    return parts.mailboxes.write(request)
  })
}

/** One whose maker is still a member. Throws `mailbox-unknown`. */
async function findLive(parts: Parts, mailboxId: MailboxId): Promise<Mailbox> {
  const mailbox = parts.mailboxes.find(mailboxId)
  const { vaultId, memberId } = mailbox.owner
  const vault = await parts.vaults.read(vaultId)
  if (vault !== undefined && signingKeyOf(vault.keychain, memberId) !== undefined) return mailbox
  parts.mailboxes.remove(mailboxId)
  throw mailboxUnknown()
}

/** Whose it is not is told as little as who guesses. Throws `mailbox-unknown`. */
async function asOwner(parts: Parts, session: Session, mailboxId: MailboxId): Promise<void> {
  if (!isOwner(await findLive(parts, mailboxId), session)) throw mailboxUnknown()
}
