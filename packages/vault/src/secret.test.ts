/** Every way by which a key could print itself, tried with a planted value. */
import { inspect } from 'node:util'
import { encodeUtf8, formatBase64Url, formatHex } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { derive } from './derivation.ts'
import { encodeFields } from './record.ts'
import { type EpochKey, Secret } from './secret.ts'
import { foundTestVault } from './vault.fixture.ts'

const CANARY = 'canary-canary-canary-canary-4711'
const bytes = () => encodeUtf8(CANARY)
const spellings = [
  CANARY,
  formatHex(bytes()),
  formatBase64Url(bytes()),
  [...bytes().subarray(0, 6)].join(', '),
  [...bytes().subarray(0, 6)].join(','),
]

function expectNoCanary(text: string) {
  for (const spelling of spellings) expect(text).not.toContain(spelling)
}

describe('Secret', () => {
  const secret = new Secret('EpochKey', bytes())

  it('does not print in templates, JSON, inspection, errors or nested in other things', () => {
    const nested = { deep: [{ secret }, new Map([['secret', secret]])] }
    const options = { showHidden: true, depth: 10, getters: false } as const
    expectNoCanary(`${secret} ${String(secret)} ${[secret].join()}`)
    expectNoCanary(JSON.stringify({ secret, nested }))
    expectNoCanary(inspect(secret, options) + inspect(nested, options))
    const error = new Error(`with ${secret}`, { cause: nested })
    expectNoCanary(`${error.stack} ${inspect(error, options)}`)
    expectNoCanary(Object.entries(secret).join() + Object.keys(secret).join())
    expect(String(secret)).toBe('[secret EpochKey]')
    expect(inspect(secret)).toBe('[secret EpochKey]')
  })

  it('is not carried out by a structured clone', () => {
    expectNoCanary(inspect(structuredClone(secret), { depth: 10 }))
  })

  it('is not used after it was wiped, and is zeros', () => {
    const own = bytes()
    const wiped = new Secret('EpochKey', own)
    wiped.wipe()
    expect(own.every((byte) => byte === 0)).toBe(true)
    expect(() => wiped.bytes).toThrow('wiped')
    expect(() => derive('epochSealing', wiped)).toThrow('wiped')
  })

  it('is of one kind: another kind of the same size is refused by the compiler', () => {
    const epochKey: EpochKey = secret
    // @ts-expect-error An epoch key is not an id key, though both have 32 bytes.
    derive('idCommitment', epochKey)
    // @ts-expect-error A root secret is derived from, and seals nothing.
    derive('epochSealing', new Secret('RootSecret', bytes()))
  })
})

describe('what holds secrets', () => {
  it('does not print them either: root, device keys, keyring, encoded fields', () => {
    const { root, device, keyring } = foundTestVault()
    const seeds = [root.signingSeed, root.kemSeed, device.signingSeed, device.kemSeed]
    const keys = [keyring.newestKeys().epochKey, keyring.newestKeys().idKey]
    const options = { showHidden: true, depth: 10 } as const
    const printed = inspect({ root, device, keyring }, options) + JSON.stringify([root, device])
    for (const secret of [...seeds, ...keys]) {
      expect(printed).not.toContain(formatHex(secret.bytes))
      expect(printed).not.toContain([...secret.bytes.subarray(0, 6)].join(', '))
    }
    const fields = encodeFields({ note: CANARY })
    expectNoCanary(inspect(fields, options) + JSON.stringify(fields))
  })
})
