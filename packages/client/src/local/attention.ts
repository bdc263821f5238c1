/**
 * Attention: transactions that the remote refused, and that wait for the person: to be sent again,
 * discarded or exported. Each is kept whole, envelopes included, apart from the rows: everything
 * else goes on as if it were not there, and what it wrote stays shown until a newer version comes.
 *
 *   code length (1) ‖ code ‖ refused at (8) ‖ entry length (4) ‖ outbox entry
 *   ‖ (envelope length (4) ‖ envelope)…, in the order of the entry's ops
 */
import {
  concat,
  decodeUint32,
  decodeUint64,
  decodeUtf8,
  type Envelope,
  encodeUint32,
  encodeUint64,
  encodeUtf8,
} from '@blindcopy/protocol'
import {
  numberedKey,
  numberedRange,
  parseNumberedKey,
  type Store,
  type StoreOp,
} from '@blindcopy/secondary'
import { ClientError } from '../error.ts'

/** A refused transaction as it waits for the person. */
export type AttentionEntry = {
  readonly number: number
  /** Why it was refused: a code of docs/protocol.md. */
  readonly code: string
  readonly refusedMs: number
  /** The outbox entry. */
  readonly entry: Uint8Array
  /** In the order of its ops; fewer where the disk has lost some. */
  readonly envelopes: readonly Envelope[]
}

export function putAttention(attention: AttentionEntry): StoreOp {
  const code = encodeUtf8(attention.code)
  const value = concat(
    Uint8Array.of(code.length),
    code,
    encodeUint64(attention.refusedMs),
    encodeUint32(attention.entry.length),
    attention.entry,
    ...attention.envelopes.flatMap((envelope) => [encodeUint32(envelope.length), envelope]),
  )
  return { type: 'put', key: numberedKey('attention', attention.number), value }
}

export const deleteAttention = (number: number): StoreOp => ({
  type: 'delete',
  key: numberedKey('attention', number),
})

function parseAttention(number: number, value: Uint8Array): AttentionEntry {
  const codeEnd = 1 + (value[0] as number)
  const entryAt = codeEnd + 12
  const entryEnd = entryAt + decodeUint32(value, codeEnd + 8)
  const envelopes: Envelope[] = []
  let offset = entryEnd
  while (offset < value.length) {
    const start = offset + 4
    offset = start + decodeUint32(value, offset)
    envelopes.push(value.subarray(start, offset) as Envelope)
  }
  if (offset !== value.length) {
    throw new ClientError('vault-damaged', 'a refused write is damaged on the disk')
  }
  return {
    number,
    code: decodeUtf8(value.subarray(1, codeEnd)),
    refusedMs: decodeUint64(value, codeEnd),
    entry: value.subarray(entryAt, entryEnd),
    envelopes,
  }
}

export async function readAttention(
  store: Store,
  number: number,
): Promise<AttentionEntry | undefined> {
  const value = await store.get(numberedKey('attention', number))
  return value === undefined ? undefined : parseAttention(number, value)
}

/** In the order they were written, a page at a time. */
export async function* readAttentions(store: Store): AsyncGenerator<readonly AttentionEntry[]> {
  const range = numberedRange('attention')
  for await (const page of store.pages(range, { entriesMax: 16, bytesMax: 4_194_304 })) {
    yield page.map(([key, value]) => parseAttention(parseNumberedKey(key), value))
  }
}
