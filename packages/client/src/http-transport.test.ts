/**
 * The transport against a remote that serves without end.
 */
import { CONTENT_TYPE_CBOR, encodeMessage, KeychainAnswer } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { createHttpTransport } from './http-transport.ts'

describe('keychain', () => {
  it('is given up when it is larger than any may be', async () => {
    const entries = [new Uint8Array(15 * 1_048_576)]
    const body = encodeMessage(KeychainAnswer, { entries }) as Uint8Array<ArrayBuffer>
    let requests = 0
    const transport = createHttpTransport('http://127.0.0.1:9', {
      fetch: async () => {
        if (++requests > 20) throw new TypeError('enough')
        return new Response(body, { headers: { 'content-type': CONTENT_TYPE_CBOR } })
      },
      openSocket: () => {
        throw new Error('not asked for')
      },
      setTimer: () => () => undefined,
    })
    await expect(transport.keychain('t', 0)).rejects.toMatchObject({ code: 'not-a-remote' })
    expect(requests).toBeLessThan(7)
  })
})
