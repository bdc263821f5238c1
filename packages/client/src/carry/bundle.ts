/**
 * Bundle: all that a device holds of a vault, sealed, as one file that another device of the vault
 * takes without a remote.
 *
 *   "bcbundle" (8)
 *   frame  header      version, vault id, when it was made, about how many versions
 *   frame  keychain …  its entries
 *   frame  envelopes … in batches, by record id
 *   frame  end         how many, digest, who made it, signature
 *
 * The digest is chained: d = SHA-256("bcbundle"), then for every frame before the end
 * d = SHA-256(d ‖ SHA-256(frame)), so that either end needs no more memory than one frame. It is
 * signed by the device that made the bundle: a bundle that was cut, altered or put together of
 * others is found out. It is read twice (decision 0018): once to check it as a whole, and only then
 * to take it, so that one that is refused has changed nothing.
 */
import {
  BUNDLE_VERSION,
  bundleSignedBytes,
  concat,
  decodePeerMessage,
  encodeFrame,
  encodePeerMessage,
  encodeUtf8,
  equalBytes,
  FrameReader,
  type Hash,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  type Keychain,
  PEER_MESSAGE_BYTES_MAX,
  type PeerContent,
  type PeerMessage,
  ProtocolError,
  sha256,
} from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'
import { heldPages, readEnvelopes, scanHeld } from './carried-source.ts'
import {
  type CarriedReport,
  type Carrier,
  candidateKeychain,
  isSignedBy,
  takeKeychain,
  withIntake,
} from './carrier.ts'
import { envelopeBatches } from './peer-exchange.ts'

/** Opens a bundle from its beginning; called twice. */
export type BundleSource = () => AsyncIterable<Uint8Array>

export type BundleProgress = { readonly done: number; readonly total: number }

export type BundleReport = CarriedReport & {
  /** Versions in the bundle. */
  readonly count: number
  readonly madeMs: number
}

const MAGIC = encodeUtf8('bcbundle')
const BATCH_BYTES_MAX = 1024 * 1024

const digestStart = (): Hash => sha256(MAGIC)
const digestNext = (digest: Hash, item: Uint8Array): Hash => sha256(concat(digest, sha256(item)))

/** A bundle of all that this device may give away, in chunks of about a megabyte. */
export async function* writeBundle(
  carrier: Carrier,
  onProgress: (progress: BundleProgress) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const { local, membership, vaultId } = carrier
  const { count: total } = await scanHeld(local.state)
  let digest = digestStart()
  const framed = (item: Uint8Array): Uint8Array => {
    digest = digestNext(digest, item)
    return encodeFrame(item)
  }
  yield MAGIC
  yield framed(encodePeerMessage('header', BUNDLE_VERSION, vaultId, carrier.nowMs(), total))
  for (const entry of await local.keychainEntries()) {
    yield framed(encodePeerMessage('keychain', [entry], false))
  }
  let count = 0
  for await (const versions of heldPages(local.state.store)) {
    const envelopes = readEnvelopes(local.state.store, versions)
    for await (const batch of envelopeBatches(envelopes, BATCH_BYTES_MAX)) {
      count += batch.length
      yield framed(encodePeerMessage('envelopes', batch, false))
      onProgress({ done: count, total: Math.max(total, count) })
    }
  }
  const { memberId } = membership.device
  const signature = membership.device.sign(bundleSignedBytes({ vaultId, memberId, digest }))
  yield encodeFrame(encodePeerMessage('end', count, digest, memberId, signature))
}

/**
 * Takes a bundle. Throws `bundle-damaged`, `wrong-vault`, `not-a-member`, `keychain-forked` or
 * `unsupported-version`, and changes nothing, when it is not whole or not of this vault.
 */
export async function readBundle(
  carrier: Carrier,
  source: BundleSource,
  onProgress: (progress: BundleProgress) => void = () => undefined,
): Promise<BundleReport> {
  const checked = await checkBundle(carrier, source)
  await takeKeychain(carrier, checked.entries)
  const { count: total, madeMs } = checked
  const report = await withIntake(carrier, async (intake) => {
    let done = 0
    const reading = new BundleReading(carrier)
    for await (const message of reading.messages(source())) {
      if (message.kind !== 'envelopes') continue
      await intake.take(message.content[0])
      done += message.content[0].length
      onProgress({ done, total })
    }
    if (!equalBytes(reading.digest, checked.digest)) {
      throw damaged('it was changed while it was read; what was taken from it is whole')
    }
    return { sent: 0 }
  })
  return { ...report, count: total, madeMs }
}

type Checked = {
  readonly entries: readonly Uint8Array[]
  readonly digest: Hash
  readonly count: number
  readonly madeMs: number
}

/** Reads all of it, and takes nothing. */
async function checkBundle(carrier: Carrier, source: BundleSource): Promise<Checked> {
  const reading = new BundleReading(carrier)
  const entries: Uint8Array[] = []
  let entriesBytes = 0
  for await (const message of reading.messages(source())) {
    if (message.kind !== 'keychain') continue
    // A copy: what is read is a view onto a whole chunk.
    for (const entry of message.content[0]) entries.push(entry.slice())
    entriesBytes += message.content[0].reduce((sum, { length }) => sum + length, 0)
    if (entries.length > KEYCHAIN_ENTRIES_MAX || entriesBytes > KEYCHAIN_BYTES_MAX) {
      throw damaged('its keychain is too large')
    }
  }
  const [count, digest, memberId, signature] = reading.end
  const { vaultId, membership } = carrier
  const candidate = candidateOf(membership.keychain, entries)
  const message = bundleSignedBytes({ vaultId, memberId, digest })
  if (!isSignedBy(candidate, memberId, { message, signature })) {
    throw new ProtocolError('not-a-member', 'no device of this vault has made this bundle')
  }
  return { entries, digest, count, madeMs: reading.madeMs }
}

function candidateOf(...chain: Parameters<typeof candidateKeychain>): Keychain {
  try {
    return candidateKeychain(...chain)
  } catch (cause) {
    if (codeOf(cause) === 'keychain-forked' || codeOf(cause) === 'keychain-unsupported') throw cause
    throw damaged('its list of devices does not hold', cause)
  }
}

/** One pass over a bundle, with its structure, count and digest checked. */
class BundleReading {
  digest: Hash = digestStart()
  madeMs = 0
  #end: PeerContent<'end'> | undefined
  #count = 0
  readonly #carrier: Carrier

  constructor(carrier: Carrier) {
    this.#carrier = carrier
  }

  get end(): PeerContent<'end'> {
    if (this.#end === undefined) throw damaged('it is incomplete: its end is missing')
    return this.#end
  }

  /** The frames between header and end. Throws when it is not one whole bundle of this vault. */
  async *messages(source: AsyncIterable<Uint8Array>): AsyncGenerator<PeerMessage> {
    let isBegun = false
    for await (const item of itemsOf(source)) {
      if (this.#end !== undefined) throw damaged('something follows its end')
      const message = decode(item)
      if (message.kind === 'end') {
        this.#takeEnd(message.content)
        continue
      }
      this.digest = digestNext(this.digest, item)
      if (!isBegun) {
        this.#takeHeader(message)
        isBegun = true
        continue
      }
      if (message.kind === 'envelopes') this.#count += message.content[0].length
      else if (message.kind !== 'keychain' || this.#count > 0) throw damaged('it is out of order')
      yield message
    }
    void this.end
  }

  #takeHeader(message: PeerMessage): void {
    if (message.kind !== 'header') throw damaged('it has no header')
    const [version, vaultId, madeMs] = message.content
    if (version !== BUNDLE_VERSION) {
      throw new ProtocolError('unsupported-version', 'the bundle is of a later version')
    }
    if (!equalBytes(vaultId, this.#carrier.vaultId)) {
      throw new ClientError('wrong-vault', 'the bundle is of another vault than this one')
    }
    this.madeMs = madeMs
  }

  #takeEnd(end: PeerContent<'end'>): void {
    const [count, digest] = end
    if (count !== this.#count || !equalBytes(digest, this.digest)) {
      throw damaged('it is not what was written: its digest differs')
    }
    this.#end = end
  }
}

/** The frames of a bundle, once it has shown that it is one. */
async function* itemsOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new FrameReader(PEER_MESSAGE_BYTES_MAX)
  let head: Uint8Array | undefined = new Uint8Array(0)
  for await (const chunk of source) {
    let rest = chunk
    if (head !== undefined) {
      head = concat(head, chunk)
      if (head.length < MAGIC.length) continue
      if (!equalBytes(head.subarray(0, MAGIC.length), MAGIC)) throw damaged('it is no bundle')
      rest = head.subarray(MAGIC.length)
      head = undefined
    }
    yield* read(() => frames.push(rest))
  }
  if (head !== undefined || !frames.isEmpty) throw damaged('it is incomplete: its end is missing')
}

const decode = (item: Uint8Array): PeerMessage => read(() => decodePeerMessage(item))

function read<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw damaged('a part of it cannot be read', cause)
  }
}

function damaged(what: string, cause?: unknown): ClientError {
  return new ClientError('bundle-damaged', `the bundle cannot be taken: ${what}`, { cause })
}
