import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import { serveRemote } from './node.ts'

describe('serveRemote', () => {
  it('answers on a free port and closes its store', async () => {
    const store = createMemoryStore()
    const served = await serveRemote({ store, registration: { mode: 'open' } })
    const answer = await fetch(`${served.url}/healthz`)
    expect(await answer.json()).toEqual({ status: 'ok' })
    await served.close()
    await served.close()
    await expect(store.get(new Uint8Array(1))).rejects.toThrow()
    await expect(fetch(`${served.url}/healthz`)).rejects.toThrow()
  })
})
