/**
 * A device is taken out: one append with a new epoch, its connections closed, its token worth
 * nothing. All others go on without a hitch, and nothing leaves any of them under the old key once
 * it knows the new one.
 *
 * Threats: 4. Lessons: A17, B1, B2.
 */
import { codeOf } from '@blindcopy/client'
import {
  encodeMessage,
  envelopeEpoch,
  PushAnswer,
  parseKeychainEntry,
  parseMessage,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { cbor, rewriteRoute } from '../hostile/adversary.ts'
import { refusal, turn, unreachable, until } from '../simulation/world.ts'
import {
  envelopesOf,
  expectSame,
  type Held,
  idOf,
  makeFleet,
  put,
  storedChain,
  syncAll,
  textOf,
  watchEpochs,
} from './keys.ts'

const refusedWith = async (promise: Promise<unknown>): Promise<string | undefined> =>
  codeOf(await refusal(promise))

describe('a revocation', () => {
  it('is one append of a revocation and an epoch', async () => {
    const { world, held } = await makeFleet(7001, 3)
    const [first, second, third] = held as [Held, Held, Held]
    let appends = 0
    const { fetch } = first.device.network
    first.device.network.fetch = (request, carry) => {
      if (request.method === 'POST' && request.url.endsWith('/v1/keychain')) appends++
      return fetch(request, carry)
    }
    const gone = await first.vault.keys.revoke([idOf(third)])
    expect(gone.map(({ deviceId }) => deviceId)).toEqual([idOf(third)])
    expect(appends).toBe(1)
    const types = (await storedChain(first)).map((entry) => parseKeychainEntry(entry).payload.type)
    expect(types.slice(-2)).toEqual(['member-revoke', 'epoch'])
    expect(first.vault.keys.status()).toMatchObject({ epoch: 2, trouble: null })
    expect(first.vault.keys.status().revoked.map(({ name }) => name)).toEqual(['d2'])
    expect(await refusedWith(third.vault.sync.once())).toBe('sync-stopped')
    expect(third.vault.sync.status.problem?.code).toBe('not-a-member')
    await put(second.vault, 'a', 'after')
    await expectSame([first, second])
    expect(await textOf(first.vault, 'a')).toBe('after')
    expect(world.faults).toEqual([])
  })

  it('closes the live connection of the revoked at once; the others stay live', async () => {
    const { world, held } = await makeFleet(7002, 3)
    const [first, second, third] = held as [Held, Held, Held]
    for (const { vault } of held) vault.sync.start()
    for (const { device, vault } of held)
      await until(device, vault, ({ phase }) => phase === 'live')
    const phases: string[] = []
    const ended = new AbortController()
    const watching = (async () => {
      for await (const { phase } of second.vault.sync.watch(ended.signal)) phases.push(phase)
    })()
    await first.vault.keys.revoke([idOf(third)])
    await until(third.device, third.vault, ({ phase }) => phase === 'stopped')
    expect(third.vault.sync.status.problem?.code).toBe('not-a-member')
    await put(first.vault, 'a', 'of the first')
    await put(second.vault, 'b', 'of the second')
    const isHere = async ({ vault }: Held): Promise<boolean> =>
      (await textOf(vault, 'a')) === 'of the first' &&
      (await textOf(vault, 'b')) === 'of the second'
    for (let turns = 0; turns < 2_000; turns++) {
      if ((await isHere(first)) && (await isHere(second))) break
      await turn()
    }
    expect([await isHere(first), await isHere(second)]).toEqual([true, true])
    expect(second.vault.keys.status().epoch).toBe(2)
    expect(phases).not.toContain('backing-off')
    expect(phases).not.toContain('stopped')
    expect(await textOf(third.vault, 'a')).toBeUndefined()
    ended.abort()
    await watching
    for (const { vault } of held) await vault.sync.stop()
    await expectSame([first, second])
    expect(world.faults).toEqual([])
  })

  it('beats a login and a token that race it', async () => {
    const { held } = await makeFleet(7003, 2)
    const [first, second] = held as [Held, Held]
    // Logged in before, asked for more after.
    rewriteRoute(second.device, '/v1/changes', async (request, carry) => {
      await first.vault.keys.revoke([idOf(second)])
      return carry(request)
    })
    expect(await refusedWith(second.vault.sync.once())).toBe('sync-stopped')
    expect(second.vault.sync.status.problem?.code).toBe('not-a-member')
    // Challenged before, signed after.
    const { held: others } = await makeFleet(7004, 2)
    const [third, opened] = others as [Held, Held]
    await opened.vault.close()
    const fourth = { ...opened, vault: await opened.device.open() }
    await put(fourth.vault, 'late', 'too late')
    rewriteRoute(fourth.device, '/v1/session', async (request, carry) => {
      await third.vault.keys.revoke([idOf(fourth)])
      return carry(request)
    })
    expect(await refusedWith(fourth.vault.sync.once())).toBe('sync-stopped')
    expect(fourth.vault.sync.status).toMatchObject({
      pending: 1,
      problem: { code: 'not-a-member' },
    })
    await expectSame([third])
    expect(await textOf(third.vault, 'late')).toBeUndefined()
  })

  it('lets devices that were offline go on: what waited is sealed again before it is sent', async () => {
    const { world, held } = await makeFleet(7005, 4)
    const [first, second, third, fourth] = held as [Held, Held, Held, Held]
    await put(second.vault, 'offline', 'written before')
    await put(third.vault, 'offline too', 'written before')
    const watched = [second, third].map((one) => watchEpochs(one))
    await first.vault.keys.revoke([idOf(fourth)])
    await first.vault.sync.once()
    await expectSame([first, second, third])
    for (const { pushed, old } of watched) {
      expect(pushed.length).toBeGreaterThan(0)
      expect(old).toEqual([])
    }
    expect(await textOf(first.vault, 'offline')).toBe('written before')
    expect(await textOf(second.vault, 'offline too')).toBe('written before')
    expect(world.faults).toEqual([])
  })
})

it('what is pushed under an old epoch is refused, and sent again under the new one', async () => {
  const { world, held } = await makeFleet(7006, 3)
  const [first, second, third] = held as [Held, Held, Held]
  await put(second.vault, 'offline', 'before')
  // It is in the middle of an exchange, and does not know yet.
  const verdicts: unknown[] = []
  const sent: number[] = []
  let isRevoked = false
  rewriteRoute(second.device, '/v1/push', async (request, carry) => {
    for (const envelope of await envelopesOf(request.clone() as Request)) {
      sent.push(envelopeEpoch(envelope))
    }
    if (!isRevoked) {
      isRevoked = true
      await first.vault.keys.revoke([idOf(third)])
    }
    const response = await carry(request)
    const body = new Uint8Array(await response.clone().arrayBuffer())
    for (const verdict of parseMessage(PushAnswer, body).verdicts) {
      verdicts.push(verdict.type === 'refused' ? verdict.code : verdict.type)
    }
    return response
  })
  await second.vault.sync.once()
  expect(sent).toEqual([1, 2])
  expect(verdicts).toEqual(['epoch-old', 'applied'])
  expect(second.vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
  await expectSame([first, second])
  expect(await textOf(first.vault, 'offline')).toBe('before')
  expect(await second.vault.conflicts.list()).toEqual([])
  expect(world.faults).toEqual([])
})

describe('nothing leaves under an epoch that is known to be over', () => {
  it('not when it was sent once and did not arrive', async () => {
    const { held } = await makeFleet(7010, 3)
    const [first, second, third] = held as [Held, Held, Held]
    await put(first.vault, 'sent', 'before')
    const { fetch } = first.device.network
    rewriteRoute(first.device, '/v1/push', async () => unreachable())
    expect(await refusedWith(first.vault.sync.once())).toBe('network')
    first.device.network.fetch = fetch
    await first.vault.keys.revoke([idOf(third)])
    const { pushed, old } = watchEpochs(first)
    await expectSame([first, second])
    expect(pushed.length).toBeGreaterThan(0)
    expect(old).toEqual([])
    expect(await textOf(second.vault, 'sent')).toBe('before')
  })

  it('not when it was sent once, arrived, and the answer was lost', async () => {
    const { held } = await makeFleet(7011, 3)
    const [first, second, third] = held as [Held, Held, Held]
    await put(first.vault, 'sent', 'before')
    const { fetch } = first.device.network
    rewriteRoute(first.device, '/v1/push', async (request, carry) => {
      await carry(request)
      return unreachable()
    })
    expect(await refusedWith(first.vault.sync.once())).toBe('network')
    first.device.network.fetch = fetch
    await first.vault.keys.revoke([idOf(third)])
    const { old } = watchEpochs(first)
    await expectSame([first, second])
    expect(old).toEqual([])
    expect(await textOf(second.vault, 'sent')).toBe('before')
    expect(await second.vault.quarantined()).toEqual([])
  })

  it('not in the middle of a long push', async () => {
    const { held } = await makeFleet(7012, 3)
    const [first, second, third] = held as [Held, Held, Held]
    const text = 'x'.repeat(400_000)
    for (let i = 0; i < 12; i++) await put(first.vault, `large ${i}`, `${i}${text}`)
    const { pushed, old } = watchEpochs(first)
    let requests = 0
    const { fetch } = first.device.network
    first.device.network.fetch = async (request, carry) => {
      const isPush = new URL(request.url).pathname === '/v1/push'
      if (isPush && ++requests === 2) await first.vault.keys.revoke([idOf(third)])
      return fetch(request, carry)
    }
    await first.vault.sync.once()
    // The request that was under way when it happened.
    expect(old.length).toBeLessThanOrEqual(4)
    expect(pushed.filter((epoch) => epoch === 2).length).toBeGreaterThanOrEqual(8)
    first.device.network.fetch = fetch
    await expectSame([first, second])
    expect(await textOf(second.vault, 'large 11')).toBe(`11${text}`)
  })

  it('not from what was refused once and is retried', async () => {
    const { held } = await makeFleet(7013, 3)
    const [first, second, third] = held as [Held, Held, Held]
    await put(first.vault, 'refused', 'before')
    const { fetch } = first.device.network
    rewriteRoute(first.device, '/v1/push', async (request) => {
      const refused = {
        type: 'refused',
        code: 'quota-exceeded',
        message: 'full',
        details: {},
      } as const
      const count = (await envelopesOf(request)).length
      return cbor(encodeMessage(PushAnswer, { verdicts: Array(count).fill(refused) }))
    })
    await first.vault.sync.once()
    expect(first.vault.sync.status.attention).toBe(1)
    first.device.network.fetch = fetch
    await first.vault.keys.revoke([idOf(third)])
    await put(first.vault, 'another', 'after')
    await first.vault.sync.once()
    const { pushed, old } = watchEpochs(first)
    expect(await first.vault.sync.retry()).toBe(1)
    await expectSame([first, second])
    expect(pushed.length).toBeGreaterThan(0)
    expect(old).toEqual([])
    expect(await textOf(second.vault, 'refused')).toBe('before')
  })

  it('not after a restart', async () => {
    const { held } = await makeFleet(7014, 3)
    const [first, second, third] = held as [Held, Held, Held]
    await put(second.vault, 'offline', 'before')
    await first.vault.keys.revoke([idOf(third)])
    rewriteRoute(second.device, '/v1/push', async () => unreachable())
    expect(await refusedWith(second.vault.sync.once())).toBe('network')
    await second.vault.close()
    second.device.network.fetch = (request, carry) => carry(request)
    const again = { ...second, vault: await second.device.open() }
    const { pushed, old } = watchEpochs(again)
    await expectSame([first, again])
    expect(pushed.length).toBeGreaterThan(0)
    expect(old).toEqual([])
    expect(await textOf(first.vault, 'offline')).toBe('before')
  })
})

it('also a remote that lags is offered nothing under the old key', async () => {
  const { held } = await makeFleet(7020, 3)
  const [first, second, third] = held as [Held, Held, Held]
  await put(second.vault, 'offline', 'before')
  await first.vault.keys.revoke([idOf(third)])
  await first.vault.sync.once()
  // It has the entries from the other device by a bundle, and the remote knows nothing of it.
  const bundle: Uint8Array[] = []
  for await (const chunk of first.vault.exportBundle()) bundle.push(chunk)
  const source = async function* () {
    yield* bundle
  }
  await second.vault.importBundle(source)
  expect(second.vault.keys.status().epoch).toBe(2)
  const seen: number[] = []
  rewriteRoute(second.device, '/v1/push', async (request, carry) => {
    for (const envelope of await envelopesOf(request.clone() as Request)) {
      seen.push(envelopeEpoch(envelope))
    }
    return carry(request)
  })
  await second.vault.sync.once({ direction: 'push' })
  expect(seen).toEqual([2])
  await syncAll([first, second])
  await expectSame([first, second])
})

it('is refused for what is no list of ids, and for nobody of the vault', async () => {
  const { held } = await makeFleet(7021, 2)
  const [first, second] = held as [Held, Held]
  for (const ids of [idOf(second), undefined, null, {}]) {
    expect(await refusedWith(first.vault.keys.revoke(ids as never))).toBe('invalid-argument')
  }
  expect(await refusedWith(first.vault.keys.revoke([7 as never]))).toBe('not-found')
  await expectSame(held)
})
