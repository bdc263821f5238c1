/**
 * The transport against a remote that serves without end, or what nobody asked for.
 */
import {
  CONTENT_TYPE_CBOR,
  encodeMessage,
  HASH_NONE,
  KeychainAnswer,
  parseMessage,
  RECONCILE_BYTES_MAX,
  ReconcileAnswer,
  ReconcileRequest,
  type RecordId,
  RecordsAnswer,
  type SyncId,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import type { Transport } from '../sync/transport.ts'
import { createHttpTransport } from './http-transport.ts'

/** Reaches a remote that gives the same answer to everything; `requests` are those it got. */
function openTransport(body: Uint8Array): { transport: Transport; requests: Request[] } {
  const requests: Request[] = []
  const transport = createHttpTransport('http://127.0.0.1:9', {
    fetch: async (url, init) => {
      requests.push(new Request(url, init))
      if (requests.length > 20) throw new TypeError('enough')
      const headers = { 'content-type': CONTENT_TYPE_CBOR }
      return new Response(body as Uint8Array<ArrayBuffer>, { headers })
    },
    openSocket: () => {
      throw new Error('not asked for')
    },
    setTimer: () => () => undefined,
  })
  return { transport, requests }
}

const data = {
  token: 't',
  syncId: new Uint8Array(16) as SyncId,
  position: { seq: 0, chain: HASH_NONE },
}
const notARemote = { code: 'not-a-remote' }

describe('keychain', () => {
  it('is given up when it is larger than any may be', async () => {
    const entries = [new Uint8Array(15 * 1_048_576)]
    const { transport, requests } = openTransport(encodeMessage(KeychainAnswer, { entries }))
    await expect(transport.keychain('t', 0)).rejects.toMatchObject(notARemote)
    expect(requests.length).toBeLessThan(7)
  })

  it('is given up when it is served in bits', async () => {
    const entries = [new Uint8Array(300)]
    const { transport, requests } = openTransport(encodeMessage(KeychainAnswer, { entries }))
    await expect(transport.keychain('t', 0)).rejects.toMatchObject(notARemote)
    expect(requests.length).toBeLessThan(10)
  })
})

describe('records', () => {
  const ids = [1, 2, 3].map((n) => new Uint8Array(16).fill(n) as RecordId)
  const ask = (count: number, asked = ids) => {
    const envelopes = new Array<Uint8Array | null>(count).fill(null)
    return openTransport(encodeMessage(RecordsAnswer, { envelopes })).transport.records(data, asked)
  }

  it('are the first of those asked, at least one', async () => {
    expect((await ask(1)).length).toBe(1)
    expect((await ask(3)).length).toBe(3)
    expect(await ask(0, [])).toEqual([])
    await expect(ask(0)).rejects.toMatchObject(notARemote)
    await expect(ask(4)).rejects.toMatchObject(notARemote)
  })
})

describe('reconcile', () => {
  const fingerprint = new Uint8Array(16).fill(5) as ReconcileRequest['fingerprint']
  const message: ReconcileRequest = { count: 3, fingerprint, nodes: Uint8Array.of(0) }
  const answerOf = (sizeBytes: number): Uint8Array =>
    encodeMessage(ReconcileAnswer, {
      head: [1, HASH_NONE],
      count: 2,
      fingerprint,
      answers: new Uint8Array(sizeBytes),
    })

  it('sends the message, token and position, and reads the answer', async () => {
    const { transport, requests } = openTransport(answerOf(9))
    const answer = await transport.reconcile(data, message)
    expect(encodeMessage(ReconcileAnswer, answer)).toEqual(answerOf(9))
    const [request] = requests as [Request]
    expect([request.method, new URL(request.url).pathname]).toEqual(['POST', '/v1/reconcile'])
    expect(request.headers.get('authorization')).toBe('Bearer t')
    expect(request.headers.get('blindcopy-cursor')).toMatch(/^0\./)
    const sent = parseMessage(ReconcileRequest, new Uint8Array(await request.arrayBuffer()))
    expect(sent).toEqual(message)
  })

  it('takes an answer at the limit and refuses one beyond', async () => {
    const margin = answerOf(RECONCILE_BYTES_MAX - 1_000).length - RECONCILE_BYTES_MAX + 1_000
    const ask = (sizeBytes: number) =>
      openTransport(answerOf(sizeBytes)).transport.reconcile(data, message)
    const largest = RECONCILE_BYTES_MAX - margin
    expect((await ask(largest)).answers.length).toBe(largest)
    await expect(ask(largest + 1)).rejects.toMatchObject(notARemote)
  })

  it('refuses a message of another form', async () => {
    const { transport } = openTransport(encodeMessage(RecordsAnswer, { envelopes: [] }))
    await expect(transport.reconcile(data, message)).rejects.toMatchObject({ code: 'malformed' })
  })
})
