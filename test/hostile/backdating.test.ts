/**
 * A stolen device that adds another one in the moment in which it is revoked, and writes a time of
 * long ago into the entry: what it has added goes with it.
 *
 * Threats: 2, 4.
 */
import {
  encodeMessage,
  KeychainAppendRequest,
  keychainHead,
  type MemberId,
} from '@blindcopy/protocol'
import { addMember, generateDeviceKeys, memberProof } from '@blindcopy/vault'
import { expect, it } from 'vitest'
import { expectSame, type Held, idOf, insideOf, makeFleet } from '../keys/keys.ts'

it('takes nobody along that a stolen device adds while it is revoked', async () => {
  const { world, held } = await makeFleet(7471, 3)
  const [first, thief, other] = held as [Held, Held, Held]
  const random = world.chance.bytes
  const ghost = generateDeviceKeys(random)
  const before = first.device.network.fetch
  let ghostId: MemberId | undefined
  first.device.network.fetch = async (request, carry) => {
    if (
      ghostId === undefined &&
      request.method === 'POST' &&
      request.url.endsWith('/v1/keychain')
    ) {
      const { keychain, keyring, keys } = await insideOf(thief)
      const { signingKey, kemKey, memberId } = ghost
      const proof = memberProof(keychain.vaultId, ghost)
      const newcomer = { kind: 'device', signingKey, kemKey, proof } as const
      const writing = { keychain, keyring, signer: keys, nowMs: 1, random }
      const entry = addMember({ ...writing, newcomer, name: 'ghost' })
      const append = { previous: keychainHead(keychain), entries: [entry] }
      const body = new Uint8Array(encodeMessage(KeychainAppendRequest, append))
      const { headers } = request
      const raced = await carry(new Request(request.url, { method: 'POST', headers, body }))
      expect(raced.status).toBe(200)
      ghostId = memberId
    }
    return before(request, carry)
  }
  const gone = await first.vault.keys.revoke([idOf(thief)])
  expect(ghostId).toBeDefined()
  expect(gone.map(({ name }) => name)).toEqual(['d1', 'ghost'])
  expect(first.vault.keys.status().devices.map(({ name }) => name)).toEqual(['d0', 'd2'])
  await expectSame([first, other])
})
