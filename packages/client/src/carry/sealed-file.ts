/**
 * Sealed file: what a bundle and a backup have in common, as the writing and the reading of one.
 *
 *   magic (8)
 *   frame  its header
 *   frame  keychain …  its entries
 *   frame  envelopes … in batches, by record id
 *   frame  end         how many, digest, who made it, signature
 *
 * The digest is chained: d = SHA-256(magic), then for every frame before the end
 * d = SHA-256(d ‖ SHA-256(frame)), so that either end needs no more memory than one frame. It is
 * signed by the device that made the file: one that was cut, altered or put together of others is
 * found out. A form with checks repeats the digest behind each frame, so that a reader can say
 * where a file is damaged, and need not read all of it to know.
 */
import {
  compareBytes,
  concat,
  decodeCbor,
  decodePeerMessage,
  encodeFrame,
  encodePeerMessage,
  envelopeRecordId,
  equalBytes,
  type FileStatement,
  FrameReader,
  type Hash,
  KEYCHAIN_BYTES_MAX,
  KEYCHAIN_ENTRIES_MAX,
  PEER_MESSAGE_BYTES_MAX,
  type PeerContent,
  type PeerMessage,
  ProtocolError,
  parseEnvelope,
  peerMessageNumber,
  type RecordId,
  sha256,
  type VaultId,
} from '@blindcopy/protocol'
import type { DeviceKeys } from '@blindcopy/vault'
import { ClientError } from '../error.ts'

/** Opens a file from its beginning; called once for each pass. */
export type FileSource = () => AsyncIterable<Uint8Array>

/** Versions so far, and about how many there are. */
export type FileProgress = { readonly done: number; readonly total: number }

export type HeaderKind = 'header' | 'backup'

export type FileForm = {
  readonly noun: string
  readonly magic: Uint8Array
  readonly header: HeaderKind
  readonly version: number
  /** Checks behind the frames, and envelopes that are whole and in the order of their ids. */
  readonly isStrict: boolean
  readonly signedBytes: (statement: FileStatement) => Uint8Array
  readonly damaged: (what: string, options: { cause?: unknown; at?: number }) => ClientError
  /** It ends before its end. */
  readonly cut: (at: number) => ClientError
}

const digestNext = (digest: Hash, item: Uint8Array): Hash => sha256(concat(digest, sha256(item)))

/** Makes the bytes of a file, frame by frame. */
export class FileWriting {
  readonly #form: FileForm
  #digest: Hash

  constructor(form: FileForm) {
    this.#form = form
    this.#digest = sha256(form.magic)
  }

  begin(header: Uint8Array): Uint8Array {
    return concat(this.#form.magic, this.frame(header))
  }

  frame(item: Uint8Array): Uint8Array {
    const framed = this.#framed(item)
    if (!this.#form.isStrict) return framed
    return concat(framed, this.#framed(encodePeerMessage('check', this.#digest)))
  }

  end(count: number, vaultId: VaultId, device: DeviceKeys): Uint8Array {
    const { memberId } = device
    const digest = this.#digest
    const signature = device.sign(this.#form.signedBytes({ vaultId, memberId, digest }))
    return encodeFrame(encodePeerMessage('end', count, digest, memberId, signature))
  }

  #framed(item: Uint8Array): Uint8Array {
    this.#digest = digestNext(this.#digest, item)
    return encodeFrame(item)
  }
}

export type FileHeader = {
  readonly vaultId: VaultId
  readonly madeMs: number
  /** About how many versions there are. */
  readonly total: number
  /** Of a backup. */
  readonly state: BackupState | undefined
}

export type BackupState = PeerContent<'backup'>[4]

type Part = { readonly item: Uint8Array; readonly at: number }

/** One pass over a file, with its structure, count and digest checked. */
export class FileReading {
  digest: Hash
  #header: FileHeader | undefined
  #end: PeerContent<'end'> | undefined
  #count = 0
  #sizeBytes = 0
  #lastId: RecordId | undefined
  /** A strict file owes a check for the frame before. */
  #isCheckDue = false
  readonly #form: FileForm
  readonly #vaultId: VaultId | undefined

  /** With a vault id the file must be of that vault. */
  constructor(form: FileForm, vaultId?: VaultId) {
    this.#form = form
    this.#vaultId = vaultId
    this.digest = sha256(form.magic)
  }

  get hasHeader(): boolean {
    return this.#header !== undefined
  }

  /** Throws when none was read. */
  get header(): FileHeader {
    if (this.#header === undefined) throw this.#form.cut(this.#sizeBytes)
    return this.#header
  }

  /** Throws when it was not reached. */
  get end(): PeerContent<'end'> {
    if (this.#end === undefined) throw this.#form.cut(this.#sizeBytes)
    return this.#end
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** The frames between header and end. Throws when it is not one whole file of this form. */
  async *messages(source: AsyncIterable<Uint8Array>): AsyncGenerator<PeerMessage> {
    for await (const { item, at } of this.#parts(source)) {
      if (this.#end !== undefined) throw this.#damaged('something follows its end', at)
      if (at === this.#form.magic.length) this.#checkVersion(item, at)
      const message = this.#guarded(at, () => decodePeerMessage(item))
      if (message.kind === 'end') {
        this.#takeEnd(message.content, at)
        continue
      }
      if (this.#isCheckDue !== (message.kind === 'check')) {
        throw this.#damaged('it is out of order', at)
      }
      if (message.kind === 'check') this.#takeCheck(message.content[0], at)
      else if (this.#form.isStrict) this.#isCheckDue = true
      this.digest = digestNext(this.digest, item)
      if (message.kind === 'check') continue
      if (this.#header === undefined) this.#takeHeader(message, at)
      else {
        this.#takeContent(message, at)
        yield message
      }
    }
    void this.end
  }

  /** Before the rest of a header is looked at: a later version may have another one. */
  #checkVersion(item: Uint8Array, at: number): void {
    const header = this.#guarded(at, () => decodeCbor(item))
    const [kind, found] = Array.isArray(header) ? (header as unknown[]) : []
    const { header: own, version, noun } = this.#form
    if (kind !== peerMessageNumber(own) || typeof found !== 'number' || found <= version) return
    throw new ProtocolError('unsupported-version', `the ${noun} is of a later version`)
  }

  #takeHeader(message: PeerMessage, at: number): void {
    const { header, noun } = this.#form
    if (message.kind !== header) throw this.#damaged('it has no header', at)
    const [, vaultId, madeMs, total, state] = message.content as PeerContent<'backup'>
    if (this.#vaultId !== undefined && !equalBytes(vaultId, this.#vaultId)) {
      throw new ClientError('wrong-vault', `the ${noun} is of another vault than this one`)
    }
    this.#header = { vaultId, madeMs, total, state }
  }

  #takeContent(message: PeerMessage, at: number): void {
    if (message.kind === 'envelopes') {
      const [envelopes] = message.content
      if (this.#form.isStrict) this.#guarded(at, () => this.#checkOrder(envelopes))
      this.#count += envelopes.length
    } else if (message.kind !== 'keychain' || this.#count > 0) {
      throw this.#damaged('it is out of order', at)
    }
  }

  #checkOrder(envelopes: readonly Uint8Array[]): void {
    for (const bytes of envelopes) {
      const recordId = envelopeRecordId(parseEnvelope(bytes))
      if (this.#lastId !== undefined && compareBytes(recordId, this.#lastId) <= 0) {
        throw new ProtocolError('malformed', 'its records are out of order')
      }
      this.#lastId = recordId.slice() as RecordId
    }
  }

  #takeCheck(digest: Hash, at: number): void {
    this.#isCheckDue = false
    if (!equalBytes(digest, this.digest)) {
      throw this.#damaged('a part of it is not what was written', at)
    }
  }

  #takeEnd(end: PeerContent<'end'>, at: number): void {
    const [count, digest] = end
    const isWhole = this.#header !== undefined && !this.#isCheckDue && count === this.#count
    if (!isWhole || !equalBytes(digest, this.digest)) {
      throw this.#damaged('it is not what was written: its digest differs', at)
    }
    this.#end = end
  }

  /** The frames of a file, once it has shown that it is one. */
  async *#parts(source: AsyncIterable<Uint8Array>): AsyncGenerator<Part> {
    const { magic, noun, cut } = this.#form
    const frames = new FrameReader(PEER_MESSAGE_BYTES_MAX)
    let head: Uint8Array | undefined = new Uint8Array(0)
    let at = magic.length
    for await (const chunk of source) {
      let rest = chunk
      if (head !== undefined) {
        head = concat(head, chunk)
        if (head.length < magic.length) continue
        if (!equalBytes(head.subarray(0, magic.length), magic)) {
          throw this.#damaged(`it is no ${noun}`, 0)
        }
        rest = head.subarray(magic.length)
        head = undefined
      }
      for (const item of this.#guarded(at, () => frames.push(rest))) {
        yield { item, at }
        at += 4 + item.length
        this.#sizeBytes = at
      }
    }
    if (head !== undefined || !frames.isEmpty) throw cut(head === undefined ? at : head.length)
  }

  #guarded<T>(at: number, work: () => T): T {
    try {
      return work()
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      throw this.#form.damaged('a part of it cannot be read', { cause, at })
    }
  }

  #damaged(what: string, at: number): ClientError {
    return this.#form.damaged(what, { at })
  }
}

export type FileChecked = {
  readonly header: FileHeader
  /** Of the keychain. */
  readonly entries: readonly Uint8Array[]
  readonly end: PeerContent<'end'>
  readonly sizeBytes: number
}

/**
 * Reads all of a file and takes nothing: what is left to check is its keychain, and that one of
 * that keychain has signed it.
 */
export async function readWholeFile(
  form: FileForm,
  source: AsyncIterable<Uint8Array>,
  options: {
    readonly vaultId?: VaultId | undefined
    /** Called before the file is known to be whole: for looking, never for taking. */
    readonly onEnvelopes?:
      | ((envelopes: readonly Uint8Array[], total: number) => void | Promise<void>)
      | undefined
    /** The keychain is complete when the first envelopes come. */
    readonly onEntries?:
      | ((entries: readonly Uint8Array[], vaultId: VaultId) => void | Promise<void>)
      | undefined
  } = {},
): Promise<FileChecked> {
  const reading = new FileReading(form, options.vaultId)
  const entries: Uint8Array[] = []
  let entriesBytes = 0
  let isTold = false
  const tellEntries = async (): Promise<void> => {
    if (isTold) return
    isTold = true
    await options.onEntries?.(entries, reading.header.vaultId)
  }
  for await (const message of reading.messages(source)) {
    if (message.kind === 'envelopes') {
      await tellEntries()
      await options.onEnvelopes?.(message.content[0], reading.header.total)
    }
    if (message.kind !== 'keychain') continue
    // A copy: what is read is a view onto a whole chunk.
    for (const entry of message.content[0]) entries.push(entry.slice())
    entriesBytes += message.content[0].reduce((sum, { length }) => sum + length, 0)
    if (entries.length > KEYCHAIN_ENTRIES_MAX || entriesBytes > KEYCHAIN_BYTES_MAX) {
      throw form.damaged('its keychain is too large', {})
    }
  }
  await tellEntries()
  return { header: reading.header, entries, end: reading.end, sizeBytes: reading.sizeBytes }
}
