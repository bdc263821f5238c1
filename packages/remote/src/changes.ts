/**
 * Changes: the log after a cursor, streamed as frames up to the head it had when the answer began.
 *
 *   log entries   5  6  7  8 …          one scan, in seq order
 *   envelopes     5.0  5.2  7.0 …       another beside it; what is missing is no longer live
 *
 * Both scans go a page at a time and only as fast as the reader takes frames, so a vault is never
 * in memory. A push meanwhile may move a record forward between the two reads: then its old place
 * is empty and the op is sent as a pair, which is true at any moment, since log entries never
 * change and an emptied place is never filled again.
 */
import {
  concat,
  EndFrame,
  type Envelope,
  encodeFrame,
  encodeMessage,
  KeychainFrame,
  PAGE_BYTES_MAX,
  TransactionFrame,
} from '@blindcopy/protocol'
import { type Entry, opIndexOfKey, type Store, seqOfKey } from '@blindcopy/secondary'
import { type AppendEntry, decodeLogEntry, joinPairs, type TransactionEntry } from './log-entry.ts'
import { ENTRY_SEQ_BYTES, type Vault } from './vaults.ts'

export type ChangesRequest = {
  readonly vault: Vault
  /** The seq before the first that is answered; the last one the device has, mostly. */
  readonly after: number
  /** The answer stops before it is larger, unless the first transaction alone is. */
  readonly bytesMax: number
  /** Pairs only, for a device that links a checkpoint. */
  readonly digestsOnly: boolean
  readonly onFault: (error: unknown) => void
}

const SCAN = { entriesMax: 512, bytesMax: 256 * 1024 } as const
/** Small frames travel together. */
const CHUNK_BYTES = 64 * 1024

export function streamChanges(store: Store, request: ChangesRequest): ReadableStream<Uint8Array> {
  const chunks = joinSmall(changeFrames(store, request))
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          // The reader sees a stream without its end frame, and asks again from what it has.
          request.onFault(error)
          controller.error(error)
        }
      },
      async cancel() {
        await chunks.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

async function* joinSmall(frames: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let held: Uint8Array[] = []
  let bytes = 0
  for await (const frame of frames) {
    held.push(frame)
    bytes += frame.length
    if (bytes < CHUNK_BYTES) continue
    yield concat(...held)
    held = []
    bytes = 0
  }
  if (held.length > 0) yield concat(...held)
}

export async function* changeFrames(
  store: Store,
  request: ChangesRequest,
): AsyncGenerator<Uint8Array> {
  const { vault, after } = request
  const { head, count, fingerprint } = vault.state
  const bytesMax = Math.min(request.bytesMax, PAGE_BYTES_MAX)
  const end = encodeMessage(EndFrame, [2, head.seq, head.chain, count, asFingerprint(fingerprint)])
  if (after < head.seq) {
    let bytes = 0
    for await (const frame of logFrames(store, request)) {
      if (bytes > 0 && bytes + frame.length > bytesMax) break
      bytes += frame.length
      yield frame
    }
  }
  yield encodeFrame(end)
}

const asFingerprint = (bytes: Uint8Array): EndFrame[4] => bytes as EndFrame[4]

async function* logFrames(
  store: Store,
  { vault, after, digestsOnly }: ChangesRequest,
): AsyncGenerator<Uint8Array> {
  const seqs = { first: after + 1, last: vault.state.head.seq }
  await using live = new LiveEnvelopes(store, vault, seqs)
  for await (const page of store.pages(vault.keys.logEntries(seqs), SCAN)) {
    for (const [key, value] of page) {
      const seq = seqOfKey(key)
      const entry = decodeLogEntry(value)
      if (entry.type === 'append') {
        yield await appendFrame(store, vault, { seq, entry })
      } else {
        const found = digestsOnly ? NOTHING : (live.takeHeld(seq) ?? (await live.take(seq)))
        yield transactionFrame(seq, entry, found)
      }
    }
  }
}

type Found = { readonly envelopes: Envelope[]; readonly opIndexes: number[] }

const NOTHING: Found = { envelopes: [], opIndexes: [] }

function transactionFrame(seq: number, entry: TransactionEntry, found: Found): Uint8Array {
  const pairs = joinPairs(entry, found.opIndexes)
  return encodeFrame(
    encodeMessage(TransactionFrame, [0, seq, entry.chain, entry.id, found.envelopes, pairs]),
  )
}

async function appendFrame(
  store: Store,
  { keys }: Vault,
  { seq, entry }: { seq: number; entry: AppendEntry },
): Promise<Uint8Array> {
  const entryKeys: Uint8Array[] = []
  for (let i = entry.firstEntry; i < entry.endEntry; i++) entryKeys.push(keys.keychainEntry(i))
  const stored = await store.getMany(entryKeys)
  const entries = stored.flatMap((value) =>
    value === undefined ? [] : [value.subarray(ENTRY_SEQ_BYTES)],
  )
  return encodeFrame(encodeMessage(KeychainFrame, [1, seq, entry.chain, entries]))
}

/** The scan of envelopes, from which those of one seq after the other are taken. */
class LiveEnvelopes implements AsyncDisposable {
  readonly #pages: AsyncIterator<readonly Entry[]>
  #page: readonly Entry[] = []
  #next = 0
  #isOver = false

  constructor(store: Store, { keys }: Vault, seqs: { first: number; last: number }) {
    this.#pages = store.pages(keys.envelopes(seqs), SCAN)[Symbol.asyncIterator]()
  }

  /** Those of `seq`, if they are at hand with certainty: no promise for each small transaction. */
  takeHeld(seq: number): Found | undefined {
    const last = this.#page[this.#page.length - 1]
    if (!this.#isOver && (last === undefined || seqOfKey(last[0]) <= seq)) return undefined
    const found: Found = { envelopes: [], opIndexes: [] }
    this.#collect(seq, found)
    return found
  }

  async take(seq: number): Promise<Found> {
    const found: Found = { envelopes: [], opIndexes: [] }
    while (this.#collect(seq, found) === 'more' && !this.#isOver) {
      const { done, value } = await this.#pages.next()
      this.#isOver = done === true
      this.#page = done ? [] : value
      this.#next = 0
    }
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pages.return?.()
  }

  #collect(seq: number, found: Found): 'enough' | 'more' {
    for (; this.#next < this.#page.length; this.#next++) {
      const [key, value] = this.#page[this.#next] as Entry
      const keySeq = seqOfKey(key)
      if (keySeq > seq) return 'enough'
      if (keySeq < seq) continue
      found.envelopes.push(value as Envelope)
      found.opIndexes.push(opIndexOfKey(key))
    }
    return 'more'
  }
}
