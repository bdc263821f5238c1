/** Appending to a keychain: races, repeats, and the allowance of a day. */
import {
  HASH_NONE,
  KEYCHAIN_APPENDS_A_DAY_MAX,
  KeychainAnswer,
  KeychainAppendAnswer,
  keychainEntryHash,
  parseKeychainEntry,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { type Chain, type Device, dump, must, openVault, random } from './remote.fixture.ts'

const append = (device: Device, previous: Uint8Array, entries: readonly Uint8Array[]) =>
  device.post('/v1/keychain', { previous, entries })

/** Appends an epoch to the chain: the entry, and the head before it. */
function nextEpoch(chain: Chain, device: Device) {
  const previous = chain.head
  chain.addEpoch(device.signer)
  return { previous, entries: chain.entries.slice(-1) }
}

describe('POST /v1/keychain', () => {
  it('appends, and the chain follows', async () => {
    const { chain, device } = await openVault()
    const { previous, entries } = nextEpoch(chain, device)
    const answer = must(KeychainAppendAnswer, await append(device, previous, entries))
    expect(answer.seq).toBe(2)
    const frames = await device.pull()
    expect(frames[0]).toEqual([1, 2, answer.chain, entries])
    expect(frames[1]?.slice(0, 3)).toEqual([2, 2, answer.chain])
    expect(must(KeychainAnswer, await device.get('/v1/keychain?from=3')).entries).toEqual(entries)
  })

  it('answers a repeat as it was answered first, whatever came after', async () => {
    const { bench, chain, device } = await openVault()
    const first = nextEpoch(chain, device)
    const answer = must(KeychainAppendAnswer, await append(device, first.previous, first.entries))
    const second = nextEpoch(chain, device)
    must(KeychainAppendAnswer, await append(device, second.previous, second.entries))
    bench.restart()
    await device.join()
    const before = await dump(bench.store)
    const again = await append(device, first.previous, first.entries)
    expect(must(KeychainAppendAnswer, again)).toEqual(answer)
    expect(await dump(bench.store)).toEqual(before)
  })

  it('refuses who comes second, and what does not verify', async () => {
    const { bench, chain, device } = await openVault()
    const fork = chain.fork()
    const mine = nextEpoch(chain, device)
    must(KeychainAppendAnswer, await append(device, mine.previous, mine.entries))
    const theirs = nextEpoch(fork, device)
    const before = await dump(bench.store)
    const code = async (...request: Parameters<typeof append>) =>
      (await append(...request)).problem?.code
    expect(await code(device, theirs.previous, theirs.entries)).toBe('keychain-race')
    expect(await code(device, HASH_NONE, mine.entries)).toBe('keychain-race')
    expect(await code(device, random(32), mine.entries)).toBe('keychain-race')
    expect(await code(device, chain.head, mine.entries)).toBe('keychain-invalid')
    expect(await code(device, chain.head, [random(50)])).toBe('keychain-invalid')
    expect(await code(device, chain.head, [])).toBe('malformed')
    expect(await dump(bench.store)).toEqual(before)
  })

  it('lets one of two that race win', async () => {
    const { chain, device } = await openVault()
    const fork = chain.fork()
    const [mine, theirs] = [nextEpoch(chain, device), nextEpoch(fork, device)]
    const answers = await Promise.all(
      [mine, theirs].map(({ previous, entries }) => append(device, previous, entries)),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
  })

  it('counts what a member appends in a day, but not what the root signs', async () => {
    const { bench, chain, device } = await openVault()
    const previous = chain.head
    for (let i = 0; i < KEYCHAIN_APPENDS_A_DAY_MAX; i++) chain.addEpoch(device.signer)
    const many = chain.entries.slice(3)
    must(KeychainAppendAnswer, await append(device, previous, many))
    const root = { ...nextEpoch(chain, Object.assign({}, device, { signer: chain.root })) }
    must(KeychainAppendAnswer, await append(device, root.previous, root.entries))
    const over = nextEpoch(chain, device)
    bench.restart()
    await device.join()
    const refused = await append(device, over.previous, over.entries)
    expect(refused.problem?.code).toBe('too-many-requests')
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0)
    bench.clock.ms += 24 * 60 * 60_000
    await device.join()
    expect((await append(device, over.previous, over.entries)).status).toBe(200)
    const entry = parseKeychainEntry(over.entries[0] as Uint8Array)
    expect(keychainEntryHash(entry.body, entry.signature)).toEqual(chain.head)
  })
})
