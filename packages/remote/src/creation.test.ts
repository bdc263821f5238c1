/** Creating a vault, and offering a keychain to a remote that has one already. */
import { CreateAnswer, KeychainAnswer } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import {
  Chain,
  Device,
  dump,
  makeChain,
  makeSigner,
  must,
  openBench,
  openVault,
  random,
} from './remote.fixture.ts'

const codeOf = async (answer: ReturnType<Device['create']>) => (await answer).problem?.code

describe('POST /v1/vaults, of a new vault', () => {
  it('stores the whole keychain under seq 1', async () => {
    const bench = openBench()
    const { chain, device: signer } = makeChain()
    const device = new Device(bench, chain, signer)
    const answer = must(CreateAnswer, await device.create())
    expect(answer.head[0]).toBe(1)
    expect(answer.entries).toEqual([])
    await device.join()
    expect(device.syncId).toEqual(answer.syncId)
    const { entries } = must(KeychainAnswer, await device.get('/v1/keychain'))
    expect(entries).toEqual(chain.entries)
  })

  it('may be signed by the root', async () => {
    const bench = openBench()
    const chain = new Chain()
    expect((await new Device(bench, chain, chain.root).create()).status).toBe(200)
  })

  it('refuses what does not fit, and stores nothing', async () => {
    const bench = openBench()
    const { chain, device: signer } = makeChain()
    const device = new Device(bench, chain, signer)
    const [genesis, ...rest] = chain.entries
    expect(await codeOf(device.create({ entries: [] }))).toBe('keychain-invalid')
    expect(await codeOf(device.create({ entries: rest }))).toBe('keychain-invalid')
    expect(await codeOf(device.create({ entries: [genesis] }))).toBe('not-a-member')
    expect(await codeOf(device.create({ entries: [genesis, random(90)] }))).toBe('keychain-invalid')
    expect(await codeOf(device.create({ vaultId: makeChain().chain.vaultId }))).toBe(
      'challenge-failed',
    )
    expect(await codeOf(device.create({ signature: random(64) }))).toBe('challenge-failed')
    expect(await codeOf(device.create({ keychainHead: random(32) }))).toBe('challenge-failed')
    expect(await codeOf(device.create({ nonce: random(32) }))).toBe('challenge-failed')
    expect(await codeOf(device.create({ origin: 'https://else.example' }))).toBe('origin-refused')
    expect(await codeOf(device.create({ greatestMs: 2 ** 48 }))).toBe('malformed')
    expect(await codeOf(new Device(bench, chain, makeSigner()).create())).toBe('not-a-member')
    expect(await dump(bench.store)).toEqual([])
    expect(bench.faults).toEqual([])
  })

  it('refuses a chain of another vault', async () => {
    const bench = openBench()
    const { chain } = makeChain()
    const other = makeChain()
    const mixed = new Device(bench, chain, other.device)
    expect(await codeOf(mixed.create({ entries: other.chain.entries }))).toBe('keychain-invalid')
  })

  it('wants the token of a remote that has one', async () => {
    const bench = openBench({ registration: { mode: 'token', token: 'let me in' } })
    const { chain, device: signer } = makeChain()
    const device = new Device(bench, chain, signer)
    expect(await codeOf(device.create())).toBe('registration-required')
    expect(await codeOf(device.create({ registrationToken: 'let me' }))).toBe(
      'registration-required',
    )
    expect(await dump(bench.store)).toEqual([])
    expect(await codeOf(device.create({ registrationToken: 'let me in' }))).toBeUndefined()
    // The vault is here now, and needs no token.
    expect(await codeOf(device.create())).toBeUndefined()
  })

  it('is refused when registration is closed, by an empty token too', async () => {
    const { chain, device: signer } = makeChain()
    const closed = openBench({ registration: { mode: 'closed' } })
    expect(await codeOf(new Device(closed, chain, signer).create())).toBe('registration-closed')
    const empty = openBench({ registration: { mode: 'token', token: '' } })
    expect(await codeOf(new Device(empty, chain, signer).create())).toBe('registration-required')
  })
})

describe('POST /v1/vaults, of a vault that is here', () => {
  it('answers the entries it holds beyond what is offered', async () => {
    const { bench, chain, device } = await openVault()
    const shorter = chain.fork()
    chain.addDevice(device.signer)
    must(CreateAnswer, await device.create())
    const late = new Device(bench, shorter, device.signer)
    const answer = must(CreateAnswer, await late.create())
    expect(answer.entries).toEqual(chain.entries.slice(3))
    expect(answer.head[0]).toBe(2)
    expect(must(CreateAnswer, await device.create()).entries).toEqual([])
  })

  it('appends what an extension adds, also after a restart', async () => {
    const { bench, chain, device } = await openVault()
    const added = new Device(bench, chain, chain.addDevice(device.signer))
    bench.restart()
    expect(must(CreateAnswer, await device.create()).head[0]).toBe(2)
    bench.restart()
    await added.join()
    expect(added.cursor.seq).toBe(2)
    const { entries } = must(KeychainAnswer, await added.get('/v1/keychain?from=3'))
    expect(entries).toEqual(chain.entries.slice(3))
  })

  it('refuses a fork, and a broken chain as what it is', async () => {
    const { bench, chain, device } = await openVault()
    const fork = chain.fork()
    chain.addDevice(device.signer)
    must(CreateAnswer, await device.create())
    fork.addDevice(device.signer)
    const before = await dump(bench.store)
    const forked = new Device(bench, fork, device.signer)
    expect(await codeOf(forked.create())).toBe('keychain-forked')
    const broken = [...fork.entries.slice(0, 3), random(100)]
    expect(await codeOf(forked.create({ entries: broken }))).toBe('keychain-invalid')
    const rootFork = new Chain(chain.root)
    expect(await codeOf(new Device(bench, rootFork, chain.root).create())).toBe('keychain-forked')
    expect(await dump(bench.store)).toEqual(before)
  })

  it('of a long chain lets others have their turn, when it is new and when it is offered', async () => {
    const turns = { count: 0 }
    const nextTurn = async (): Promise<void> => {
      turns.count++
      await new Promise((resolve) => setImmediate(resolve))
    }
    const bench = openBench({ nextTurn })
    const { chain, device: signer } = makeChain()
    const device = new Device(bench, chain, signer)
    const short = chain.fork()
    while (chain.entries.length < 200) chain.addEpoch(signer)
    must(CreateAnswer, await device.create())
    expect(turns.count).toBeGreaterThan(5)
    while (chain.entries.length < 300) chain.addEpoch(signer)
    turns.count = 0
    // Longer than what is stored, and a fork of it that is refused.
    must(CreateAnswer, await device.create())
    expect(turns.count).toBeGreaterThan(3)
    while (short.entries.length < 100) short.addEpoch(signer)
    turns.count = 0
    expect(await codeOf(new Device(bench, short, signer).create())).toBe('keychain-forked')
    expect(turns.count).toBeGreaterThan(3)
  })

  it('keeps the greatest milliseconds that a member states', async () => {
    const { bench, device } = await openVault()
    const far = bench.clock.ms + 3_600_000
    must(CreateAnswer, await device.create({ greatestMs: far }))
    must(CreateAnswer, await device.create({ greatestMs: 0 }))
    bench.restart()
    await device.join()
    const { makeEnvelope, record } = await import('./remote.fixture.ts')
    const [id, later] = [device.stamp(far), device.stamp(far + 1)]
    const op = (timestamp: typeof id) => [makeEnvelope({ recordId: record(1), timestamp })]
    const verdicts = await device.push([id, [op(id)]], [later, [op(later)]])
    expect(verdicts).toMatchObject([{ type: 'applied' }, { type: 'refused', code: 'clock-drift' }])
  })
})
