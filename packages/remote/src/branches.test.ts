/**
 * Chains that differ from the stored one: offered by who is behind, ahead or revoked, and put in
 * its place by the root; what is told, what is kept, and that a restart leads to the same chain.
 */
import {
  ChangesFrame,
  CreateAnswer,
  chainNext,
  chainStart,
  KeychainAnswer,
  KeychainAppendAnswer,
  keychainDigest,
  parseKeychainEntry,
  replayKeychain,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { joinSocket } from './live.fixture.ts'
import { verifySignature } from './node.ts'
import {
  type Answer,
  type Chain,
  Device,
  dump,
  must,
  openBench,
  openTwo,
} from './remote.fixture.ts'

const codeOf = async (answer: Answer | Promise<Answer>) => (await answer).problem?.code

/** What every refusal has. */
const REFUSAL_FIELDS = ['code', 'detail', 'status', 'title', 'type']

const readChain = async (device: Device) =>
  must(KeychainAnswer, await device.get('/v1/keychain')).entries

/**
 * Two devices; the second adds an intruder (stored), and the root puts a branch in its place that
 * takes the second out. The branch is not sent yet.
 */
async function openBranches() {
  const opened = await openTwo()
  const { bench, chain: taken, device, other } = opened
  const common = taken.fork()
  const intruder = new Device(bench, taken, taken.addDevice(other.signer))
  taken.addEpoch(other.signer)
  must(KeychainAppendAnswer, await other.append(common.beyond(taken)))
  await intruder.join()
  const branch = common.fork()
  branch.replace(taken)
  branch.revoke(branch.root, [other.signer])
  const entries = common.beyond(branch)
  const holder = new Device(bench, branch, device.signer)
  return { ...opened, common, taken, branch, intruder, entries, holder }
}

describe('an offered chain', () => {
  it('of a member that is behind is answered with what it lacks', async () => {
    const { bench, chain, device, other } = await openTwo()
    const shorter = chain.fork()
    const entries = chain.revoke(device.signer, [chain.addDevice(device.signer)])
    must(KeychainAppendAnswer, await device.append(shorter.beyond(chain)))
    const stored = await dump(bench.store)
    const answer = must(CreateAnswer, await new Device(bench, shorter, other.signer).create())
    expect(answer.entries).toEqual(shorter.beyond(chain))
    expect(answer.entries.slice(-2)).toEqual(entries)
    expect(answer.head[0]).toBe(3)
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('of a revoked member is refused, and tells it nothing', async () => {
    const { bench, chain, device, other } = await openTwo()
    const shorter = chain.fork()
    must(KeychainAppendAnswer, await device.append(chain.revoke(device.signer, [other.signer])))
    const stored = await dump(bench.store)
    for (const known of [shorter, chain]) {
      const late = new Device(bench, known, other.signer)
      const { status, problem } = await late.create({ greatestMs: bench.clock.ms + 1 })
      expect([status, problem?.code]).toEqual([403, 'not-a-member'])
      // Neither a length nor a head.
      expect(Object.keys(problem ?? {}).sort()).toEqual(REFUSAL_FIELDS)
    }
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('that is longer brings a revocation back to a remote made anew by the revoked', async () => {
    const { chain, device, other } = await openTwo()
    const stale = chain.fork()
    chain.revoke(device.signer, [other.signer])
    const bench = openBench()
    const late = new Device(bench, stale, other.signer)
    must(CreateAnswer, await late.create())
    await late.join()
    const socket = await joinSocket(late)
    const mine = new Device(bench, chain, device.signer)
    const answer = must(CreateAnswer, await mine.create())
    expect([answer.entries, answer.head[0]]).toEqual([[], 2])
    expect(socket.frames.at(-1)?.slice(0, 2)).toEqual([5, 'not-a-member'])
    expect(await codeOf(late.get('/v1/keychain'))).toBe('not-a-member')
    expect(await codeOf(late.create())).toBe('not-a-member')
    bench.restart()
    expect(await codeOf(late.logIn())).toBe('not-a-member')
    expect(await readChain(await mine.join())).toEqual(chain.entries)
  })

  it('that forks is refused with both lengths, and nothing is stored', async () => {
    const { bench, chain, device, other } = await openTwo()
    const fork = chain.fork()
    chain.addEpoch(device.signer)
    chain.addEpoch(device.signer)
    must(KeychainAppendAnswer, await device.append(fork.beyond(chain)))
    fork.addDevice(other.signer)
    const stored = await dump(bench.store)
    const { status, problem } = await new Device(bench, fork, other.signer).create()
    expect([status, problem?.code]).toEqual([409, 'keychain-forked'])
    expect(problem).toMatchObject({ length: 6, common: 4 })
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('that revokes whom the stored one has revoked by is a fork for both', async () => {
    const { bench, chain, device, other } = await openTwo()
    const fork = chain.fork()
    must(KeychainAppendAnswer, await device.append(chain.revoke(device.signer, [other.signer])))
    fork.revoke(other.signer, [device.signer])
    const stored = await dump(bench.store)
    const rebel = new Device(bench, fork, other.signer)
    expect(await codeOf(rebel.create())).toBe('keychain-forked')
    expect(await dump(bench.store)).toEqual(stored)
  })
})

describe("the root's branch", () => {
  const doors: [string, (branch: Chain, device: Device) => Promise<Answer>][] = [
    [
      'offered by the root',
      ({ root }, { bench, chain }) => new Device(bench, chain, root).create(),
    ],
    ['offered by a device of it', (_, device) => device.create()],
  ]
  for (const [door, offer] of doors) {
    it(`takes the place of what it names, ${door}`, async () => {
      const { branch, holder, other, intruder } = await openBranches()
      const sockets = [await joinSocket(other), await joinSocket(intruder)]
      const answer = must(CreateAnswer, await offer(branch, holder))
      expect([answer.entries, answer.head[0]]).toEqual([[], 4])
      await holder.join()
      expect(await readChain(holder)).toEqual(branch.entries)
      for (const { closed } of sockets) expect(closed?.reason).toBe('not-a-member')
      for (const out of [other, intruder]) {
        expect(await codeOf(out.get('/v1/keychain'))).toBe('not-a-member')
        expect(await codeOf(out.logIn())).toBe('not-a-member')
        expect(await codeOf(out.create())).toBe('not-a-member')
      }
    })
  }

  it('may be appended by who is logged in, and a repeat is answered the same', async () => {
    const { bench, branch, entries, device } = await openBranches()
    const root = await new Device(bench, branch, branch.root).join()
    const socket = await joinSocket(device)
    socket.take()
    const answer = must(KeychainAppendAnswer, await root.append(entries))
    expect(answer.seq).toBe(4)
    expect(socket.take()).toEqual([[1, 4, answer.chain, entries]])
    const stored = await dump(bench.store)
    expect(must(KeychainAppendAnswer, await root.append(entries))).toEqual(answer)
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('is refused unless the root signs all of it, names the head, and ends it', async () => {
    const { bench, common, taken, branch, device, entries } = await openBranches()
    const root = await new Device(bench, branch, branch.root).join()
    const stored = await dump(bench.store)
    const codesOf = async (chain: Chain) => {
      const offered = common.beyond(chain)
      const appended = await codeOf(root.append(offered))
      return [appended, await codeOf(new Device(bench, chain, branch.root).create())]
    }
    const partly = common.fork()
    partly.replace(taken, taken.entries.slice(4, 5))
    partly.addEpoch(partly.root)
    expect(await codesOf(partly)).toEqual(['keychain-race', 'keychain-forked'])
    const nothing = common.fork()
    nothing.append(nothing.root, { type: 'replace', replaced: [], greatestEpoch: taken.epoch })
    nothing.addEpoch(nothing.root)
    expect((await codesOf(nothing))[0]).toBe('keychain-race')
    const unended = common.fork()
    unended.replace(taken)
    expect(await codesOf(unended)).toEqual(['keychain-invalid', 'keychain-invalid'])
    const ended = common.fork()
    ended.replace(taken)
    ended.addEpoch(device.signer)
    expect(await codesOf(ended)).toEqual(['keychain-invalid', 'keychain-invalid'])
    const usurped = common.fork()
    const named = common.beyond(taken).map((entry) => parseKeychainEntry(entry).hash)
    const { epoch: greatestEpoch } = taken
    usurped.append(device.signer, { type: 'replace', replaced: named, greatestEpoch })
    usurped.greatestEpoch = greatestEpoch
    usurped.addEpoch(device.signer)
    expect(await codesOf(usurped)).toEqual(['keychain-invalid', 'keychain-invalid'])
    const again = common.fork()
    again.replace(taken)
    again.greatestEpoch = common.epoch
    again.addEpoch(again.root)
    expect(await codesOf(again)).toEqual(['keychain-invalid', 'keychain-invalid'])
    expect(await dump(bench.store)).toEqual(stored)
    expect((await root.append(entries)).status).toBe(200)
    expect(bench.faults).toEqual([])
  })

  it('answers a device on a branch it replaced with the entries it lacks', async () => {
    const { bench, common, taken, branch, device, entries, holder } = await openBranches()
    must(CreateAnswer, await holder.create())
    for (const length of [taken.entries.length, taken.entries.length - 1]) {
      const behind = taken.fork()
      behind.entries.splice(length)
      behind.head = parseKeychainEntry(behind.entries.at(-1) as Uint8Array).hash
      const late = new Device(bench, behind, device.signer)
      expect(must(CreateAnswer, await late.create()).entries).toEqual(entries)
    }
    const stale = new Device(bench, common, device.signer)
    expect(must(CreateAnswer, await stale.create()).entries).toEqual(entries)
    expect(must(CreateAnswer, await holder.create()).entries).toEqual([])
    const ahead = taken.fork()
    ahead.addEpoch(device.signer)
    const stored = await dump(bench.store)
    const lost = new Device(bench, ahead, device.signer)
    expect((await lost.create()).problem).toMatchObject({ code: 'keychain-forked' })
    expect(await codeOf((await lost.join()).append(taken.beyond(ahead)))).toBe('keychain-race')
    expect(await dump(bench.store)).toEqual(stored)
    expect(await readChain(await holder.join())).toEqual(branch.entries)
  })

  it('leaves a repeat of what it replaced without success', async () => {
    const { bench, common, taken, device, holder } = await openBranches()
    const mine = taken.fork()
    mine.addEpoch(device.signer)
    must(KeychainAppendAnswer, await device.append(taken.beyond(mine)))
    const branch = common.fork()
    branch.replace(mine)
    branch.addEpoch(branch.root)
    must(CreateAnswer, await new Device(bench, branch, branch.root).create())
    const stored = await dump(bench.store)
    expect(await codeOf(device.append(taken.beyond(mine)))).toBe('keychain-race')
    expect(await codeOf(holder.create())).toBe('keychain-forked')
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('comes out the same from the disk, and goes on from there', async () => {
    const { bench, branch, holder, device, intruder } = await openBranches()
    must(CreateAnswer, await holder.create())
    bench.restart()
    await holder.join()
    expect(await readChain(holder)).toEqual(branch.entries)
    expect(await codeOf(intruder.logIn())).toBe('not-a-member')
    branch.addDevice(device.signer)
    must(KeychainAppendAnswer, await holder.append(branch.entries.slice(-1)))
    bench.restart()
    await holder.join()
    expect(await readChain(holder)).toEqual(branch.entries)
    expect(holder.cursor.seq).toBe(5)
  })

  it('shows in the log from seq 0, with what it replaced: a bootstrap recomputes it', async () => {
    const { bench, branch, holder, taken, entries, common } = await openBranches()
    must(CreateAnswer, await holder.create())
    await holder.join()
    holder.cursor = { seq: 0, chain: chainStart(branch.vaultId) }
    const frames = await holder.pull()
    let chain = chainStart(branch.vaultId)
    const came: Uint8Array[] = []
    for (const frame of frames.map((one) => ChangesFrame.parse(one))) {
      if (frame[0] !== 1) continue
      chain = chainNext(chain, keychainDigest(frame[3].map((e) => parseKeychainEntry(e).hash)))
      expect(frame[2]).toEqual(chain)
      came.push(...frame[3])
    }
    expect(frames.at(-1)?.slice(0, 3)).toEqual([2, 4, chain])
    expect(came).toEqual([...common.entries, ...common.beyond(taken), ...entries])
    const replayed = replayKeychain(branch.vaultId, came, verifySignature)
    expect(replayed.entries).toEqual(branch.entries)
    expect(replayed.replaced.size).toBe(2)
    expect(bench.faults).toEqual([])
  })

  it('gives way to a later branch of the root', async () => {
    const { bench, common, taken, branch, holder, device } = await openBranches()
    must(CreateAnswer, await holder.create())
    const later = common.fork()
    later.replace(branch, [...common.beyond(taken), ...common.beyond(branch)])
    later.addEpoch(later.root)
    must(CreateAnswer, await new Device(bench, later, later.root).create())
    bench.restart()
    const back = await new Device(bench, later, device.signer).join()
    expect(await readChain(back)).toEqual(later.entries)
    const lacking = common.beyond(later)
    for (const known of [taken, branch]) {
      const behind = new Device(bench, known, device.signer)
      expect(must(CreateAnswer, await behind.create()).entries).toEqual(lacking)
    }
  })
})
