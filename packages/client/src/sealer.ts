/**
 * Sealer: where plaintext becomes envelopes and envelopes plaintext, for one vault on one device.
 *
 * Fields are encoded the moment the app hands them over, so that what it changes afterwards is not
 * half in the record, and what cannot be carried is refused at the door with its path.
 */
import {
  COLLECTION_NAME_BYTES_MAX,
  decodeValue,
  ENVELOPE_HEADER_BYTES,
  type Envelope,
  encodeUtf8,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  type Fields,
  KEY_BYTES_MAX,
  PADDED_BYTES_MIN,
  type RecordId,
  TAG_BYTES,
} from '@blindcopy/protocol'
import {
  type EncodedFields,
  encodeFields,
  openEnvelope,
  type RandomBytes,
  sealRecord,
  VaultError,
  type VaultRecord,
} from '@blindcopy/vault'
import type { Opening } from './arrival.ts'
import type { Draft } from './draft.ts'
import { ClientError } from './error.ts'
import type { StoredVersion } from './local-reading.ts'
import type { Membership } from './membership.ts'

const ENVELOPE_BYTES_MIN = ENVELOPE_HEADER_BYTES + PADDED_BYTES_MIN + TAG_BYTES

export type RecordPlace = {
  readonly collection: string
  readonly key: string
  readonly recordId: RecordId
  readonly tag: Uint8Array
}

/** A draft that its own transaction can read again, in a copy. */
export type RecordDraft = Draft & { fields(): Fields | undefined }

export class Sealer {
  readonly #membership: Membership
  readonly #random: RandomBytes
  readonly #tagsByCollection = new Map<string, Uint8Array>()

  constructor(membership: Membership, random: RandomBytes) {
    this.#membership = membership
    this.#random = random
  }

  /** Checks a collection's name. Throws `invalid-argument`. */
  tagOf(collection: string): Uint8Array {
    const known = this.#tagsByCollection.get(collection)
    if (known !== undefined) return known
    checkName(collection, 'the name of a collection', COLLECTION_NAME_BYTES_MAX)
    const tag = this.#membership.keyring.collectionTag(collection)
    this.#tagsByCollection.set(collection, tag)
    return tag
  }

  /** Checks collection and key. Throws `invalid-argument`. */
  placeOf(collection: string, key: string): RecordPlace {
    const tag = this.tagOf(collection)
    checkName(key, 'the key of a record', KEY_BYTES_MAX)
    const recordId = this.#membership.keyring.recordIdOf(collection, key)
    return { collection, key, recordId, tag }
  }

  /** A draft that stores fields. Throws `invalid-argument` or `not-carried`. */
  draft(place: RecordPlace, fields: Fields): RecordDraft {
    return this.#draftOf(place, encodeFields(checkFields(fields)))
  }

  /** A draft that deletes the record. */
  deletion(place: RecordPlace): RecordDraft {
    return this.#draftOf(place, null)
  }

  #draftOf(place: RecordPlace, fields: EncodedFields | null): RecordDraft {
    const { collection, key, recordId, tag } = place
    return {
      fields: () => (fields === null ? undefined : (decodeValue(fields.cbor) as Fields)),
      recordId,
      tag,
      tombstone: fields === null,
      compareAndSet: false,
      seal: ({ timestamp, base, transactionSize }) => {
        const record = { collection, key, fields, base, transactionSize }
        return sealRecord(this.#membership.keyring, record, timestamp, this.#random)
      },
    }
  }

  /**
   * Opens a version that is stored here. Throws `tampered` when the disk no longer holds it whole,
   * or holds another in its place.
   */
  open({ recordId, timestamp, envelope }: StoredVersion): VaultRecord {
    const isInPlace =
      envelope.length >= ENVELOPE_BYTES_MIN &&
      equalBytes(envelopeRecordId(envelope), recordId) &&
      equalBytes(envelopeTimestamp(envelope), timestamp)
    if (!isInPlace) throw new VaultError('tampered', 'a stored record is not what it should be')
    const opened = openEnvelope(this.#membership.keyring, envelope)
    if (opened.type === 'opened') return opened.record
    throw new VaultError('tampered', 'a stored record is sealed under a key that does not exist')
  }

  /** Opens a version that a remote served: what does not open is an outcome, not an error. */
  readonly openArrival = (envelope: Envelope): Opening => {
    try {
      const opened = openEnvelope(this.#membership.keyring, envelope)
      if (opened.type === 'unknown-epoch') return { type: 'closed', reason: 'unknown-epoch' }
      return { type: 'opened', tag: this.tagOf(opened.record.collection) }
    } catch (error) {
      const isRefused = error instanceof VaultError || error instanceof ClientError
      if (!isRefused) throw error
      return { type: 'closed', reason: 'tampered' }
    }
  }
}

function checkName(name: string, what: string, bytesMax: number): void {
  if (typeof name !== 'string' || name.length === 0) {
    throw new ClientError('invalid-argument', `${what} must be a text that is not empty`)
  }
  // A character takes three bytes at most, so short names need no counting.
  const mayBeLong = name.length * 3 > bytesMax
  if (!name.isWellFormed() || (mayBeLong && encodeUtf8(name).length > bytesMax)) {
    throw new ClientError('invalid-argument', `${what} must be text of at most ${bytesMax} bytes`)
  }
}

function checkFields(fields: unknown): Fields {
  const isPlain =
    typeof fields === 'object' &&
    fields !== null &&
    !Array.isArray(fields) &&
    !(fields instanceof Uint8Array) &&
    !(fields instanceof Date)
  if (isPlain) return fields as Fields
  throw new ClientError('invalid-argument', 'a record is an object with fields')
}
