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
  envelopeEpoch,
  envelopeRecordId,
  envelopeTimestamp,
  equalBytes,
  type Fields,
  KEY_BYTES_MAX,
  PADDED_BYTES_MIN,
  type RecordId,
  TAG_BYTES,
  type Timestamp,
} from '@blindcopy/protocol'
import {
  CLOCKS_OWN,
  encodeFields,
  type FieldClocks,
  openEnvelope,
  type RandomBytes,
  resealEnvelope,
  sealRecord,
  VaultError,
  type VaultRecord,
  type RecordDraft as VaultRecordDraft,
} from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import type { Opening } from '../local/arrival.ts'
import type { Draft } from '../local/draft.ts'
import type { StoredVersion } from '../local/local-reading.ts'
import type { Membership } from '../vault/membership.ts'
import { type Declaration, NOT_DECLARED } from './declaration.ts'
import { changedBy, mergeStateOf } from './merge.ts'

const ENVELOPE_BYTES_MIN = ENVELOPE_HEADER_BYTES + PADDED_BYTES_MIN + TAG_BYTES

export type RecordPlace = {
  readonly collection: string
  readonly key: string
  readonly recordId: RecordId
  readonly tag: Uint8Array
}

/** What the seal of a draft follows beside its fields. */
export type SealOptions = {
  readonly declaration?: Declaration | undefined
  /** The version it replaces, null for none; absent when it was not read. */
  readonly previous?:
    | { readonly record: VaultRecord; readonly timestamp: Timestamp }
    | null
    | undefined
  /** Of fields that are of another version than the app has declared. */
  readonly schemaVersion?: number | undefined
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

  /** Forgets the names of collections that it has met. */
  forget(): void {
    this.#tagsByCollection.clear()
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
  draft(place: RecordPlace, fields: Fields, options: SealOptions = {}): RecordDraft {
    return this.#draftOf(place, checkFields(fields), options)
  }

  /** A draft that deletes the record. */
  deletion(place: RecordPlace, options: SealOptions = {}): RecordDraft {
    return this.#draftOf(place, null, options)
  }

  #draftOf(place: RecordPlace, fields: Fields | null, options: SealOptions): RecordDraft {
    const encoded = fields === null ? null : encodeFields(fields)
    const { declaration = NOT_DECLARED } = options
    const { collection, key, recordId, tag } = place
    const fieldClocks = declaration.policyCode === 1 ? clocksOf(fields, options.previous) : null
    const schemaVersion = fields === null ? 0 : schemaVersionOf(declaration, options)
    return {
      fields: () => (encoded === null ? undefined : (decodeValue(encoded.cbor) as Fields)),
      recordId,
      tag,
      tombstone: fields === null,
      policy: declaration.policyCode,
      schemaVersion,
      isLocalOnly: declaration.isLocalOnly,
      seal: ({ timestamp, base, transactionSize }) => {
        // Written out: a spread costs as much as a hash here.
        const record = {
          collection,
          key,
          fields: encoded,
          base,
          transactionSize,
          fieldClocks,
          schemaVersion: schemaVersion ?? 0,
        }
        return this.seal(record, timestamp)
      },
    }
  }

  seal(record: VaultRecordDraft, timestamp: Timestamp): Envelope {
    return sealRecord(this.#membership.writingKeyring, record, timestamp, this.#random)
  }

  /** A record that stays on this device, and in no list: the intent of a mutation, a reason. */
  sealPrivate(collection: string, key: string, fields: Fields, timestamp: Timestamp): Envelope {
    const names = { collection, key, base: null, transactionSize: 1 }
    return this.seal({ ...names, fields }, timestamp)
  }

  /** Opens an envelope, wherever it stands. Throws `tampered`. */
  decode(envelope: Envelope): VaultRecord {
    const opened = openEnvelope(this.#membership.keyring, envelope)
    if (opened.type === 'opened') return opened.record
    throw new VaultError('tampered', 'a stored record is sealed under a key that does not exist')
  }

  /** The list a stored version stands in; undefined when it does not open. */
  tagOfEnvelope(envelope: Envelope): Uint8Array | undefined {
    const opening = this.openArrival(envelope)
    return opening.type === 'opened' ? opening.tag : undefined
  }

  /** The same under the newest epoch, if it is sealed under an older one. Throws `tampered`. */
  reseal(envelope: Envelope): Envelope {
    const { keyring } = this.#membership
    if (envelopeEpoch(envelope) === keyring.newestEpoch) return envelope
    return resealEnvelope(keyring, envelope, this.#random)
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
    return this.decode(envelope)
  }

  /** Opens a version that a remote served: what does not open is an outcome, not an error. */
  readonly openArrival = (envelope: Envelope): Opening => {
    // Without its keys a locked vault opens nothing: that says nothing of what came.
    const { keyring } = this.#membership
    try {
      const opened = openEnvelope(keyring, envelope)
      if (opened.type === 'unknown-epoch') return { type: 'closed', reason: 'unknown-epoch' }
      const { collection, base, transactionSize, fieldClocks, schemaVersion } = opened.record
      const tag = this.tagOf(collection)
      return {
        type: 'opened',
        tag,
        base,
        transactionSize,
        merges: fieldClocks !== null,
        isVersioned: schemaVersion > 0,
      }
    } catch (error) {
      const isRefused = error instanceof VaultError || error instanceof ClientError
      if (!isRefused) throw error
      return { type: 'closed', reason: 'tampered' }
    }
  }
}

/** A record keeps its version where the app has declared none. */
function schemaVersionOf({ version }: Declaration, options: SealOptions): number | undefined {
  const { previous, schemaVersion } = options
  if (schemaVersion !== undefined) return schemaVersion
  if (version !== undefined || previous === undefined) return version
  return previous?.record.schemaVersion ?? 0
}

function clocksOf(fields: Fields | null, previous: SealOptions['previous']): FieldClocks {
  if (fields === null || previous === undefined || previous === null) return CLOCKS_OWN
  return changedBy(mergeStateOf(previous.record, previous.timestamp), fields)
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
