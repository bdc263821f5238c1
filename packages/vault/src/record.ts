/**
 * Record: the plaintext unit a person edits, and its padded form inside an envelope.
 *
 *   offset  size  field
 *        0     4  length of the CBOR, big-endian
 *        4     …  [collection, key, fields | null, base | null, transactionSize,
 *                  fieldClocks | null, schemaVersion]
 *        …     …  zeros, up to the size that PADMÉ allows (protocol's paddedSize)
 *
 * The last two places are left out while they say nothing: a schema version of 0, and with it field
 * clocks (field-clocks.ts) that are null. Only members of the vault can make one, yet opening is
 * strict: what does not fit exactly is refused, so that nothing can be told from how a later
 * version reads it. Frozen by test/vectors/record.json.
 */
import {
  assert,
  concat,
  decodeUint32,
  decodeValue,
  ENVELOPE_BYTES_MAX,
  ENVELOPE_HEADER_BYTES,
  encodeCbor,
  encodeValue,
  type Fields,
  paddedSize,
  TAG_BYTES,
  TIMESTAMP_BYTES,
  type Timestamp,
  TRANSACTION_RECORDS_MAX,
} from '@blindcopy/protocol'
import { tampered, VaultError } from './error.ts'
import { type FieldClocks, parseClocks, placeOfClocks } from './field-clocks.ts'

export type VaultRecord = {
  readonly collection: string
  readonly key: string
  /** Null for a deletion. */
  readonly fields: Fields | null
  /** The timestamp of the version that this write replaced; null for none. */
  readonly base: Timestamp | null
  /** How many ops its transaction pushes, itself included. */
  readonly transactionSize: number
  /** Null for a record that no collection which merges has written. */
  readonly fieldClocks: FieldClocks | null
  /** Of the app's data: 0 to 2³¹ - 1, and 0 for none. */
  readonly schemaVersion: number
}

/** Fields that were encoded when the app handed them over. Plaintext: it does not print itself. */
export class EncodedFields {
  readonly #cbor: Uint8Array

  constructor(cbor: Uint8Array) {
    this.#cbor = cbor
  }

  get cbor(): Uint8Array {
    return this.#cbor
  }
}

/** A record whose fields may be encoded already, and whose last places may be left out. */
export type RecordDraft = Omit<VaultRecord, 'fields' | 'fieldClocks' | 'schemaVersion'> & {
  readonly fields: Fields | EncodedFields | null
  readonly fieldClocks?: FieldClocks | null
  readonly schemaVersion?: number
}

export const SCHEMA_VERSION_MAX: number = 2 ** 31 - 1

/**
 * Encodes fields now, so that what the app changes afterwards is not half in a record that is
 * sealed later. Throws `not-carried` of the protocol with the path.
 */
export function encodeFields(fields: Fields): EncodedFields {
  return new EncodedFields(encodeValue(fields))
}

const LENGTH_BYTES = 4
const PLACES_MIN = 5
const PLACES_MAX = 7
/** Heads of CBOR items (RFC 8949, appendix B). */
const ARRAY_OF_5 = 0x85
const CBOR_NULL_BYTE = 0xf6
const CBOR_BYTES_16 = 0x50
const CBOR_UINT8 = 0x18
const CBOR_UINT16 = 0x19
const CBOR_NULL = Uint8Array.of(CBOR_NULL_BYTE)
const PADDED_BYTES_MAX = ENVELOPE_BYTES_MAX - ENVELOPE_HEADER_BYTES - TAG_BYTES

/** Where the padded form is written: zeros, of at least the size asked for. */
export type Allocate = (sizeBytes: number) => Uint8Array

const allocateNew: Allocate = (sizeBytes) => new Uint8Array(sizeBytes)

/**
 * The padded form, after `roomBytes` of zeros that the sealer fills: a copy less. Throws
 * `record-too-large`, and `not-carried` (of the protocol) with the path of a field that no record
 * carries.
 */
export function encodeRecord(
  record: RecordDraft,
  roomBytes = 0,
  allocate: Allocate = allocateNew,
): Uint8Array {
  const fields = cborOf(record.fields)
  const names = encodeCbor([record.collection, record.key])
  const last = encodeLast(record.base, record.transactionSize)
  const extra = encodeExtra(record)
  const cborBytes = names.length + fields.length + last.length + extra.bytes.length
  const sizeBytes = paddedSize(LENGTH_BYTES + cborBytes)
  if (sizeBytes > PADDED_BYTES_MAX) refuseSize(cborBytes)
  const bytes = allocate(roomBytes + sizeBytes)
  writeLength(bytes, roomBytes, cborBytes)
  const start = roomBytes + LENGTH_BYTES
  bytes.set(names, start)
  // Two of five: the list of the names is the beginning of the whole.
  bytes[start] = ARRAY_OF_5 + extra.places
  bytes.set(fields, start + names.length)
  bytes.set(last, start + names.length + fields.length)
  // Views onto a buffer of the codec, which would keep the names.
  names.fill(0)
  if (extra.places === 0) return bytes
  bytes.set(extra.bytes, start + cborBytes - extra.bytes.length)
  extra.bytes.fill(0)
  return bytes
}

function cborOf(fields: RecordDraft['fields']): Uint8Array {
  if (fields === null) return CBOR_NULL
  return fields instanceof EncodedFields ? fields.cbor : encodeValue(fields)
}

type Extra = { readonly places: number; readonly bytes: Uint8Array }

const NO_EXTRA: Extra = { places: 0, bytes: new Uint8Array(0) }

/** The last two places, as far as they say something: nearly no record has them. */
function encodeExtra({ fields, fieldClocks = null, schemaVersion = 0 }: RecordDraft): Extra {
  if (fieldClocks === null && schemaVersion === 0) return NO_EXTRA
  const clocks =
    fieldClocks === null
      ? Uint8Array.of(CBOR_NULL_BYTE)
      : encodeValue(placeOfClocks(fieldClocks, fields === null), 'fieldClocks')
  if (schemaVersion === 0) return { places: 1, bytes: clocks }
  assert(isSchemaVersion(schemaVersion), 'a schema version is a whole number below 2^31')
  const bytes = concat(clocks, encodeCbor(schemaVersion))
  clocks.fill(0)
  return { places: 2, bytes }
}

/**
 * By hand, for a third call of the codec costs as much as a hash: null or 16 bytes, then 1 to 1000.
 */
function encodeLast(base: Timestamp | null, transactionSize: number): readonly number[] {
  assert(isBase(base), 'a base is a timestamp or null')
  assert(isTransactionSize(transactionSize), 'a transaction has 1 to 1000 ops')
  const head = base === null ? [CBOR_NULL_BYTE] : [CBOR_BYTES_16, ...base]
  if (transactionSize < 24) head.push(transactionSize)
  else if (transactionSize < 256) head.push(CBOR_UINT8, transactionSize)
  else head.push(CBOR_UINT16, transactionSize >> 8, transactionSize & 0xff)
  return head
}

function writeLength(target: Uint8Array, offset: number, length: number): void {
  target[offset] = length >>> 24
  target[offset + 1] = length >>> 16
  target[offset + 2] = length >>> 8
  target[offset + 3] = length
}

/** Throws `tampered`, or what the protocol throws for fields that do not decode. */
export function decodeRecord(padded: Uint8Array): VaultRecord {
  if (padded.length < LENGTH_BYTES) throw tampered()
  const end = LENGTH_BYTES + decodeUint32(padded)
  if (padded.length !== paddedSize(end)) throw tampered()
  for (let i = end; i < padded.length; i++) if (padded[i] !== 0) throw tampered()
  const places = decodeValue(padded.subarray(LENGTH_BYTES, end))
  if (!Array.isArray(places)) throw tampered()
  if (places.length < PLACES_MIN || places.length > PLACES_MAX) throw tampered()
  const [collection, key, fields, base, transactionSize] = places as unknown[]
  if (typeof collection !== 'string' || typeof key !== 'string') throw tampered()
  if (!isFields(fields) || !isBase(base) || !isTransactionSize(transactionSize)) throw tampered()
  const { fieldClocks, schemaVersion } =
    places.length === PLACES_MIN ? NO_EXTRA_READ : readExtra(places.slice(PLACES_MIN), fields)
  return { collection, key, fields, base, transactionSize, fieldClocks, schemaVersion }
}

type ExtraRead = Pick<VaultRecord, 'fieldClocks' | 'schemaVersion'>

const NO_EXTRA_READ: ExtraRead = { fieldClocks: null, schemaVersion: 0 }

/** One place or two, the last of which says something: else it would have been left out. */
function readExtra(places: readonly unknown[], fields: Fields | null): ExtraRead {
  const [place, schemaVersion = 0] = places
  const fieldClocks = place === null ? null : parseClocks(place, fields)
  if (fieldClocks === undefined || !isSchemaVersion(schemaVersion)) throw tampered()
  if (places.length === 2 ? schemaVersion === 0 : fieldClocks === null) throw tampered()
  return { fieldClocks, schemaVersion }
}

function isSchemaVersion(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= SCHEMA_VERSION_MAX
}

function isFields(value: unknown): value is Fields | null {
  if (typeof value !== 'object') return false
  if (value === null) return true
  return !(Array.isArray(value) || value instanceof Uint8Array || value instanceof Date)
}

function isBase(value: unknown): value is Timestamp | null {
  if (value === null) return true
  return value instanceof Uint8Array && value.length === TIMESTAMP_BYTES
}

function isTransactionSize(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= TRANSACTION_RECORDS_MAX
}

function refuseSize(bytes: number): never {
  throw new VaultError(
    'record-too-large',
    `the record has ${bytes} bytes; sealed it would exceed ${ENVELOPE_BYTES_MAX} bytes`,
  )
}
