/**
 * The newcomer: answers an invitation, shows the digits, and is a device of the vault once the
 * other person has approved. Nothing is written to the disk before that.
 *
 * It believes the keychain alone, checked from the vault id that the digits cover: the head that
 * the invitation named must be in it, and its own entry with exactly its keys, added by the device
 * that invited. So a remote that helps somebody else gains nothing, whatever it serves.
 */
import {
  equalBytes,
  findMember,
  formatMemberId,
  formatVaultId,
  isCommittedNonce,
  type Keychain,
  knowsEntry,
  MAILBOX_MS,
  MAILBOX_SLOTS,
  type MailboxSlot,
  memberIdOf,
  PAIRING_NONCE_BYTES,
  type PairingApprove,
  type PairingInvite,
  type PairingJoin,
  type PairingMessage,
  pairingDigits,
  pairingTranscript,
  parseCheckpoint,
  validateKeychain,
} from '@blindcopy/protocol'
import type { StoreOp } from '@blindcopy/secondary'
import {
  type DeviceKeys,
  generateDeviceKeys,
  memberProof,
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  pairingKeysOfWords,
  parsePairingCode,
  parsePairingWords,
  sealPairingMessage,
  VaultError,
  verifySignature,
} from '@blindcopy/vault'
import { ClientError, codeOf } from '../../error.ts'
import { putExpected } from '../../local/checkpoint-store.ts'
import type { Platform } from '../../platform.ts'
import { logIn } from '../../sync/session.ts'
import { createHttpTransport, formatRemoteUrl } from '../../transport/http-transport.ts'
import type { Vault } from '../vault.ts'
import { emptyFolder, writeVault } from '../vault-doors.ts'
import type { JoinOptions, PairingTransport } from './pairing.ts'
import { pairingDenied, pairingExpired, pairingFailed } from './pairing-error.ts'
import { awaitMessage, readMailbox, untilDone, type Waiting, writeMailbox } from './waiting.ts'

/** One pairing under way. */
type Joining = {
  readonly platform: Platform
  readonly transport: PairingTransport
  readonly keys: PairingKeys
  readonly waiting: Waiting
  readonly device: DeviceKeys
}

export async function join(platform: Platform, options: JoinOptions): Promise<Vault> {
  const address = readAddress(options)
  if (typeof options.confirm !== 'function') {
    throw new ClientError('invalid-argument', 'confirm, which asks the person, is missing')
  }
  const folder = await emptyFolder(platform, options.path)
  const transport = createHttpTransport(address.remote, platform)
  const keys = await address.keysFor(transport.origin)
  const device = generateDeviceKeys(platform.random)
  const waiting = {
    platform,
    transport,
    mailboxId: keys.mailboxId,
    expiresMs: platform.nowMs() + MAILBOX_MS,
    signal: options.signal ?? new AbortController().signal,
  }
  const joining = { platform, transport, keys, waiting, device }
  try {
    const { invite, approve } = await answer(joining, options)
    const { vaultId, entries } = await fetchKeychain(joining, invite, approve)
    const { remote } = address
    const { passphrase, keyStore } = options
    const initial = expected(approve)
    const parts = { vaultId, remote, entries, device, passphrase, keyStore, initial }
    return await writeVault(platform, folder, parts)
  } catch (error) {
    device.wipe()
    throw error
  } finally {
    keys.sealingKey.wipe()
  }
}

/** The log that the remote serves must contain what the inviter has seen of it. */
const expected = ({ checkpoint }: PairingApprove): StoreOp[] =>
  checkpoint === null ? [] : [putExpected(parseCheckpoint(checkpoint))]

type Address = {
  readonly remote: string
  keysFor(origin: string): Promise<PairingKeys>
}

/** Throws `pairing-code-malformed` and `invalid-argument`. */
function readAddress(options: JoinOptions): Address {
  const { code, words, remote } = options as Partial<Record<'code' | 'words' | 'remote', unknown>>
  if (typeof code === 'string' && words === undefined) {
    const { secret, remote: named } = parsePairingCode(code)
    return { remote: remoteOf(named), keysFor: async (origin) => pairingKeysOfCode(secret, origin) }
  }
  if (typeof words === 'string' && code === undefined && typeof remote === 'string') {
    const parsed = parsePairingWords(words)
    return {
      remote: formatRemoteUrl(remote),
      keysFor: (origin) => pairingKeysOfWords(parsed, origin),
    }
  }
  throw new ClientError(
    'invalid-argument',
    'a device joins by a code, or by words and the address of the remote',
  )
}

function remoteOf(named: string): string {
  try {
    return formatRemoteUrl(named)
  } catch {
    throw new VaultError(
      'pairing-code-malformed',
      'the pairing code names no address of a remote: copy it again',
    )
  }
}

/** The whole conversation, up to the other person's yes. */
async function answer(
  joining: Joining,
  options: JoinOptions,
): Promise<{ invite: PairingInvite; approve: PairingApprove }> {
  const { platform, keys, waiting, device } = joining
  const invite = await readInvite(joining)
  const { signingKey, kemKey } = device
  const message: PairingJoin = {
    type: 'join',
    signingKey,
    kemKey,
    proof: memberProof(invite.vaultId, device),
    name: options.deviceName ?? platform.deviceName(),
    nonce: platform.random(PAIRING_NONCE_BYTES),
  }
  // Also where somebody answered already: the second answer is what makes both known.
  await say(joining, message)
  const reveal = open(
    joining,
    MAILBOX_SLOTS.reveal,
    await awaitMessage(waiting, MAILBOX_SLOTS.reveal),
  )
  if (reveal.type !== 'reveal' || !isCommittedNonce(invite, reveal.nonce)) {
    throw pairingFailed('the other device does not keep to what it said first')
  }
  const { mailboxId } = keys
  const transcript = { mailboxId, invite, join: message, nonce: reveal.nonce }
  await confirm(joining, options, { invite, digits: pairingDigits(pairingTranscript(transcript)) })
  return { invite, approve: await awaitApproval(joining) }
}

async function readInvite(joining: Joining): Promise<PairingInvite> {
  const { messages } = await readMailbox(joining.waiting)
  // Who invited has given its answer to another device already: the code was used up.
  const [said, answered] = [messages[MAILBOX_SLOTS.join], messages[MAILBOX_SLOTS.verdict]]
  if (said !== null && answered !== null) throw pairingExpired()
  const sealed = messages[MAILBOX_SLOTS.invite]
  const invite = sealed ? open(joining, MAILBOX_SLOTS.invite, sealed) : undefined
  if (invite?.type === 'invite') return invite
  throw pairingFailed('what waits at the remote is no invitation')
}

function open({ keys }: Joining, slot: MailboxSlot, sealed: Uint8Array): PairingMessage {
  try {
    return openPairingMessage(sealed, slot, keys)
  } catch (cause) {
    throw pairingFailed('a message was changed on the way', cause)
  }
}

/** Sealed once: another answer, after one that was lost, would contest the first. */
async function say({ platform, keys, waiting }: Joining, message: PairingJoin): Promise<void> {
  const sealed = sealPairingMessage(message, keys, platform.random)
  await untilDone(waiting, async () => {
    await writeMailbox(waiting, { slot: MAILBOX_SLOTS.join, message: sealed })
    return true
  })
}

async function confirm(
  joining: Joining,
  options: JoinOptions,
  { invite, digits }: { invite: PairingInvite; digits: string },
): Promise<void> {
  const vaultId = formatVaultId(invite.vaultId)
  const inviterId = formatMemberId(memberIdOf(invite.signingKey))
  if (await options.confirm({ digits, vaultId, inviterId })) return
  // Another answer contests the mailbox: that is how the other device hears of it.
  const { waiting } = joining
  const message = joining.platform.random(PAIRING_NONCE_BYTES)
  await writeMailbox(waiting, { slot: MAILBOX_SLOTS.join, message }).catch(() => undefined)
  throw pairingDenied('the digits were not confirmed on this device: nothing was joined')
}

async function awaitApproval(joining: Joining): Promise<PairingApprove> {
  const sealed = await awaitMessage(joining.waiting, MAILBOX_SLOTS.verdict)
  const verdict = open(joining, MAILBOX_SLOTS.verdict, sealed)
  if (verdict.type === 'approve') return verdict
  throw pairingDenied('the person at the other device has said no: nothing was joined')
}

/** Before anything is written: what it says is judged by the first sync. */
function checkCheckpoint(bytes: Uint8Array, { vaultId }: Keychain): void {
  if (equalBytes(parseCheckpoint(bytes).vaultId, vaultId)) return
  throw pairingFailed('the checkpoint that came is of another vault')
}

/** What makes the remote's word worthless here ends the pairing; what passes does not. */
const MEANS_FAILED: ReadonlySet<string> = new Set([
  'not-a-member',
  'unknown-vault',
  'challenge-failed',
  'keychain-invalid',
  'keychain-forked',
  'malformed',
])

async function fetchKeychain(
  { transport, device }: Joining,
  invite: PairingInvite,
  approve: PairingApprove,
): Promise<Keychain> {
  const { vaultId } = invite
  const { memberId } = device
  try {
    const sign = device.sign.bind(device)
    const { token } = await logIn(transport, { vaultId, memberId, sign })
    const entries = await transport.keychain(token, 0)
    const keychain = validateKeychain(vaultId, entries, verifySignature)
    checkKeychain(keychain, { invite, approve, device })
    return keychain
  } catch (cause) {
    if (!MEANS_FAILED.has(codeOf(cause) ?? '')) throw cause
    throw pairingFailed('the remote does not show this device in the vault', cause)
  }
}

function checkKeychain(
  keychain: Keychain,
  said: { invite: PairingInvite; approve: PairingApprove; device: DeviceKeys },
): void {
  const { invite, approve, device } = said
  if (approve.checkpoint !== null) checkCheckpoint(approve.checkpoint, keychain)
  const isKnown = [invite, approve].every(({ keychainHead }) => knowsEntry(keychain, keychainHead))
  if (!isKnown) throw pairingFailed('the remote serves another list of devices than was agreed on')
  const own = findMember(keychain, device.memberId)
  const inviterId = memberIdOf(invite.signingKey)
  const isAdded =
    own?.kind === 'device' &&
    equalBytes(own.signingKey, device.signingKey) &&
    equalBytes(own.kemKey, device.kemKey) &&
    equalBytes(own.addedBy, inviterId)
  if (!isAdded) throw pairingFailed('this device is not in the vault with its keys')
  const inviter = findMember(keychain, inviterId)
  const isInviter =
    inviter !== undefined &&
    equalBytes(inviter.signingKey, invite.signingKey) &&
    equalBytes(inviter.kemKey, invite.kemKey)
  if (!isInviter) throw pairingFailed('the device that invited is not one of the vault')
}
