/**
 * Greeting: two devices show each other that they are members of one vault, and agree on its
 * keychain, before anything else is said.
 *
 *   both   hello       version, vault id, nonce
 *   both   proof       member id, signature over both nonces
 *   both   standing    how long my keychain is, and its head; null while I do not know you
 *   one    keychain    what the other lacks; whoever was unknown is checked again with it
 *
 * Who does not know the other may have the older keychain: it says nothing of its own until it has
 * read the newer one, and takes nothing of that one before the proof holds with it.
 */
import {
  compareBytes,
  equalBytes,
  findMember,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  keychainHead,
  type MemberId,
  PEER_BATCH_BYTES_MAX,
  PEER_GREETING_BYTES_MAX,
  PEER_NONCE_BYTES,
  PEER_VERSION,
  type PeerContent,
  ProtocolError,
  peerSignedBytes,
  type Signature,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import {
  type Carrier,
  candidateKeychain,
  forkedKeychain,
  isSignedBy,
  takeKeychain,
} from './carrier.ts'
import type { PeerLine } from './peer-line.ts'

type Proof = {
  readonly memberId: MemberId
  readonly signature: Signature
  readonly message: Uint8Array
}

type Standing = PeerContent<'standing'>

/** Returns whether this device is the one that asks. */
export async function greet(line: PeerLine, carrier: Carrier): Promise<{ isAsker: boolean }> {
  const { vaultId } = carrier
  const nonce = carrier.random(PEER_NONCE_BYTES)
  const [version, otherVaultId, otherNonce] = await swap(line, 'hello', [
    PEER_VERSION,
    vaultId,
    nonce as PeerContent<'hello'>[2],
  ])
  if (version !== PEER_VERSION) {
    throw new ProtocolError(
      'unsupported-version',
      'the other device speaks another version: update the older of the two',
    )
  }
  if (!equalBytes(otherVaultId, vaultId)) {
    throw new ClientError('wrong-vault', 'the other device has another vault open')
  }
  const order = compareBytes(nonce, otherNonce)
  if (order === 0) throw new ProtocolError('malformed', 'the stream leads back to this device')
  const proof = await swapProofs(line, carrier, { nonce, otherNonce })
  await agreeOnKeychain(line, carrier, proof)
  return { isAsker: order < 0 }
}

/** Both speak at once: neither may wait for the other to read. */
async function swap<Kind extends 'hello' | 'proof' | 'standing'>(
  line: PeerLine,
  kind: Kind,
  content: PeerContent<Kind>,
): Promise<PeerContent<Kind>> {
  const sending = line.send(kind, ...content)
  const [, answer] = await Promise.all([sending, line.expect(kind, PEER_GREETING_BYTES_MAX)])
  return answer
}

async function swapProofs(
  line: PeerLine,
  { vaultId, membership }: Carrier,
  nonces: { readonly nonce: Uint8Array; readonly otherNonce: Uint8Array },
): Promise<Proof> {
  const { device } = membership
  const signed = peerSignedBytes({ vaultId, memberId: device.memberId, ...nonces })
  const own: PeerContent<'proof'> = [device.memberId, device.sign(signed)]
  const [memberId, signature] = await swap(line, 'proof', own)
  const { nonce, otherNonce } = nonces
  const mirrored = { nonce: otherNonce, otherNonce: nonce }
  return { memberId, signature, message: peerSignedBytes({ vaultId, memberId, ...mirrored }) }
}

async function agreeOnKeychain(line: PeerLine, carrier: Carrier, proof: Proof): Promise<void> {
  const { keychain } = carrier.membership
  const { length } = keychain.hashes
  const isKnown = isSignedBy(keychain, proof.memberId, proof)
  if (!isKnown && findMember(keychain, proof.memberId) !== undefined) throw notAMember()
  const own: Standing = isKnown ? [length, keychainHead(keychain)] : [0, null]
  const [theirLength, theirHead] = await swap(line, 'standing', own)
  const knowsMe = theirHead !== null
  if (!isKnown && !knowsMe) throw notAMember()
  if (!isKnown) return receiveKeychain(line, carrier, proof)
  if (!knowsMe) return sendKeychain(line, carrier, 0)
  if (theirLength > length) return receiveKeychain(line, carrier, proof)
  const shared = keychain.hashes[theirLength - 1]
  if (shared === undefined || !equalBytes(shared, theirHead)) throw forkedKeychain()
  if (theirLength < length) await sendKeychain(line, carrier, theirLength)
}

async function sendKeychain(line: PeerLine, { membership }: Carrier, from: number): Promise<void> {
  const entries = membership.keychain.entries.slice(from)
  let batch: Uint8Array[] = []
  let sizeBytes = 0
  for (const entry of entries) {
    if (batch.length > 0 && sizeBytes + entry.length > PEER_BATCH_BYTES_MAX) {
      await line.send('keychain', batch, false)
      batch = []
      sizeBytes = 0
    }
    batch.push(entry)
    sizeBytes += entry.length
  }
  await line.send('keychain', batch, true)
}

async function receiveKeychain(line: PeerLine, carrier: Carrier, proof: Proof): Promise<void> {
  const received: Uint8Array[] = []
  let sizeBytes = 0
  for (let isLast = false; !isLast; ) {
    const [entries, wasLast] = await line.expect('keychain')
    received.push(...entries)
    for (const entry of entries) sizeBytes += entry.length
    const isTooLarge = sizeBytes > KEYCHAIN_BYTES_MAX || received.length > KEYCHAIN_ENTRIES_MAX
    // An empty one that is not the last could come for ever.
    if (isTooLarge || (entries.length === 0 && !wasLast)) {
      throw new ProtocolError('too-large', 'the keychain of the other device has no end')
    }
    isLast = wasLast
  }
  const candidate = candidateKeychain(carrier.membership.keychain, received)
  if (!isSignedBy(candidate, proof.memberId, proof)) throw notAMember()
  await takeKeychain(carrier, received)
}

function notAMember(): ProtocolError {
  return new ProtocolError(
    'not-a-member',
    'the other device cannot show that it belongs to this vault: sync one of the two with the remote first, and try again',
  )
}
