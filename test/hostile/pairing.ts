/**
 * What the tests of pairing share: a device that invites and one that joins, whose pauses take no
 * time but move the clock, and remotes that meddle with the mailbox between them.
 */
import {
  createVaultOn,
  type Invitation,
  type JoinOptions,
  joinVaultOn,
  type Newcomer,
  type Platform,
  type Vault,
} from '@blindcopy/client'
import {
  encodeMessage,
  HEADER_MAILBOX_ID,
  MailboxAnswer,
  type MailboxId,
  type MailboxSlot,
  MailboxWriteAnswer,
  MailboxWriteRequest,
  type PairingMessage,
  parseMailboxId,
  parseMessage,
  slotOf,
} from '@blindcopy/protocol'
import {
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  parsePairingCode,
  sealPairingMessage,
} from '@blindcopy/vault'
import { expect } from 'vitest'
import { type Carry, type Device, makeWorld, REMOTE, type World } from '../simulation/world.ts'
import { cbor } from './adversary.ts'

const POLL_MS = 1_000

export type Stage = {
  readonly world: World
  readonly inviter: Device
  readonly vault: Vault
  readonly recoveryPhrase: string
  readonly newcomer: Device
}

/** A vault with one note, synced, and a device that is in none. */
export async function makeStage(seed: number): Promise<Stage> {
  const world = makeWorld(seed)
  const inviter = world.makeDevice()
  const { vault, recoveryPhrase } = await createVaultOn(hasty(world, inviter), {
    path: 'folder',
    remote: REMOTE,
    deviceName: 'the inviter',
  })
  await vault.collection('notes').put('n', { text: 'canary-of-a-note' })
  await vault.sync.once()
  return { world, inviter, vault, recoveryPhrase, newcomer: world.makeDevice() }
}

/** Its pauses between two looks at the mailbox are over at once, and half a second has passed. */
export function hasty(world: World, { platform }: Device): Platform {
  return {
    ...platform,
    setTimer(callback, delayMs) {
      if (delayMs !== POLL_MS) return platform.setTimer(callback, delayMs)
      const soon = setImmediate(() => {
        world.clock.ms += POLL_MS / 2
        callback()
      })
      return () => clearImmediate(soon)
    },
  }
}

export const yes = async (): Promise<boolean> => true

type By = { readonly code: string } | { readonly words: string; readonly remote: string }

export const byOf = ({ code, words, remote }: Invitation): By =>
  code === undefined ? { words: words ?? '', remote } : { code }

export function join(
  { world, newcomer }: Pick<Stage, 'world' | 'newcomer'>,
  invitation: Invitation | By,
  options: Partial<JoinOptions> = {},
): Promise<Vault> {
  const by = 'newcomer' in invitation ? byOf(invitation) : invitation
  const given = { path: 'folder', deviceName: 'canary of a name', confirm: yes, ...options, ...by }
  return joinVaultOn(hasty(world, newcomer), given as JoinOptions)
}

/** Both people say yes to whatever is shown. */
export async function pair(
  stage: Stage,
  invitation: Invitation,
): Promise<{ joined: Vault; newcomer: Newcomer; digits: string }> {
  let digits = ''
  const joining = join(stage, invitation, {
    confirm: async (question) => {
      digits = question.digits
      return true
    },
  })
  const [joined, newcomer] = await Promise.all([joining, approveWhoever(invitation)])
  return { joined, newcomer, digits }
}

export async function approveWhoever(invitation: Invitation): Promise<Newcomer> {
  const newcomer = await invitation.newcomer()
  await newcomer.approve()
  return newcomer
}

/** Nothing was written by the device, and nobody was added to the vault. */
export async function expectNobody({ world, vault, newcomer }: Stage, members = 1): Promise<void> {
  expect([newcomer.disk.config, newcomer.disk.keys]).toEqual([undefined, undefined])
  expect(await newcomer.disk.entries()).toEqual([])
  await vault.sync.once()
  expect(vault.devices()).toHaveLength(members)
  expect(world.faults).toEqual([])
}

export type Box = Omit<MailboxAnswer, 'messages'> & { messages: (Uint8Array | null)[] }

/** What a device reads of the mailbox is as `rewrite` leaves it. */
export function rewriteMailbox(
  device: Device,
  rewrite: (mailbox: Box, id: MailboxId) => Box | Promise<Box>,
): void {
  onMailboxes(device, 'GET', async (request, carry) => {
    const id = parseMailboxId(request.headers.get(HEADER_MAILBOX_ID))
    const response = await carry(request)
    if (!response.ok) return response
    const mailbox = parseMessage(MailboxAnswer, new Uint8Array(await response.arrayBuffer()))
    return cbor(encodeMessage(MailboxAnswer, await rewrite(mailbox, id)))
  })
}

/** What a device writes is what `rewrite` makes of it; nothing is passed on for undefined. */
export function rewriteWrites(
  device: Device,
  rewrite: (write: MailboxWriteRequest) => MailboxWriteRequest | undefined,
): void {
  onMailboxes(device, 'POST', async (request, carry) => {
    const body = new Uint8Array(await request.clone().arrayBuffer())
    const passed = rewrite(parseMessage(MailboxWriteRequest, body))
    if (passed === undefined) return cbor(encodeMessage(MailboxWriteAnswer, { expiresMs: 1 }))
    const headers = request.headers
    const encoded = new Uint8Array(encodeMessage(MailboxWriteRequest, passed))
    return carry(new Request(request.url, { method: 'POST', headers, body: encoded }))
  })
}

export function onMailboxes(
  device: Device,
  method: string,
  answer: (request: Request, carry: Carry) => Promise<Response>,
): void {
  const before = device.network.fetch
  device.network.fetch = (request, carry) =>
    new URL(request.url).pathname === '/v1/mailboxes' && request.method === method
      ? answer(request, (passed) => before(passed, carry))
      : before(request, carry)
}

/** Somebody who has seen the code, and can open and seal what goes through the mailbox. */
export class Insider {
  readonly keys: PairingKeys
  readonly #world: World

  constructor(world: World, code: string) {
    this.#world = world
    this.keys = pairingKeysOfCode(parsePairingCode(code).secret, REMOTE)
  }

  seal(message: PairingMessage): Uint8Array {
    return sealPairingMessage(message, this.keys, this.#world.chance.bytes)
  }

  open<Type extends PairingMessage['type']>(
    type: Type,
    slot: MailboxSlot,
    sealed: Uint8Array | null | undefined,
  ): Extract<PairingMessage, { type: Type }> | undefined {
    if (sealed === null || sealed === undefined) return undefined
    const message = openPairingMessage(sealed, slot, this.keys)
    return message.type === type ? (message as Extract<PairingMessage, { type: Type }>) : undefined
  }

  /** Writes into the real mailbox, as anybody may into slot 1. */
  async write(message: PairingMessage): Promise<void> {
    const { mailboxId } = this.keys
    const write = { mailboxId, slot: slotOf(message), message: this.seal(message) }
    const body = new Uint8Array(encodeMessage(MailboxWriteRequest, write))
    const response = await this.#world.remote.app.request('/v1/mailboxes', { method: 'POST', body })
    expect(response.status).toBe(200)
  }

  async read(): Promise<Box> {
    const id = Buffer.from(this.keys.mailboxId).toString('base64url')
    const headers = { [HEADER_MAILBOX_ID]: id }
    const response = await this.#world.remote.app.request('/v1/mailboxes', { headers })
    return parseMessage(MailboxAnswer, new Uint8Array(await response.arrayBuffer()))
  }
}
