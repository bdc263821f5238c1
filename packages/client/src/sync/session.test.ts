/**
 * Logging in: the versions of both ends come first, then a signature that is good for one remote
 * only.
 */
import {
  LIMITS,
  loginSignedBytes,
  type MemberId,
  type SessionRequest,
  type Signature,
  type VaultId,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { logIn } from './session.ts'
import type { Transport } from './transport.ts'

const identity = {
  vaultId: new Uint8Array(32).fill(1) as VaultId,
  memberId: new Uint8Array(8).fill(2) as MemberId,
  // The test looks at what is signed, so the signature is the message itself.
  sign: (message: Uint8Array) => message as Signature,
}

function transportOf(protocol: { min: number; max: number }) {
  const asked: SessionRequest[] = []
  const nonce = new Uint8Array(32).fill(3)
  const transport = {
    origin: 'https://sync.example.org',
    capabilities: async () => ({ protocol, limits: LIMITS, registration: 'open', origins: [] }),
    challenge: async () => ({ nonce, expiresMs: 4 }),
    session: async (request: SessionRequest) => {
      asked.push(request)
      return { token: 'token' }
    },
  } as unknown as Transport
  return { transport, asked, nonce }
}

describe('logIn', () => {
  it('signs vault, member, nonce, expiry and the origin it knows the remote by', async () => {
    const { transport, asked, nonce } = transportOf({ min: 1, max: 1 })
    expect(await logIn(transport, identity)).toMatchObject({ token: 'token', limits: LIMITS })
    const { vaultId, memberId } = identity
    const origin = 'https://sync.example.org'
    expect(asked).toHaveLength(1)
    expect(asked[0]?.signature).toEqual(
      loginSignedBytes({ vaultId, memberId, nonce, expiresMs: 4, origin }),
    )
  })

  it('asks for nothing of a remote whose protocol is another', async () => {
    for (const protocol of [
      { min: 2, max: 3 },
      { min: 0, max: 0 },
    ]) {
      const { transport, asked } = transportOf(protocol)
      await expect(logIn(transport, identity)).rejects.toMatchObject({
        code: 'unsupported-protocol',
      })
      expect(asked).toEqual([])
    }
  })
})
