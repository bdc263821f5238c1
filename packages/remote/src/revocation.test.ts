/**
 * A member is taken out: what is stored, who is told what, and what of the revoked member's that is
 * under way at that moment may still succeed.
 */
import {
  createSignedBytes,
  KEYCHAIN_APPENDS_A_DAY_MAX,
  KeychainAnswer,
  KeychainAppendAnswer,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { gateStore, makeLatch } from './gate.fixture.ts'
import { FakeSocket, helloOf, joinSocket } from './live.fixture.ts'
import {
  type Answer,
  ask,
  bodyOf,
  Device,
  dump,
  makeEnvelope,
  must,
  ORIGIN,
  openTwo,
  post,
  random,
  record,
} from './remote.fixture.ts'

const codeOf = async (answer: Answer | Promise<Answer>) => (await answer).problem?.code

/** The device revokes the other; what it appends, not sent yet. */
async function openRevocation() {
  const gate = gateStore()
  const opened = await openTwo({ store: gate.store })
  const { chain, device, other } = opened
  const before = chain.fork()
  return { ...opened, gate, before, entries: chain.revoke(device.signer, [other.signer]) }
}

const makePush = (device: Device, number = 1) => {
  const id = device.stamp()
  return { transactions: [[id, [[makeEnvelope({ recordId: record(number), timestamp: id })]]]] }
}

describe('a revocation', () => {
  it('is one append with its epoch; without a right one nothing is stored', async () => {
    const { bench, chain, before, device, other, entries } = await openRevocation()
    const stored = await dump(bench.store)
    const wrong = before.fork()
    wrong.append(device.signer, { type: 'member-revoke', memberIds: [other.signer.memberId] })
    wrong.addEpoch(device.signer)
    const late = before.fork()
    late.append(device.signer, { type: 'member-revoke', memberIds: [other.signer.memberId] })
    late.addDevice(device.signer)
    const itself = before.fork()
    itself.revoke(other.signer, [other.signer])
    const twice = before.fork()
    const { memberId } = other.signer
    twice.append(device.signer, { type: 'member-revoke', memberIds: [memberId, memberId] })
    twice.addEpoch(device.signer)
    const cases: [Device, Uint8Array[]][] = [
      [device, entries.slice(0, 1)],
      [device, before.beyond(wrong)],
      [device, before.beyond(late)],
      [device, before.beyond(twice)],
      [other, before.beyond(itself)],
    ]
    for (const [who, offered] of cases) {
      expect(await codeOf(who.append(offered))).toBe('keychain-invalid')
      const whole = [...before.entries, ...offered]
      expect(await codeOf(who.create({ entries: whole }))).toBe('keychain-invalid')
    }
    expect(await dump(bench.store)).toEqual(stored)
    expect(must(KeychainAppendAnswer, await device.append(entries)).seq).toBe(3)
    const { entries: read } = must(KeychainAnswer, await device.get('/v1/keychain'))
    expect(read).toEqual(chain.entries)
    expect((await device.pull())[1]?.slice(3)).toEqual([entries])
    expect(bench.faults).toEqual([])
  })

  it('closes the sockets of the revoked before anybody is told', async () => {
    const { device, other, entries } = await openRevocation()
    const mine = await joinSocket(device)
    const theirs = [await joinSocket(other), await joinSocket(other)]
    mine.take()
    mine.onSend = () => expect(theirs.every(({ closed }) => closed !== undefined)).toBe(true)
    for (const socket of theirs) socket.take()
    must(KeychainAppendAnswer, await device.append(entries))
    expect(mine.take()[0]?.slice(0, 2)).toEqual([1, 3])
    for (const socket of theirs) {
      expect(socket.frames.map((frame) => frame.slice(0, 2))).toEqual([[5, 'not-a-member']])
      expect(socket.closed).toEqual({ code: 1008, reason: 'not-a-member' })
    }
    await device.join()
    await device.push(...makePush(device).transactions)
    expect(theirs.map(({ frames }) => frames.length)).toEqual([1, 1])
  })

  it('closes them also when it comes as an offered chain', async () => {
    const { device, other } = await openRevocation()
    const theirs = await joinSocket(other)
    expect((await device.create()).status).toBe(200)
    expect(theirs.closed?.reason).toBe('not-a-member')
  })

  it('takes several at once, recovery keys too', async () => {
    const { bench, chain, device, other } = await openTwo()
    const members = [chain.addDevice(other.signer), chain.addRecovery(other.signer)]
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-2)))
    const sessions = await Promise.all(
      members.map((signer) => new Device(bench, chain, signer).join()),
    )
    const out = [other, ...sessions]
    const sockets = await Promise.all(out.map(joinSocket))
    const signers = out.map(({ signer }) => signer)
    must(KeychainAppendAnswer, await device.append(chain.revoke(device.signer, signers)))
    for (const { closed } of sockets) expect(closed?.reason).toBe('not-a-member')
    for (const session of out) {
      expect(await codeOf(session.get('/v1/keychain'))).toBe('not-a-member')
    }
    expect(await codeOf(device.get('/v1/keychain'))).toBeUndefined()
  })

  it('counts against no allowance; what stands beside it does', async () => {
    const { device, chain, before, other } = await openRevocation()
    chain.entries.splice(before.entries.length)
    const full = before.fork()
    for (let i = 0; i < KEYCHAIN_APPENDS_A_DAY_MAX - 1; i++) full.addEpoch(device.signer)
    must(KeychainAppendAnswer, await device.append(before.beyond(full)))
    const over = full.fork()
    over.addEpoch(device.signer)
    expect(await codeOf(device.append(full.beyond(over)))).toBe('too-many-requests')
    const flood = full.fork()
    flood.revoke(device.signer, [other.signer])
    for (let i = 0; i < 50; i++) flood.addEpoch(device.signer)
    expect(await codeOf(device.append(full.beyond(flood)))).toBe('too-many-requests')
    expect((await device.append(full.revoke(device.signer, [other.signer]))).status).toBe(200)
  })
})

describe('two that revoke', () => {
  it('each other: one wins, the other is no member any more', async () => {
    const { bench, before, device, other, entries } = await openRevocation()
    const theirs = before.fork()
    const counter = theirs.revoke(other.signer, [device.signer])
    const answers = await Promise.all([device.append(entries), other.append(counter)])
    expect(answers.map(({ problem }) => problem?.code)).toEqual([undefined, 'not-a-member'])
    expect(await codeOf(other.append(counter))).toBe('not-a-member')
    expect(await codeOf(other.append(entries))).toBe('not-a-member')
    expect(await codeOf(other.create())).toBe('not-a-member')
    const { entries: read } = must(KeychainAnswer, await device.get('/v1/keychain'))
    expect(read).toEqual([...before.entries, ...entries])
    expect(bench.faults).toEqual([])
  })

  it('the same third: the second is told to look again, and finds it done', async () => {
    const { bench, chain, device, other } = await openTwo()
    const third = new Device(bench, chain, chain.addDevice(device.signer))
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
    const fork = chain.fork()
    const mine = chain.revoke(device.signer, [third.signer])
    const theirs = fork.revoke(other.signer, [third.signer])
    const stored = await Promise.all([device.append(mine), other.append(theirs)])
    expect(stored.map(({ problem }) => problem?.code)).toEqual([undefined, 'keychain-race'])
    expect(stored[1]?.problem).toMatchObject({ length: chain.entries.length })
    const { entries } = must(KeychainAnswer, await other.get('/v1/keychain?from=5'))
    expect(entries).toEqual(mine)
    const again = chain.fork()
    again.append(other.signer, { type: 'member-revoke', memberIds: [third.signer.memberId] })
    again.addEpoch(other.signer)
    expect(await codeOf(other.append(chain.beyond(again)))).toBe('keychain-invalid')
  })
})

describe('a revocation whose answer was lost', () => {
  it('is answered again as it was, whatever followed and after a restart', async () => {
    const { bench, chain, device, entries } = await openRevocation()
    const answer = must(KeychainAppendAnswer, await device.append(entries))
    chain.addDevice(device.signer)
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
    bench.restart()
    await device.join()
    const stored = await dump(bench.store)
    expect(must(KeychainAppendAnswer, await device.append(entries))).toEqual(answer)
    expect(await codeOf(device.append(entries.slice(1)))).toBeUndefined()
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('is stored once when it is sent twice at a time', async () => {
    const { chain, device, entries } = await openRevocation()
    const answers = await Promise.all([device.append(entries), device.append(entries)])
    const [one, two] = answers.map((answer) => must(KeychainAppendAnswer, answer))
    expect(one).toEqual(two)
    const { entries: read } = must(KeychainAnswer, await device.get('/v1/keychain'))
    expect(read).toEqual(chain.entries)
  })
})

describe('while a revocation is being written', () => {
  for (const point of ['write', 'written'] as const) {
    it(`no login of the revoked succeeds (${point})`, async () => {
      const { device, other, entries, gate } = await openRevocation()
      const held = gate.hold(point)
      const revoked = device.append(entries)
      await held.reached
      const login = other.logIn()
      // Enough for the login to come as far as it can.
      for (let i = 0; i < 50; i++) await other.challenge()
      held.release()
      expect((await revoked).status).toBe(200)
      expect(await codeOf(login)).toBe('not-a-member')
    })

    it(`no hello of the revoked is taken (${point})`, async () => {
      const { bench, device, other, entries, gate } = await openRevocation()
      const held = gate.hold(point)
      const revoked = device.append(entries)
      await held.reached
      const socket = new FakeSocket(bench)
      const hello = socket.connection.receive(helloOf(other))
      held.release()
      await Promise.all([revoked, hello])
      expect(socket.frames.map((frame) => frame.slice(0, 2))).toEqual([[5, 'not-a-member']])
      expect(socket.closed?.reason).toBe('not-a-member')
    })

    it(`no push, append or offer of the revoked is taken (${point})`, async () => {
      const { bench, before, device, other, entries, gate } = await openRevocation()
      const longer = before.fork()
      longer.addDevice(other.signer)
      const nonce = (await other.challenge()).nonce
      const held = gate.hold(point)
      const revoked = device.append(entries)
      await held.reached
      const offerer = new Device(bench, before, other.signer)
      const statement = {
        vaultId: before.vaultId,
        memberId: other.signer.memberId,
        nonce,
        greatestMs: bench.clock.ms + 1,
        origin: ORIGIN,
        keychainHead: before.head,
      }
      const signature = other.signer.sign(createSignedBytes(statement))
      const { keychainHead: _, ...request } = statement
      const offer = { ...request, signature, entries: [...before.entries] }
      const attempts = [
        other.post('/v1/push', makePush(other)),
        other.append(before.beyond(longer)),
        post(offerer.app, '/v1/vaults', offer),
      ]
      held.release()
      expect((await revoked).status).toBe(200)
      const stored = await dump(bench.store)
      for (const attempt of attempts) expect(await codeOf(attempt)).toBe('not-a-member')
      expect(await dump(bench.store)).toEqual(stored)
      await device.join()
      const seqs = (await device.pull()).map((frame) => frame[1])
      expect(seqs.at(-1)).toBe(3)
    })
  }

  it('what was pushed before it stays, and is told before it', async () => {
    const { device, other, entries, gate } = await openRevocation()
    const socket = await joinSocket(device)
    socket.take()
    const held = gate.hold('write')
    const pushed = other.post('/v1/push', makePush(other))
    await held.reached
    const revoked = device.append(entries)
    held.release()
    expect([(await pushed).status, (await revoked).status]).toEqual([200, 200])
    expect(socket.take().map((frame) => frame.slice(0, 2))).toEqual([
      [0, 3],
      [1, 4],
    ])
  })

  it('a login that began at any moment succeeds before it is answered, or not at all', async () => {
    for (let step = 0; step < 40; step++) {
      const { device, other, entries } = await openRevocation()
      const order: string[] = []
      const note = (what: string) => (answer: Answer) => {
        order.push(`${what} ${answer.problem?.code ?? 'taken'}`)
      }
      const login = other.logIn().then(note('login'))
      for (let i = 0; i < step; i++) await Promise.resolve()
      const revocation = device.append(entries).then(note('revocation'))
      await Promise.all([login, revocation])
      expect([
        ['login taken', 'revocation taken'],
        ['revocation taken', 'login not-a-member'],
        ['login not-a-member', 'revocation taken'],
      ]).toContainEqual(order)
    }
  })
})

describe('a request whose body is still on its way', () => {
  it('is refused when its sender is revoked before the body ends', async () => {
    const bodies = (other: Device, previous: Uint8Array, entries: Uint8Array[]) => ({
      '/v1/keychain': { previous, entries },
      '/v1/push': makePush(other),
      '/v1/records': { ids: [record(1)] },
      '/v1/reconcile': { count: 0, fingerprint: random(16), nodes: Uint8Array.of(0x80, 0x00) },
    })
    for (const path of ['/v1/keychain', '/v1/push', '/v1/records', '/v1/reconcile'] as const) {
      const { bench, before, device, other, entries } = await openRevocation()
      const longer = before.fork()
      longer.addDevice(other.signer)
      const bytes = bodyOf(bodies(other, before.head, before.beyond(longer))[path])
      const [begun, ended] = [makeLatch(), makeLatch()]
      const body = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            begun.release()
            await ended.promise
            controller.enqueue(bytes)
            controller.close()
          },
        },
        { highWaterMark: 0 },
      )
      const { headers } = other
      const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit
      const answer = ask(other.app, path, init)
      await begun.promise
      must(KeychainAppendAnswer, await device.append(entries))
      const stored = await dump(bench.store)
      ended.release()
      expect([path, await codeOf(answer)]).toEqual([path, 'not-a-member'])
      expect(await dump(bench.store)).toEqual(stored)
    }
  })
})
