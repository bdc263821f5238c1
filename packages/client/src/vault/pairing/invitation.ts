/**
 * The inviting device: makes the mailbox, shows whoever answers, and adds it when the person says
 * so.
 *
 * Nothing is given to the newcomer before `approve`: until then the mailbox holds only what the
 * person at the other end may know anyway, and what makes the digits.
 */
import {
  checkSignature,
  equalBytes,
  findMember,
  type Keychain,
  keychainHead,
  knowsEntry,
  MAILBOX_MS,
  MAILBOX_SLOTS,
  memberIdOf,
  memberProofBytes,
  mergeKeychain,
  PAIRING_NONCE_BYTES,
  type PairingInvite,
  type PairingJoin,
  type PairingMessage,
  pairingCommitment,
  pairingDigits,
  pairingTranscript,
  slotOf,
} from '@blindcopy/protocol'
import {
  addMember,
  formatPairingCode,
  generatePairingSecret,
  generatePairingWords,
  openKeyring,
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  pairingKeysOfWords,
  sealPairingMessage,
  verifySignature,
} from '@blindcopy/vault'
import { ClientError, codeOf } from '../../error.ts'
import { openSession } from '../../sync/login.ts'
import type { Invitation, InviteOptions, Newcomer, PairingParts } from './pairing.ts'
import { pairingExpired, pairingFailed } from './pairing-error.ts'
import {
  awaitMessage,
  checkGoing,
  readMailbox,
  untilDone,
  type Waiting,
  writeMailbox,
} from './waiting.ts'

const APPEND_ATTEMPTS_MAX = 10

/** One invitation under way. */
type Inviting = {
  readonly parts: PairingParts
  readonly keys: PairingKeys
  readonly waiting: Waiting
  readonly invite: PairingInvite
  readonly nonce: Uint8Array
  readonly withToken: WithToken
  /** Who has answered, and the sealed word that this device then says: once for good. */
  answered: { readonly join: PairingJoin; readonly reveal: () => Promise<void> } | undefined
}
type WithToken = <T>(job: (token: string) => Promise<T>) => Promise<T>

export async function invite(parts: PairingParts, options: InviteOptions): Promise<Invitation> {
  const { platform, transport, remote, membership } = parts
  const { form = 'code' } = options
  if (form !== 'code' && form !== 'words') {
    throw new ClientError('invalid-argument', 'the form of an invitation is "code" or "words"')
  }
  const withToken = sessionOf(parts)
  const keychain = await withToken((token) => currentKeychain(parts, token))
  const { keys, shown } = await makeKeys(parts, form)
  const nonce = platform.random(PAIRING_NONCE_BYTES)
  const { signingKey, kemKey } = membership.device
  const { vaultId } = keychain
  const invite: PairingInvite = {
    type: 'invite',
    vaultId,
    keychainHead: keychainHead(keychain),
    keychainLength: keychain.hashes.length,
    signingKey,
    kemKey,
    commitment: pairingCommitment(vaultId, nonce),
  }
  const end = new AbortController()
  const signal = AbortSignal.any([end.signal, parts.access.ended])
  signal.addEventListener('abort', () => keys.sealingKey.wipe(), { once: true })
  const expiresMs = platform.nowMs() + MAILBOX_MS
  const { mailboxId } = keys
  const waiting = { platform, transport, mailboxId, expiresMs, signal }
  const inviting: Inviting = {
    ...{ parts, keys, waiting, invite, nonce, withToken },
    answered: undefined,
  }
  await sealFor(inviting, invite)()
  return {
    ...shown,
    remote,
    expiresMs,
    newcomer: once((signal?: AbortSignal) => awaitNewcomer(inviting, signal)),
    async cancel() {
      end.abort(pairingExpired())
      await close(inviting)
    },
  }
}

/** One result, however often it is asked for; what failed may be tried again. */
function once<A, T>(job: (argument?: A) => Promise<T>): (argument?: A) => Promise<T> {
  let running: Promise<T> | undefined
  return (argument) => {
    running ??= job(argument).catch((error: unknown) => {
      running = undefined
      throw error
    })
    return running
  }
}

async function makeKeys(
  { platform, transport, remote }: PairingParts,
  form: 'code' | 'words',
): Promise<{ keys: PairingKeys; shown: { code: string } | { words: string } }> {
  const { origin } = transport
  if (form === 'words') {
    const words = generatePairingWords(platform.random)
    return { keys: await pairingKeysOfWords(words, origin), shown: { words } }
  }
  const secret = generatePairingSecret(platform.random)
  const code = formatPairingCode({ secret, remote })
  return { keys: pairingKeysOfCode(secret, origin), shown: { code } }
}

function waitingFor({ waiting }: Inviting, signal: AbortSignal | undefined): Waiting {
  if (signal === undefined) return waiting
  return { ...waiting, signal: AbortSignal.any([waiting.signal, signal]) }
}

/** A token lives longer than an invitation, unless the remote was started again. */
function sessionOf({ membership, registrationToken, transport }: PairingParts): WithToken {
  const logIn = async (): Promise<string> => {
    const { device, keychain } = membership
    const { vaultId, entries } = keychain
    const { memberId } = device
    const sign = device.sign.bind(device)
    const keychainEntries = () => entries
    const identity = { vaultId, memberId, sign, keychainEntries, registrationToken }
    return (await openSession(transport, identity)).token
  }
  let token: string | undefined
  return async (job) => {
    token ??= await logIn()
    try {
      return await job(token)
    } catch (error) {
      if (codeOf(error) !== 'session-required') throw error
    }
    token = await logIn()
    return job(token)
  }
}

/** What is pinned here with what the remote has beyond it, checked; neither is kept. */
async function currentKeychain(parts: PairingParts, token: string): Promise<Keychain> {
  const entries = await parts.transport.keychain(token, 0)
  return mergeKeychain(parts.membership.keychain, entries, verifySignature).keychain
}

/** Sealed once, so that what is written again after a lost answer is the same. */
function sealFor({ parts, keys, waiting, withToken }: Inviting, message: PairingMessage) {
  const sealed = sealPairingMessage(message, keys, parts.platform.random)
  const write = { slot: slotOf(message), message: sealed }
  return () => withToken((token) => writeMailbox(waiting, write, token))
}

/** Over whatever the network does, as long as the invitation lives. */
async function say(inviting: Inviting, message: PairingMessage): Promise<void> {
  checkGoing(inviting.waiting)
  await insist(inviting, sealFor(inviting, message))
}

async function insist(inviting: Inviting, write: () => Promise<void>): Promise<void> {
  checkGoing(inviting.waiting)
  await untilDone(inviting.waiting, async () => {
    await write()
    return true
  })
}

/**
 * The first answer stays, also where what follows fails and is asked for again: a remote that has
 * the code and heard the nonce could look for an answer that makes the digits it wants.
 */
async function awaitAnswer(
  inviting: Inviting,
  signal: AbortSignal | undefined,
): Promise<NonNullable<Inviting['answered']>> {
  const sealed = await awaitMessage(waitingFor(inviting, signal), MAILBOX_SLOTS.join)
  const join = await orClose(inviting, async () => readJoin(sealed, inviting))
  return { join, reveal: sealFor(inviting, { type: 'reveal', nonce: inviting.nonce }) }
}

async function awaitNewcomer(inviting: Inviting, signal?: AbortSignal): Promise<Newcomer> {
  const { keys, invite, nonce } = inviting
  inviting.answered ??= await awaitAnswer(inviting, signal)
  const { join, reveal } = inviting.answered
  await insist(inviting, reveal)
  const { mailboxId } = keys
  const digits = pairingDigits(pairingTranscript({ mailboxId, invite, join, nonce }))
  return newcomerOf(inviting, join, digits)
}

/** What cannot be gone on with is over for both ends. */
async function orClose<T>(inviting: Inviting, job: () => Promise<T>): Promise<T> {
  try {
    return await job()
  } catch (error) {
    await close(inviting)
    throw error
  }
}

/** At best: what is not closed here expires there. */
async function close({ parts, keys, withToken }: Inviting): Promise<void> {
  const { transport } = parts
  await withToken((token) => transport.closeMailbox(keys.mailboxId, token)).catch(() => undefined)
}

function readJoin(sealed: Uint8Array, { keys, invite }: Inviting): PairingJoin {
  let join: PairingMessage
  try {
    join = openPairingMessage(sealed, MAILBOX_SLOTS.join, keys)
  } catch (cause) {
    throw pairingFailed('what answered does not have the code, or was changed on the way', cause)
  }
  if (join.type !== 'join') throw pairingFailed('what answered is no request to join')
  const proof = memberProofBytes(invite.vaultId, join)
  if (checkSignature(verifySignature, proof, join.proof, join.signingKey)) return join
  throw pairingFailed('the device that answered does not hold the keys that it shows')
}

function newcomerOf(inviting: Inviting, join: PairingJoin, digits: string): Newcomer {
  let verdict: 'approve' | 'deny' | undefined
  const decide = (said: 'approve' | 'deny'): void => {
    inviting.parts.access.check()
    if (verdict === undefined || verdict === said) verdict = said
    else throw new ClientError('invalid-argument', 'this newcomer was answered already')
  }
  const approving = once(() => approve(inviting, join))
  const denying = once(() => say(inviting, { type: 'deny', reason: 'declined' }))
  return {
    name: join.name,
    digits,
    approve: async () => {
      decide('approve')
      await approving()
    },
    deny: async () => {
      decide('deny')
      await denying()
    },
  }
}

async function approve(inviting: Inviting, join: PairingJoin): Promise<void> {
  const { parts, waiting } = inviting
  // Asked last of all: a second device may have answered while the person compared digits.
  await orClose(inviting, () => untilDone(waiting, () => readMailbox(waiting)))
  const checkpoint = await parts.newestCheckpoint()
  const keychain = await inviting
    .withToken((token) => append(inviting, join, token))
    .catch(async (error: unknown) => {
      const isOver = codeOf(error) === 'pairing-failed'
      if (isOver) await say(inviting, { type: 'deny', reason: 'failed' }).catch(() => undefined)
      throw error
    })
  await say(inviting, { type: 'approve', keychainHead: keychainHead(keychain), checkpoint })
  await followHere(parts, keychain)
}

/** So that the person sees whom they have just let in; a sync would bring it too. */
async function followHere({ membership, follow }: PairingParts, there: Keychain): Promise<void> {
  const here = membership.keychain
  if (!knowsEntry(there, keychainHead(here))) return
  await follow(there.entries.slice(here.entries.length)).catch(() => undefined)
}

/** Adds the newcomer unless it is there already, and returns the chain it is in. */
async function append(inviting: Inviting, join: PairingJoin, token: string): Promise<Keychain> {
  const { parts } = inviting
  for (let attempt = 1; ; attempt++) {
    const keychain = await currentKeychain(parts, token)
    if (!knowsEntry(keychain, inviting.invite.keychainHead)) {
      throw pairingFailed('the list of devices is another by now')
    }
    const found = findMember(keychain, memberIdOf(join.signingKey))
    // An approval whose answer was lost, said again.
    if (found !== undefined && equalBytes(found.kemKey, join.kemKey)) return keychain
    const entry = entryFor(parts, keychain, join)
    try {
      const previous = keychainHead(keychain)
      await parts.transport.appendKeychain(token, { previous, entries: [entry] })
      return mergeKeychain(keychain, [entry], verifySignature).keychain
    } catch (error) {
      // Another device appended first: look again, and sign for the chain as it is then.
      if (codeOf(error) !== 'keychain-race' || attempt >= APPEND_ATTEMPTS_MAX) throw error
    }
  }
}

function entryFor(parts: PairingParts, keychain: Keychain, join: PairingJoin): Uint8Array {
  const { platform, membership } = parts
  const { device } = membership
  const { signingKey, kemKey, proof, name } = join
  const keyring = openKeyring({ keychain, holder: device })
  try {
    return addMember({
      keychain,
      keyring,
      signer: device,
      newcomer: { kind: 'device', signingKey, kemKey, proof },
      name,
      nowMs: platform.nowMs(),
      random: platform.random,
    })
  } catch (cause) {
    throw pairingFailed('the newcomer cannot become a device of the vault', cause)
  } finally {
    keyring.wipe()
  }
}
