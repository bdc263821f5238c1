/**
 * Checkpoint: a device's signed statement of what it held at a position of the remote's log (design
 * 16). The remote stores and passes on these bytes and can make none.
 *
 *   checkpoint = [body, signature]                         CBOR; both byte strings
 *   body = [1, vaultId, memberId, number, timeMs,          CBOR; positional
 *           syncId, seq, chain, count,                     where it stood, and how many records
 *           epoch, fingerprint,                            of the set, keyed with that epoch's key
 *           keychainLength, keychainHead,
 *           unopened, late]                                pairs of 32 bytes, joined and sorted
 *
 * `unopened` are confirmed versions that did not open there, `late` those of a closed epoch that
 * were put aside: of each the first 100, so that a full list may be a cut one. Each checkpoint has
 * one spelling. Frozen by test/vectors/checkpoint.json: another layout is another body version.
 */
import { compareBytes, concat, equalBytes } from './bytes.ts'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'
import {
  type Hash,
  type MemberId,
  parseHash,
  parseMemberId,
  parseSignature,
  parseSyncId,
  parseVaultId,
  type Signature,
  type SyncId,
  type VaultId,
} from './ids.ts'
import { CHECKPOINT_BYTES_MAX, CHECKPOINT_PAIRS_MAX } from './limits.ts'
import { type LogPosition, PAIR_BYTES } from './log.ts'
import { createFieldReaders } from './signed-fields.ts'

/** What a device says of itself. */
export type CheckpointStatement = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  /** Rises with each checkpoint of a device, under every SyncId. */
  readonly number: number
  readonly timeMs: number
  readonly syncId: SyncId
  readonly position: LogPosition
  readonly count: number
  readonly epoch: number
  /** A keyed sum (keyed-sum.ts), 32 bytes. */
  readonly fingerprint: Uint8Array
  readonly keychainLength: number
  readonly keychainHead: Hash
  readonly unopened: readonly Uint8Array[]
  readonly late: readonly Uint8Array[]
}

export type Checkpoint = CheckpointStatement & {
  readonly body: Uint8Array
  readonly signature: Signature
  /** As it was signed and travels. */
  readonly bytes: Uint8Array
}

export const KEYED_FINGERPRINT_BYTES = 32
const BODY_VERSION = 1
const BODY_ITEMS = 15

/** What is signed, behind label and vault id. The lists may come in any order. */
export function encodeCheckpointBody(statement: CheckpointStatement): Uint8Array {
  const { seq, chain } = statement.position
  return encodeCbor([
    BODY_VERSION,
    statement.vaultId,
    statement.memberId,
    statement.number,
    statement.timeMs,
    statement.syncId,
    seq,
    chain,
    statement.count,
    statement.epoch,
    statement.fingerprint,
    statement.keychainLength,
    statement.keychainHead,
    joinPairs(statement.unopened),
    joinPairs(statement.late),
  ])
}

export function encodeCheckpoint(body: Uint8Array, signature: Signature): Uint8Array {
  return encodeCbor([body, signature])
}

const joinPairs = (pairs: readonly Uint8Array[]): Uint8Array =>
  concat(...[...pairs].sort(compareBytes))

/**
 * Checks the form alone; whose signature it is, and whether it is one, is up to the caller. Throws
 * `malformed`, or `unsupported-version` for a checkpoint of a later time.
 */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.length > CHECKPOINT_BYTES_MAX) malformed('it is too large')
  const own = bytes.slice()
  const [body, signatureBytes] = tuple(decodeCbor(own), 2)
  const bodyBytes = byteString(body).slice()
  const signature = parseSignature(byteString(signatureBytes).slice())
  const items = tuple(decodeCbor(bodyBytes))
  if (items[0] !== BODY_VERSION) {
    throw new ProtocolError(
      'unsupported-version',
      'a checkpoint of a later version: update this program',
    )
  }
  const statement = parseStatement(items)
  // Else one statement would have several bytes, and each would count as another checkpoint.
  const isSpelled =
    equalBytes(encodeCheckpointBody(statement), bodyBytes) &&
    equalBytes(encodeCheckpoint(bodyBytes, signature), own)
  if (!isSpelled) malformed('it is not spelled in the one way')
  return { ...statement, body: bodyBytes, signature, bytes: own }
}

function parseStatement(items: readonly unknown[]): CheckpointStatement {
  if (items.length !== BODY_ITEMS) malformed(`its body has ${items.length} items`)
  const number = integer(items[3])
  if (number === 0) malformed('its number is 0')
  return {
    vaultId: parseVaultId(byteString(items[1]).slice()),
    memberId: parseMemberId(byteString(items[2]).slice()),
    number,
    timeMs: moment(items[4]),
    syncId: parseSyncId(byteString(items[5]).slice()),
    position: { seq: integer(items[6]), chain: parseHash(byteString(items[7]).slice()) },
    count: integer(items[8]),
    epoch: integer(items[9]),
    fingerprint: byteString(items[10], KEYED_FINGERPRINT_BYTES).slice(),
    keychainLength: integer(items[11]),
    keychainHead: parseHash(byteString(items[12]).slice()),
    unopened: splitPairs(byteString(items[13])),
    late: splitPairs(byteString(items[14])),
  }
}

function splitPairs(joined: Uint8Array): readonly Uint8Array[] {
  if (joined.length % PAIR_BYTES !== 0) malformed('a list of pairs is cut')
  if (joined.length > CHECKPOINT_PAIRS_MAX * PAIR_BYTES) malformed('a list of pairs is too long')
  const pairs: Uint8Array[] = []
  for (let offset = 0; offset < joined.length; offset += PAIR_BYTES) {
    const pair = joined.slice(offset, offset + PAIR_BYTES)
    const previous = pairs[pairs.length - 1]
    if (previous !== undefined && compareBytes(previous, pair) >= 0) {
      malformed('a list of pairs is not in order')
    }
    pairs.push(pair)
  }
  return pairs
}

function malformed(why: string): never {
  throw new ProtocolError('malformed', `checkpoint refused: ${why}`)
}

const { tuple, byteString, integer, moment } = createFieldReaders(malformed)
