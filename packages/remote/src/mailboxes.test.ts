/**
 * Mailboxes: who may write and read what, for how long, how much, and that nothing of it is stored.
 *
 * Lessons: B1, B2, B8, B12. Threats: 10, 40.
 */
import {
  HEADER_MAILBOX_ID,
  KeychainAppendAnswer,
  MAILBOX_MESSAGE_BYTES_MAX,
  MAILBOX_MS,
  MailboxAnswer,
  type MailboxId,
  MailboxWriteAnswer,
  SESSION_TOKEN_MS,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { createMailboxes, MAILBOXES_PER_MEMBER_MAX, UNKNOWN_A_MINUTE_MAX } from './mailboxes.ts'
import {
  type Answer,
  ask,
  bodyOf,
  Device,
  dump,
  makeSigner,
  must,
  openVault,
  post,
  random,
} from './remote.fixture.ts'

const makeId = (): MailboxId => random(16) as MailboxId
const bytes = (fill: number, size = 40): Uint8Array => new Uint8Array(size).fill(fill)
const headerOf = (id: Uint8Array) => ({
  [HEADER_MAILBOX_ID]: Buffer.from(id).toString('base64url'),
})
const codeOf = (answer: Answer): string | undefined => answer.problem?.code

const write = (device: Device, mailboxId: Uint8Array, slot: number, message = bytes(slot)) =>
  device.post('/v1/mailboxes', { mailboxId, slot, message })
const writeAsStranger = (
  { app }: Device,
  mailboxId: Uint8Array,
  slot: number,
  message = bytes(9),
) => post(app, '/v1/mailboxes', { mailboxId, slot, message })
const read = ({ app }: Device, id: Uint8Array) =>
  ask(app, '/v1/mailboxes', { headers: headerOf(id) })
const close = (device: Device, id: Uint8Array) =>
  ask(device.app, '/v1/mailboxes', {
    method: 'DELETE',
    headers: { ...device.headers, ...headerOf(id) },
  })

/** Appends to the keychain of the vault what `change` adds to it. */
async function append(device: Device, change: () => void): Promise<void> {
  const { chain } = device
  const { head: previous, entries: before } = { head: chain.head, entries: [...chain.entries] }
  change()
  const entries = chain.entries.slice(before.length)
  must(KeychainAppendAnswer, await device.post('/v1/keychain', { previous, entries }))
}

/** Another device of the vault, logged in. */
async function second(device: Device): Promise<Device> {
  const signer = makeSigner()
  await append(device, () => device.chain.addDevice(device.signer, signer))
  return new Device(device.bench, device.chain, signer).join()
}

async function revoke(by: Device, { signer }: Device): Promise<void> {
  const { chain } = by
  await append(by, () => {
    chain.append(by.signer, { type: 'member-revoke', memberIds: [signer.memberId] })
    chain.members.splice(chain.members.indexOf(signer), 1)
    chain.addEpoch(by.signer)
  })
}

describe('a mailbox', () => {
  it('passes on what is written, slot by slot, to whoever knows its id', async () => {
    const { bench, device } = await openVault()
    const id = makeId()
    const expiresMs = bench.clock.ms + MAILBOX_MS
    expect(must(MailboxWriteAnswer, await write(device, id, 0))).toEqual({ expiresMs })
    expect(must(MailboxWriteAnswer, await writeAsStranger(device, id, 1))).toEqual({ expiresMs })
    expect(must(MailboxAnswer, await read(device, id))).toEqual({
      expiresMs,
      contested: 0,
      messages: [bytes(0), bytes(9), null, null],
    })
    must(MailboxWriteAnswer, await write(device, id, 2))
    must(MailboxWriteAnswer, await write(device, id, 3))
    expect(must(MailboxAnswer, await read(device, id)).messages[3]).toEqual(bytes(3))
  })

  it('takes each message once, and the same again, because an answer may be lost', async () => {
    const { device } = await openVault()
    const id = makeId()
    for (const slot of [0, 1, 2, 3]) {
      expect(codeOf(await write(device, id, slot))).toBeUndefined()
      expect(codeOf(await write(device, id, slot))).toBeUndefined()
    }
    for (const slot of [0, 2, 3]) {
      expect(codeOf(await write(device, id, slot, bytes(7)))).toBe('mailbox-taken')
      const { contested, messages } = must(MailboxAnswer, await read(device, id))
      expect([contested, messages[slot]]).toEqual([0, bytes(slot)])
    }
  })

  it('is contested once a second newcomer wrote another message, and stays so', async () => {
    const { device } = await openVault()
    const id = makeId()
    await write(device, id, 0)
    await writeAsStranger(device, id, 1, bytes(4))
    expect(must(MailboxAnswer, await read(device, id)).contested).toBe(0)
    expect(codeOf(await writeAsStranger(device, id, 1, bytes(5)))).toBe('mailbox-taken')
    expect(codeOf(await writeAsStranger(device, id, 1, bytes(4)))).toBeUndefined()
    const { contested, messages } = must(MailboxAnswer, await read(device, id))
    expect([contested, messages[1]]).toEqual([1, bytes(4)])
  })

  it('lets a stranger write the slot of newcomers alone, and make no mailbox', async () => {
    const { device } = await openVault()
    const id = makeId()
    expect(codeOf(await writeAsStranger(device, id, 1))).toBe('mailbox-unknown')
    for (const slot of [0, 2, 3]) {
      expect(codeOf(await writeAsStranger(device, id, slot))).toBe('session-required')
    }
    await write(device, id, 0)
    for (const slot of [0, 2, 3]) {
      expect(codeOf(await writeAsStranger(device, id, slot))).toBe('session-required')
    }
    expect(must(MailboxAnswer, await read(device, id)).messages.slice(1)).toEqual([
      null,
      null,
      null,
    ])
  })

  it('is the member’s who made it: another of the vault, or of another vault, has no part in it', async () => {
    const { device } = await openVault()
    const other = await second(device)
    const { device: foreign } = await openVault({ store: device.bench.store })
    const id = makeId()
    await write(device, id, 0)
    for (const slot of [2, 3]) expect(codeOf(await write(other, id, slot))).toBe('mailbox-unknown')
    expect(codeOf(await write(other, id, 0))).toBe('mailbox-taken')
    expect(codeOf(await close(other, id))).toBe('mailbox-unknown')
    expect(foreign.chain.vaultId).not.toEqual(device.chain.vaultId)
    expect(must(MailboxAnswer, await read(device, id)).messages).toEqual([
      bytes(0),
      null,
      null,
      null,
    ])
  })

  it('is gone after ten minutes, when it is closed, and with the process', async () => {
    const { bench, device } = await openVault()
    const [expired, closed, lost] = [makeId(), makeId(), makeId()]
    await write(device, expired, 0)
    bench.clock.ms += MAILBOX_MS - 1
    expect(codeOf(await read(device, expired))).toBeUndefined()
    bench.clock.ms += 1
    expect(codeOf(await read(device, expired))).toBe('mailbox-unknown')
    expect(codeOf(await writeAsStranger(device, expired, 1))).toBe('mailbox-unknown')
    expect(codeOf(await write(device, expired, 2))).toBe('mailbox-unknown')

    await write(device, closed, 0)
    expect(must(MailboxWriteAnswer, await close(device, closed))).toEqual({
      expiresMs: bench.clock.ms,
    })
    expect(codeOf(await read(device, closed))).toBe('mailbox-unknown')
    expect(codeOf(await close(device, closed))).toBe('mailbox-unknown')
    expect(
      codeOf(
        await ask(device.app, '/v1/mailboxes', { method: 'DELETE', headers: headerOf(closed) }),
      ),
    ).toBe('session-required')

    await write(device, lost, 0)
    bench.restart()
    expect(codeOf(await read(device, lost))).toBe('mailbox-unknown')
  })

  it('goes with the member that made it: a revoked one invites nobody', async () => {
    const { device } = await openVault()
    const other = await second(device)
    const [before, after] = [makeId(), makeId()]
    await write(other, before, 0)
    await writeAsStranger(device, before, 1)
    await revoke(device, other)
    expect(codeOf(await write(other, before, 2))).toBe('not-a-member')
    expect(codeOf(await write(other, after, 0))).toBe('not-a-member')
    expect(codeOf(await close(other, before))).toBe('not-a-member')
    expect(codeOf(await read(device, before))).toBe('mailbox-unknown')
    expect(codeOf(await writeAsStranger(device, before, 1))).toBe('mailbox-unknown')
  })

  it('is not written by a member that is revoked while its message is on the way', async () => {
    const { device } = await openVault()
    const other = await second(device)
    const id = makeId()
    const message = bodyOf({ mailboxId: id, slot: 0, message: bytes(1) })
    // The token is checked, then the body waits for the revocation.
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await revoke(device, other)
          controller.enqueue(message)
          controller.close()
        },
      },
      { highWaterMark: 0 },
    )
    const init = { method: 'POST', headers: other.headers, body, duplex: 'half' }
    const answer = await ask(device.app, '/v1/mailboxes', init as RequestInit)
    expect(codeOf(answer)).toBe('not-a-member')
    expect(codeOf(await read(device, id))).toBe('mailbox-unknown')
  })

  it('is written with a good token or none: a bad one is refused in every slot', async () => {
    const { bench, device } = await openVault()
    const id = makeId()
    await write(device, id, 0)
    const init = (token: string, slot: number): RequestInit => ({
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: bodyOf({ mailboxId: id, slot, message: bytes(1) }),
    })
    for (const slot of [0, 1, 2, 3]) {
      const answer = await ask(device.app, '/v1/mailboxes', init('AAAA', slot))
      expect(codeOf(answer)).toBe('session-required')
    }
    const { token } = device
    await device.join()
    bench.clock.ms += SESSION_TOKEN_MS
    expect(codeOf(await ask(device.app, '/v1/mailboxes', init(token, 0)))).toBe('session-required')
  })

  it('keeps nothing on the disk, and no id in a line of the log', async () => {
    const routes: string[] = []
    const { bench, device } = await openVault({ log: ({ route }) => routes.push(route) })
    const before = await dump(bench.store)
    const id = makeId()
    for (const slot of [0, 1, 2, 3]) await write(device, id, slot, random(500))
    await read(device, id)
    expect(await dump(bench.store)).toEqual(before)
    expect(new Set(routes.slice(-5))).toEqual(new Set(['/v1/mailboxes']))
    expect(bench.faults).toEqual([])
  })
})

describe('the bounds of mailboxes', () => {
  it('are of bytes: at the limit taken, one beyond refused', async () => {
    const { device } = await openVault()
    const [id, other] = [makeId(), makeId()]
    expect(codeOf(await write(device, id, 0, bytes(1, MAILBOX_MESSAGE_BYTES_MAX)))).toBeUndefined()
    const beyond = await write(device, other, 0, bytes(1, MAILBOX_MESSAGE_BYTES_MAX + 1))
    expect(codeOf(beyond)).toBe('malformed')
    expect(codeOf(await write(device, other, 0, bytes(1, 2 * MAILBOX_MESSAGE_BYTES_MAX)))).toBe(
      'too-large',
    )
    expect(codeOf(await read(device, other))).toBe('mailbox-unknown')
  })

  it('are of a member: its oldest goes, and nobody else’s', async () => {
    const { device } = await openVault()
    const other = await second(device)
    const theirs = makeId()
    await write(other, theirs, 0)
    const ids = Array.from({ length: MAILBOXES_PER_MEMBER_MAX + 1 }, makeId)
    for (const id of ids) expect(codeOf(await write(device, id, 0))).toBeUndefined()
    const found = await Promise.all(
      [...ids, theirs].map(async (id) => codeOf(await read(device, id))),
    )
    expect(found).toEqual(['mailbox-unknown', ...new Array(ids.length).fill(undefined)])
  })

  it('are of a process', () => {
    const clock = { ms: 1_000 }
    const mailboxes = createMailboxes({ nowMs: () => clock.ms, perProcessMax: 2 })
    const begin = (mailboxId: MailboxId) => {
      const owner = { vaultId: random(32) as never, memberId: random(8) as never }
      return mailboxes.begin(owner, { mailboxId, slot: 0, message: bytes(1) })
    }
    begin(makeId())
    begin(makeId())
    expect(() => begin(makeId())).toThrowError(expect.objectContaining({ code: 'busy' }))
    clock.ms += MAILBOX_MS
    expect(begin(makeId()).expiresMs).toBe(clock.ms + MAILBOX_MS)
  })

  it('are of guesses: whoever tries ids is told to wait, and a mailbox that is there is served', async () => {
    const { bench, device } = await openVault()
    const id = makeId()
    await write(device, id, 0)
    for (let i = 0; i < UNKNOWN_A_MINUTE_MAX; i++) {
      expect(codeOf(await read(device, makeId()))).toBe('mailbox-unknown')
    }
    const refused = await read(device, makeId())
    expect(codeOf(refused)).toBe('too-many-requests')
    const waitSeconds = Number(refused.headers.get('Retry-After'))
    expect(waitSeconds).toBeGreaterThan(0)
    expect(waitSeconds).toBeLessThanOrEqual(60)
    expect(codeOf(await writeAsStranger(device, makeId(), 1))).toBe('too-many-requests')
    expect(codeOf(await read(device, id))).toBeUndefined()
    expect(codeOf(await writeAsStranger(device, id, 1))).toBeUndefined()
    expect(codeOf(await write(device, makeId(), 0))).toBeUndefined()
    bench.clock.ms += waitSeconds * 1000
    expect(codeOf(await read(device, makeId()))).toBe('mailbox-unknown')
  })

  it('are of the header: no id, and ids of other forms, are malformed', async () => {
    const { device } = await openVault()
    for (const headers of [
      {},
      { [HEADER_MAILBOX_ID]: '' },
      { [HEADER_MAILBOX_ID]: 'AAAA' },
      { [HEADER_MAILBOX_ID]: '*'.repeat(22) },
      { [HEADER_MAILBOX_ID]: 'A'.repeat(5_000) },
    ]) {
      expect(codeOf(await ask(device.app, '/v1/mailboxes', { headers }))).toBe('malformed')
    }
  })
})
