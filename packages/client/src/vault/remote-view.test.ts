/**
 * Looking at what a host holds, when the host is hostile: an answer or a coded refusal.
 */
import { chainStart, type MemberId, type Signature, type VaultId } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import type { Transport } from '../sync/transport.ts'
import { viewRemote } from './remote-view.ts'

const vaultId = new Uint8Array(32).fill(1) as VaultId
const chain = chainStart(vaultId)

async function view(envelope: Uint8Array) {
  const transport = {
    origin: 'https://sync.example.org',
    capabilities: async () => ({ protocol: { min: 1, max: 1 }, limits: {} }),
    challenge: async () => ({ nonce: new Uint8Array(32), expiresMs: 1 }),
    session: async () => ({ token: 't', syncId: new Uint8Array(16), head: [1, chain] }),
    async *changes() {
      yield [0, 1, chain, null, [envelope], new Uint8Array(0)]
      yield [2, 1, chain, 1, new Uint8Array(16)]
    },
  } as unknown as Transport
  const memberId = new Uint8Array(8) as MemberId
  const seen: unknown[] = []
  const identity = { vaultId, memberId, sign: () => new Uint8Array(64) as Signature }
  for await (const part of viewRemote(transport, identity)) seen.push(part)
  return seen
}

describe('viewRemote', () => {
  it('refuses an envelope that is cut, wherever', async () => {
    expect(await view(new Uint8Array(62))).toHaveLength(3)
    for (let length = 0; length < 62; length++) {
      await expect(view(new Uint8Array(length))).rejects.toMatchObject({ code: 'integrity' })
    }
  })
})
