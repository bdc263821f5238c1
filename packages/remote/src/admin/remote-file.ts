/**
 * Remote file: the form of a backup of a remote, and of one vault that is carried to another host.
 *
 *   magic (8)     "bcremote"
 *   frame …       length (4) ‖ CBOR item ‖ digest (32)
 *
 *   [0, version, made ms]                                        once, first
 *   [1, vault id, SyncId, seq, chain, count, fingerprint, …]     a vault begins: its manifest
 *   [2, [[seq, keychain entry] …]]                               its keychain, as it came
 *   [3, [[seq, log entry, [op index, envelope …]] …]]            its log, with what is live of it
 *   [4, [checkpoint …]]
 *   [5, [[superseded ms, envelope] …]]                           its history
 *   [6, frames]                                                  the vault ends
 *   [7, vaults]                                                  once, last
 *
 * The digest is chained: d = SHA-256(magic), then d = SHA-256(d ‖ SHA-256(item)). So a damaged file
 * is found at its first bad frame, one that was cut by what is missing, and neither end needs more
 * memory than a frame. Nothing in it is an index: whoever takes it makes the indexes anew.
 */
import {
  concat,
  decodeCbor,
  encodeCbor,
  encodeFrame,
  encodeUtf8,
  equalBytes,
  FrameReader,
  HASH_BYTES,
  type Hash,
  ProtocolError,
  sha256,
} from '@blindcopy/protocol'
import { AdminError } from '../error.ts'
import type { Manifest } from './manifest.ts'
import { decodePart, encodePart } from './remote-file-part.ts'

export const REMOTE_FILE_VERSION = 1
const MAGIC = encodeUtf8('bcremote')
/** A frame holds what came to this first, and one transaction more. */
export const PART_BYTES_AIM: number = 256 * 1024
const FRAME_BYTES_MAX = 16 * 1024 * 1024

export type LogItem = {
  readonly seq: number
  readonly entry: Uint8Array
  readonly live: readonly { readonly opIndex: number; readonly envelope: Uint8Array }[]
}

export type FilePart =
  | { readonly type: 'header'; readonly version: number; readonly madeMs: number }
  | { readonly type: 'vault'; readonly manifest: Manifest }
  | {
      readonly type: 'keychain'
      readonly entries: readonly { readonly seq: number; readonly entry: Uint8Array }[]
    }
  | { readonly type: 'log'; readonly items: readonly LogItem[] }
  | { readonly type: 'checkpoints'; readonly checkpoints: readonly Uint8Array[] }
  | {
      readonly type: 'history'
      readonly versions: readonly { readonly supersededMs: number; readonly envelope: Uint8Array }[]
    }
  | { readonly type: 'vault-end'; readonly frames: number }
  | { readonly type: 'end'; readonly vaults: number }

const digestNext = (digest: Hash, item: Uint8Array): Hash => sha256(concat(digest, sha256(item)))

/** The bytes of a file of these vaults: each a manifest and what follows it. */
export async function* writeRemoteFile(
  madeMs: number,
  vaults: AsyncIterable<{
    readonly manifest: Manifest
    readonly parts: AsyncIterable<FilePart>
  }>,
): AsyncGenerator<Uint8Array> {
  let digest = sha256(MAGIC)
  const framed = (part: FilePart): Uint8Array => {
    const item = encodeCbor(encodePart(part))
    digest = digestNext(digest, item)
    return encodeFrame(concat(item, digest))
  }
  yield concat(MAGIC, framed({ type: 'header', version: REMOTE_FILE_VERSION, madeMs }))
  let count = 0
  for await (const { manifest, parts } of vaults) {
    count++
    yield framed({ type: 'vault', manifest })
    let frames = 0
    for await (const part of parts) {
      frames++
      yield framed(part)
    }
    yield framed({ type: 'vault-end', frames })
  }
  yield framed({ type: 'end', vaults: count })
}

/** What is known of where a reader stands, for what it says of a damaged file. */
type Place = { digest: Hash; at: number }

/**
 * The parts of a file, each checked as it comes, in an order that makes sense. Throws `AdminError`
 * (`backup-damaged`, `backup-cut`), or `unsupported-version`.
 */
export async function* readRemoteFile(source: AsyncIterable<Uint8Array>): AsyncGenerator<FilePart> {
  const place: Place = { digest: sha256(MAGIC), at: MAGIC.length }
  const order = createOrder()
  for await (const item of framesOf(source, place)) {
    const part = readPart(item, place)
    if (!order.takes(part)) throw damaged('it is out of order', place.at)
    if (part.type === 'header' && part.version > REMOTE_FILE_VERSION) {
      throw new ProtocolError('unsupported-version', 'the backup is of a later version')
    }
    place.at += 4 + item.length
    yield part
  }
  if (!order.isOver()) throw cut(place.at)
}

function readPart(item: Uint8Array, place: Place): FilePart {
  if (item.length <= HASH_BYTES) throw damaged('a part of it is too short', place.at)
  const content = item.subarray(0, -HASH_BYTES)
  place.digest = digestNext(place.digest, content)
  if (!equalBytes(item.subarray(-HASH_BYTES), place.digest)) {
    throw damaged('a part of it is not what was written', place.at)
  }
  try {
    return decodePart(decodeCbor(content))
  } catch (cause) {
    if (cause instanceof ProtocolError && cause.code === 'unsupported-version') throw cause
    throw damaged('a part of it cannot be read', place.at, cause)
  }
}

async function* framesOf(
  source: AsyncIterable<Uint8Array>,
  place: Place,
): AsyncGenerator<Uint8Array> {
  const frames = new FrameReader(FRAME_BYTES_MAX)
  let head: Uint8Array | undefined = new Uint8Array(0)
  for await (const chunk of source) {
    let rest = chunk
    if (head !== undefined) {
      head = concat(head, chunk)
      if (head.length < MAGIC.length) continue
      if (!equalBytes(head.subarray(0, MAGIC.length), MAGIC)) {
        throw damaged('it is no backup of a remote', 0)
      }
      rest = head.subarray(MAGIC.length)
      head = undefined
    }
    yield* pushed(frames, rest, place)
  }
  if (head !== undefined) throw cut(head.length)
  if (!frames.isEmpty) throw cut(place.at)
}

function pushed(frames: FrameReader, chunk: Uint8Array, place: Place): Uint8Array[] {
  try {
    return frames.push(chunk)
  } catch (cause) {
    throw damaged('a part of it cannot be read', place.at, cause)
  }
}

/** Which part may follow which; within a vault they come in the order of their numbers. */
function createOrder(): { takes(part: FilePart): boolean; isOver(): boolean } {
  let state: 'begin' | 'between' | 'over' | FilePart['type'] = 'begin'
  let frames = 0
  let vaults = 0
  const inside = ['vault', 'keychain', 'log', 'checkpoints', 'history'] as const
  const takes = (part: FilePart): boolean => {
    const rank = inside.indexOf(state as (typeof inside)[number])
    const next = inside.indexOf(part.type as (typeof inside)[number])
    if (state === 'begin' && part.type === 'header') state = 'between'
    else if (state === 'between' && part.type === 'vault') {
      vaults++
      frames = 0
      state = 'vault'
    } else if (state === 'between' && part.type === 'end' && part.vaults === vaults) state = 'over'
    else if (rank >= 0 && next >= rank && part.type !== 'vault') {
      frames++
      state = part.type
    } else if (rank >= 0 && part.type === 'vault-end' && part.frames === frames) state = 'between'
    else return false
    return true
  }
  return { takes, isOver: () => state === 'over' }
}

function damaged(what: string, at: number, cause?: unknown): AdminError {
  return new AdminError('backup-damaged', `the backup is damaged at byte ${at}: ${what}`, { cause })
}

function cut(at: number): AdminError {
  return new AdminError('backup-cut', `the backup ends at byte ${at}, before its end`)
}
