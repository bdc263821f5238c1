/**
 * Whom a stolen device has brought in goes with it, whatever times it has written.
 */
import { equalBytes, extendKeychain, type Keychain, validateKeychain } from '@blindcopy/protocol'
import {
  addMember,
  beginEpoch,
  type DeviceKeys,
  deriveRoot,
  foundKeychain,
  generateDeviceKeys,
  generateRootSecret,
  memberProof,
  openKeyring,
  verifySignature,
} from '@blindcopy/vault'
import { expect, it } from 'vitest'
import { addedBy, type Since } from './listed-members.ts'

const random = (size: number): Uint8Array => crypto.getRandomValues(new Uint8Array(size))
const root = deriveRoot(generateRootSecret(random))
const { vaultId } = root
const [owner, thief, ghost, helper] = [0, 1, 2, 3].map(() => generateDeviceKeys(random)) as [
  DeviceKeys,
  DeviceKeys,
  DeviceKeys,
  DeviceKeys,
]
const THEFT_MS = 1_000_000

function add(keychain: Keychain, signer: DeviceKeys, keys: DeviceKeys, nowMs: number): Keychain {
  const { signingKey, kemKey } = keys
  const newcomer = {
    kind: 'device',
    signingKey,
    kemKey,
    proof: memberProof(vaultId, keys),
  } as const
  const keyring = openKeyring({ keychain, holder: signer })
  const entry = addMember({ keychain, signer, keyring, newcomer, name: '', nowMs, random })
  return extendKeychain(keychain, [entry], verifySignature)
}

function begin(keychain: Keychain, signer: DeviceKeys, nowMs: number): Keychain {
  const keyring = openKeyring({ keychain, holder: signer })
  const { entry } = beginEpoch({ keychain, signer, keyring, nowMs, random })
  return extendKeychain(keychain, [entry], verifySignature)
}

const founded = foundKeychain({ root, device: owner, deviceName: '', nowMs: 1_000, random })
const start = add(validateKeychain(vaultId, founded.entries, verifySignature), owner, thief, 2_000)

const goneWith = (keychain: Keychain, since: Since): string[] =>
  addedBy(keychain, [thief.memberId], since).map(({ memberId }) =>
    equalBytes(memberId, ghost.memberId) ? 'ghost' : 'helper',
  )

it('takes what was added since, and what that has added', () => {
  const chain = add(add(start, thief, ghost, THEFT_MS + 1), ghost, helper, 5)
  expect(goneWith(chain, { ms: THEFT_MS })).toEqual(['ghost', 'helper'])
  expect(goneWith(chain, { ms: THEFT_MS + 2 })).toEqual([])
})

it('believes no time before that of an entry of somebody else that stands before', () => {
  const rotated = begin(start, owner, THEFT_MS + 1)
  expect(goneWith(add(rotated, thief, ghost, 5), { ms: THEFT_MS })).toEqual(['ghost'])
  // What it has said itself proves nothing against others.
  const own = begin(start, thief, THEFT_MS + 1)
  expect(goneWith(add(own, thief, ghost, 5), { ms: THEFT_MS })).toEqual([])
})

it('takes all that stands behind a length that was known', () => {
  const chain = add(start, thief, ghost, 5)
  const { length } = start.hashes
  expect(goneWith(chain, { ms: THEFT_MS, length })).toEqual(['ghost'])
  expect(goneWith(chain, { ms: THEFT_MS, length: length + 1 })).toEqual([])
})
