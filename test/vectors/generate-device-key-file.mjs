/**
 * Made device-key-file.json, once, from the compiled package, and the rows of derivation.json that
 * key stores brought. Never run again to make a test pass: a vector that fails tells of a change of
 * format.
 *
 * `random` names the stream of generate-vault.mjs. Argon2id is used with 1 pass over 8 KiB here.
 */
import { writeFileSync } from 'node:fs'
import * as p from '../../packages/protocol/dist/index.js'
import { deviceKeysOf } from '../../packages/vault/dist/device.js'
import { encodeDeviceKeyFileWith } from '../../packages/vault/dist/key-file.js'
import { parseStoreSecret } from '../../packages/vault/dist/key-file-keys.js'
import { Secret } from '../../packages/vault/dist/secret.js'

const hex = p.formatHex
const utf8 = p.encodeUtf8

function fixedRandom(label) {
  let counter = 0
  let held = new Uint8Array(0)
  return (size) => {
    while (held.length < size) {
      held = p.concat(held, p.sha256(p.concat(utf8(label), p.encodeUint32(counter++))))
    }
    const bytes = held.slice(0, size)
    held = held.slice(size)
    return bytes
  }
}

const drawn = (label) => fixedRandom(label)(32)
const signingSeed = drawn('device key file signing')
const kemSeed = drawn('device key file kem')
const vaultId = drawn('device key file vault')
const deviceKeys = deviceKeysOf(
  new Secret('SigningSeed', signingSeed.slice()),
  new Secret('KemSeed', kemSeed.slice()),
)
const secret = drawn('device key file secret')
const handle = utf8('handle')
const keyStore = () => ({ id: 'test-store', handle, secret: parseStoreSecret(secret.slice()) })
const passphrase = 'caf\u00e9 au lait'

const mended = (bytes) => {
  const body = bytes.subarray(0, bytes.length - 32)
  return p.concat(body, p.sha256(p.concat(utf8('blindcopy.key-file.v1'), body)))
}
const flip = (bytes, offset) => mended(bytes.with(offset, bytes[offset] ^ 1))

const locks = [
  ['plain', {}],
  ['passphrase', { passphrase }],
  ['key store', { keyStore: keyStore() }],
  ['both', { passphrase, keyStore: keyStore() }],
]
const cases = []
for (const [name, lock] of locks) {
  const random = `device key file ${name}`
  const bytes = await encodeDeviceKeyFileWith(
    { passes: 1, memoryKib: 8 },
    { deviceKeys, vaultId },
    lock,
    fixedRandom(random),
  )
  const opening = {
    ...(lock.passphrase ? { passphrase } : {}),
    ...(lock.keyStore ? { secret: hex(secret) } : {}),
  }
  cases.push({
    name,
    expect: 'opens',
    random,
    ...opening,
    ...(lock.keyStore ? { id: 'test-store', handle: hex(handle) } : {}),
    vaultId: hex(vaultId),
    signingSeed: hex(signingSeed),
    kemSeed: hex(kemSeed),
    bytes: hex(bytes),
    comment: '',
  })
  const refused = (expect, changed, comment, given = opening) =>
    cases.push({ name, expect, ...given, bytes: hex(changed), comment })
  const damaged = 'key-file-damaged'
  refused(damaged, bytes.subarray(0, bytes.length - 1), 'cut')
  refused(damaged, bytes.with(12, bytes[12] ^ 1), 'changed, the checksum as it was')
  refused(damaged, mended(bytes.with(8, 2)), 'of version 2')
  refused(damaged, mended(bytes.with(9, 4)), 'of a form that is none')
  if (lock.passphrase) {
    refused('passphrase-wrong', bytes, 'another passphrase', { ...opening, passphrase: 'x' })
    refused('passphrase-required', bytes, 'none', { ...opening, passphrase: undefined })
    refused(lock.keyStore ? 'key-store-wrong' : 'passphrase-wrong', flip(bytes, 18), 'salt')
    refused('parameters-refused', mended(bytes.with(13, 99)), 'too many passes')
  }
  if (lock.keyStore) {
    const other = hex(drawn('another secret'))
    refused('key-store-wrong', bytes, 'another secret', { ...opening, secret: other })
    refused('key-store-required', bytes, 'none', { ...opening, secret: undefined })
    const at = Buffer.from(bytes).indexOf('handle')
    refused('key-store-wrong', flip(bytes, at), 'another handle')
    refused(damaged, mended(bytes.with(at - 1, 7)), 'a handle that is not whole')
  }
  if (lock.passphrase || lock.keyStore) refused(damaged, flip(bytes, bytes.length - 40), 'box')
}

writeFileSync(
  new URL('device-key-file.json', import.meta.url),
  `${JSON.stringify(
    {
      description:
        'Key files of a device in all four forms, under Argon2id with 1 pass over 8 KiB (the bounds of these cases are 1 to 4 passes and 8 to 64 KiB).',
      cases,
    },
    null,
    2,
  )}\n`,
)
