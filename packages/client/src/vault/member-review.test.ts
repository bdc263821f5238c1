/**
 * What the root goes on from where a stolen device has filled the list of devices.
 */
import {
  extendKeychain,
  KEYCHAIN_BYTES_MAX,
  type Keychain,
  mergeKeychain,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  beginEpoch,
  deriveRoot,
  foundKeychain,
  generateDeviceKeys,
  generateRootSecret,
  openKeyring,
  replaceBranches,
  verifySignature,
} from '@blindcopy/vault'
import { expect, it } from 'vitest'
import { judgeMembers, roomyPart } from './member-review.ts'

const random = (size: number): Uint8Array => crypto.getRandomValues(new Uint8Array(size))
const nowMs = 1_000

it('is half of it, and all who stay go over to what the root makes of it', () => {
  const root = deriveRoot(generateRootSecret(random))
  const device = generateDeviceKeys(random)
  const { entries } = foundKeychain({ root, device, deviceName: 'a', nowMs, random })
  let keychain: Keychain = validateKeychain(root.vaultId, entries, verifySignature)
  for (let i = 0; i < 9; i++) {
    const keyring = openKeyring({ keychain, holder: device })
    const { entry } = beginEpoch({ keychain, keyring, signer: device, nowMs, random })
    keychain = extendKeychain(keychain, [entry], verifySignature)
  }
  expect(roomyPart(keychain)).toBe(keychain)
  const full = { ...keychain, sizeBytes: KEYCHAIN_BYTES_MAX }
  expect(roomyPart(full).hashes).toHaveLength(6)

  const { base, keep } = judgeMembers(full, root).after(undefined)
  if (base === undefined) throw new Error('a part to go back to')
  const replaced = replaceBranches({ root, base, branches: [keychain], keep, nowMs, random })
  const merged = mergeKeychain(keychain, replaced.keychain.entries, verifySignature).keychain
  expect(merged.hashes).toHaveLength(8)
  const opened = openKeyring({ keychain: merged, holder: device })
  const before = openKeyring({ keychain, holder: device })
  for (const [epoch] of before.epochKeys()) expect(opened.has(epoch)).toBe(true)
})
