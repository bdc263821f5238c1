/**
 * Twelve ways in which other servers let a revoked or made-up device in. Each test has the number
 * of the lesson; where ours has no such thing (no wildcards, no grants by verb), it shows the
 * property that stands in its place.
 */
import {
  type ChallengeAnswer,
  CreateAnswer,
  decodeCbor,
  encodeCbor,
  formatHex,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  KeychainAnswer,
  KeychainAppendAnswer,
  loginSignedBytes,
  memberProofBytes,
  parseBase64Url,
  SessionAnswer,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { gateStore } from './gate.fixture.ts'
import { FakeSocket, helloOf, joinSocket } from './live.fixture.ts'
import {
  type Answer,
  ask,
  Chain,
  Device,
  dump,
  makeEnvelope,
  makeSigner,
  must,
  ORIGIN,
  openBench,
  openTwo,
  post,
  random,
  record,
  type Signer,
} from './remote.fixture.ts'
import { mustMember } from './session.ts'
import { createVaults, mustVault } from './vaults.ts'

const codeOf = async (answer: Answer | Promise<Answer>) => (await answer).problem?.code

const readChain = async (device: Device) =>
  must(KeychainAnswer, await device.get('/v1/keychain')).entries

/** Appends a revocation of the others by the device. */
async function revoke(device: Device, ...others: Signer[]): Promise<void> {
  must(KeychainAppendAnswer, await device.append(device.chain.revoke(device.signer, others)))
}

/** What a device adds to a fork of its chain is refused, and nothing is stored. */
async function expectInvalid(device: Device, change: (fork: Chain) => void): Promise<void> {
  const fork = device.chain.fork()
  change(fork)
  const stored = await dump(device.bench.store)
  expect(await codeOf(device.append(device.chain.beyond(fork)))).toBe('keychain-invalid')
  expect(await dump(device.bench.store)).toEqual(stored)
}

describe('who logs in', () => {
  it('1: is looked up again where a revocation cannot come between', async () => {
    const gate = gateStore()
    const { bench, chain, device, other } = await openTwo({ store: gate.store })
    const entries = chain.revoke(device.signer, [other.signer])
    const held = gate.hold('written')
    const revoked = device.append(entries)
    await held.reached
    const socket = new FakeSocket(bench)
    const attempts = [other.logIn(), socket.connection.receive(helloOf(other))] as const
    for (let i = 0; i < 50; i++) await other.challenge()
    held.release()
    await revoked
    expect(await codeOf(attempts[0])).toBe('not-a-member')
    await attempts[1]
    expect(socket.frames.map((frame) => frame.slice(0, 2))).toEqual([[5, 'not-a-member']])
  })

  it('5: is judged by all that is stored, and no read deletes any of it', async () => {
    const { bench, device, other } = await openTwo()
    await revoke(device, other.signer)
    const stored = await dump(bench.store)
    await readChain(device)
    await device.pull()
    for (let i = 0; i < 3; i++) expect(await codeOf(other.logIn())).toBe('not-a-member')
    bench.clock.ms += 400 * 24 * 60 * 60_000
    bench.restart()
    expect(await codeOf(other.logIn())).toBe('not-a-member')
    expect(await dump(bench.store)).toEqual(stored)
    await device.join()
    // Not even a new entry lets the key back in: its id is taken for ever.
    await expectInvalid(device, (fork) => fork.addDevice(device.signer, other.signer))
    await expectInvalid(device, (fork) => fork.addRecovery(fork.root, other.signer))
  })

  it('7: proves the key that the chain has for it; nothing of it is from the wire', async () => {
    const { bench, chain, device, other } = await openTwo()
    const impostor = new Device(bench, chain, { ...other.signer, sign: device.signer.sign })
    expect(await codeOf(impostor.logIn())).toBe('challenge-failed')
    for (const more of [{ algorithm: 'none' }, { signingKey: device.signer.signingKey }]) {
      expect(await codeOf(device.logIn(more))).toBe('malformed')
    }
    const newcomer = makeSigner()
    const { chain: elsewhere } = await openTwo()
    const proofs = [
      other.signer.sign(memberProofBytes(chain.vaultId, newcomer)),
      newcomer.sign(memberProofBytes(elsewhere.vaultId, newcomer)),
      newcomer.sign(memberProofBytes(chain.vaultId, { ...newcomer, kemKey: other.signer.kemKey })),
      new Uint8Array(64) as ReturnType<Signer['sign']>,
    ]
    for (const proof of proofs) {
      const { signingKey, kemKey } = newcomer
      await expectInvalid(device, (fork) => {
        const names = { sealedName: random(40), wrap: random(WRAP_BYTES), vaultProof: null }
        const keys = { kind: 'device', signingKey, kemKey, proof } as const
        fork.append(device.signer, { type: 'member-add', ...keys, ...names })
      })
    }
  })

  it('12: gets the answer to its own request, and no challenge serves twice', async () => {
    const { bench, chain, device, other } = await openTwo()
    const askers = Array.from({ length: 40 }, (_, i) => [device, other][i % 2] as Device)
    const challenges = await Promise.all(askers.map((asker) => asker.challenge()))
    expect(new Set(challenges.map(({ nonce }) => formatHex(nonce))).size).toBe(40)
    const requestOf = ({ signer }: Device, { nonce, expiresMs }: ChallengeAnswer) => {
      const { vaultId } = chain
      const { memberId } = signer
      const statement = { vaultId, memberId, nonce, expiresMs, origin: ORIGIN }
      return { ...statement, signature: signer.sign(loginSignedBytes(statement)) }
    }
    const requests = askers.map((asker, i) => requestOf(asker, challenges[i] as ChallengeAnswer))
    const send = () =>
      Promise.all(requests.map((one) => post(bench.remote.app, '/v1/session', one)))
    const tokens = (await send()).map((answer) => must(SessionAnswer, answer).token)
    expect(new Set(tokens).size).toBe(40)
    tokens.forEach((token, i) => {
      const owner = parseBase64Url(token).subarray(32, 40)
      expect(owner).toEqual((askers[i] as Device).signer.memberId)
    })
    for (const answer of await send()) expect(answer.problem?.code).toBe('challenge-failed')
    const mine = await device.challenge()
    const swapped = { ...requestOf(device, mine), memberId: other.signer.memberId }
    expect(await codeOf(post(bench.remote.app, '/v1/session', swapped))).toBe('challenge-failed')
  })
})

describe('what a member reaches', () => {
  it('2: ends everywhere at once, on every route there is', async () => {
    const { bench, device, other } = await openTwo()
    const socket = await joinSocket(other)
    await revoke(device, other.signer)
    expect(socket.closed?.reason).toBe('not-a-member')
    const strangers = ['capabilities', 'challenge', 'session', 'vaults', 'live']
    const routes = bench.remote.app.routes
      .filter(({ method, path }) => method !== 'ALL' && path.startsWith('/v1/'))
      .filter(({ path }) => !strangers.includes(path.slice(4)))
      .map(({ method, path }) => `${method} ${path}`)
    // Who knows a mailbox's id may read it without a token: none is looked at.
    const asked = routes.filter((route) => route !== 'GET /v1/mailboxes')
    expect(asked.length).toBeGreaterThanOrEqual(9)
    const stored = await dump(bench.store)
    for (const route of asked) {
      const [method = '', path = ''] = route.split(' ')
      const body = method === 'GET' ? null : new Uint8Array(random(10))
      const answer = await ask(other.app, path, { method, headers: other.headers, body })
      expect([route, answer.status, answer.problem?.code]).toEqual([route, 403, 'not-a-member'])
    }
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('4: has one spelling: ids are bytes, and their texts are read in one way', async () => {
    const { bench, chain, device } = await openTwo()
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const respell = (text: string) => {
      const last = alphabet.indexOf(text.at(-1) as string)
      return text.slice(0, -1) + alphabet[last ^ 1]
    }
    const spellings = (text: string) => [respell(text), `${text}=`, `${text}\u00a0`, `%20${text}`]
    const codeWith = async (name: string, value: string) =>
      codeOf(ask(device.app, '/v1/changes', { headers: { ...device.headers, [name]: value } }))
    expect(await codeWith('Authorization', `Bearer ${device.token}`)).toBeUndefined()
    for (const token of spellings(device.token)) {
      expect(await codeWith('Authorization', `Bearer ${token}`)).toBe('session-required')
    }
    for (const name of [HEADER_SYNC_ID, HEADER_CURSOR]) {
      const text = device.headers[name] as string
      for (const value of spellings(text)) expect(await codeWith(name, value)).toBe('malformed')
    }
    const cursor = device.headers[HEADER_CURSOR] as string
    expect(await codeWith(HEADER_CURSOR, `0${cursor}`)).toBe('malformed')
    const { vaultId } = chain
    const texts = [formatHex(vaultId), Buffer.from(vaultId).toString('base64url'), [...vaultId]]
    for (const vaultIdText of texts) {
      const answer = post(bench.remote.app, '/v1/challenge', { vaultId: vaultIdText })
      expect(await codeOf(answer)).toBe('malformed')
    }
    // A longer head around the same bytes leads to the same bytes, and so to the same vault.
    const short = encodeCbor({ vaultId })
    const long = Uint8Array.of(...short.subarray(0, -34), 0x59, 0, 32, ...vaultId)
    expect(decodeCbor(long)).toEqual(decodeCbor(short))
    const { app } = bench.remote
    expect((await ask(app, '/v1/challenge', { method: 'POST', body: long })).status).toBe(200)
  })

  it('6: is all or nothing: no set of members is empty and lets somebody pass', async () => {
    const { bench, chain, device } = await openTwo()
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const nobody = { ...vault.keychain, membersById: new Map() }
    expect(() => mustMember({ keychain: nobody }, device.signer.memberId)).toThrow('not a member')
    const before = new Chain()
    const empty = openBench()
    must(CreateAnswer, await new Device(empty, before, before.root).create())
    for (const signer of [makeSigner(), device.signer]) {
      expect(await codeOf(new Device(empty, before, signer).logIn())).toBe('not-a-member')
    }
    const { signer } = device
    await expectInvalid(device, (fork) => {
      fork.append(signer, { type: 'member-revoke', memberIds: [] })
      fork.addEpoch(signer)
    })
    await expectInvalid(device, (fork) => {
      fork.members.splice(0)
      fork.addEpoch(signer)
    })
  })

  it('8: is to be read by all members, and written by its own alone', async () => {
    const { bench, chain, device, other } = await openTwo()
    const stored = await dump(bench.store)
    const id = other.stamp()
    const envelope = makeEnvelope({ recordId: record(1), timestamp: id })
    const verdicts = await device.push([id, [[envelope]]])
    expect(verdicts).toMatchObject([{ type: 'refused', code: 'wrong-author' }])
    // Another key under the same id, an entry in another's name, another's key once more.
    const forged = { ...other.signer, sign: device.signer.sign }
    await expectInvalid(device, (fork) => fork.addEpoch(forged))
    await expectInvalid(device, (fork) => fork.addDevice(device.signer, other.signer))
    await expectInvalid(device, (fork) => fork.addDevice(device.signer, chain.root))
    expect(await dump(bench.store)).toEqual(stored)
  })
})

describe('what changes who is a member', () => {
  it('3: is read, decided and written as one: of many at a time one is taken', async () => {
    const { bench, chain, device, other } = await openTwo()
    const third = chain.addDevice(device.signer)
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
    const head = chain.fork()
    const acts: ((fork: Chain) => void)[] = [
      (fork) => fork.addDevice(device.signer),
      (fork) => fork.revoke(device.signer, [third]),
      (fork) => fork.addRecovery(device.signer),
      (fork) => fork.addEpoch(device.signer),
      (fork) => fork.revoke(device.signer, [other.signer, third]),
    ]
    const forks = acts.map((act) => {
      const fork = head.fork()
      act(fork)
      return fork
    })
    const answers = await Promise.all(forks.map((fork) => device.append(head.beyond(fork))))
    const codes = answers.map(({ problem }) => problem?.code)
    expect(codes.filter((code) => code === undefined).length).toBe(1)
    expect(codes.filter((code) => code === 'keychain-race').length).toBe(4)
    const taken = forks[codes.indexOf(undefined)] as Chain
    bench.restart()
    expect(await readChain(await device.join())).toEqual(taken.entries)
    // Whoever is in the chain can come in, and whoever is not cannot: nobody is left half way.
    for (const signer of [device.signer, other.signer, third, ...taken.members]) {
      const code = await codeOf(new Device(bench, taken, signer).logIn())
      expect(code).toBe(taken.members.includes(signer) ? undefined : 'not-a-member')
    }
  })

  it('9: never leaves a vault without a device, nor takes the root away', async () => {
    const { bench, chain, device, other } = await openTwo()
    const key = chain.addRecovery(device.signer)
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
    const holder = await new Device(bench, chain, key).join()
    const { root } = chain
    // What is left would be a recovery key, with which nobody writes every day.
    await expectInvalid(holder, (fork) => fork.revoke(key, [device.signer, other.signer]))
    await expectInvalid(device, (fork) => fork.revoke(device.signer, [root]))
    await expectInvalid(device, (fork) => fork.revoke(device.signer, [device.signer]))
    await expectInvalid(holder, (fork) => fork.revoke(root, [device.signer, other.signer]))
    await revoke(device, other.signer, key)
    for (const signer of [root, device.signer]) {
      expect(await codeOf(new Device(bench, chain, signer).logIn())).toBeUndefined()
    }
  })

  it('10: takes out with a member what it added, and the history stays', async () => {
    const { bench, chain, device, other } = await openTwo()
    const added = chain.addDevice(other.signer)
    must(KeychainAppendAnswer, await other.append(chain.entries.slice(-1)))
    const later = await new Device(bench, chain, added).join()
    const second = chain.addDevice(added)
    must(KeychainAppendAnswer, await later.append(chain.entries.slice(-1)))
    const last = await new Device(bench, chain, second).join()
    // Who is named is the revoker's to say; the chain tells it who added whom.
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const addedBy = (id: Signer) => vault.keychain.membersById.get(formatHex(id.memberId))?.addedBy
    expect([addedBy(added), addedBy(second)]).toEqual([other.signer.memberId, added.memberId])
    const stored = new Map((await dump(bench.store)).map(([k, v]) => [formatHex(k), formatHex(v)]))
    await revoke(device, other.signer, added, second)
    for (const out of [other, later, last]) {
      expect(await codeOf(out.get('/v1/keychain'))).toBe('not-a-member')
    }
    const now = new Map((await dump(bench.store)).map(([k, v]) => [formatHex(k), formatHex(v)]))
    const changed = [...stored].filter(([k, v]) => now.get(k) !== v).map(([k]) => k)
    expect(changed).toEqual([`${formatHex(chain.vaultId)}73`])
    expect(await readChain(device)).toEqual(chain.entries)
  })

  it('11: is seen by everybody at once; no read under way puts back what was', async () => {
    const gate = gateStore()
    const { bench, chain, device, other } = await openTwo({
      store: gate.store,
      tokenKey: random(32),
    })
    const entries = chain.revoke(device.signer, [other.signer])
    // Nothing is cached: the read of the revoked has to load, and is held while it does.
    bench.restart()
    const held = gate.hold('get')
    const reading = other.get('/v1/keychain')
    await held.reached
    const revoked = device.append(entries)
    held.release()
    await reading
    expect((await revoked).status).toBe(200)
    for (let i = 0; i < 3; i++) {
      expect(await codeOf(other.get('/v1/keychain'))).toBe('not-a-member')
    }
    bench.restart()
    const both = await Promise.all([other.get('/v1/keychain'), device.get('/v1/keychain')])
    expect(both.map(({ problem }) => problem?.code)).toEqual(['not-a-member', undefined])
  })

  it('11: is forgotten by no cache when a write fails: the disk is asked', async () => {
    const gate = gateStore()
    let isBroken = false
    const store = {
      ...gate.store,
      async write(...args: Parameters<typeof gate.store.write>) {
        await gate.store.write(...args)
        // It is on the disk, and the answer is lost.
        if (isBroken) throw new Error('the disk says nothing')
      },
    }
    const { chain, device, other } = await openTwo({ store })
    const entries = chain.revoke(device.signer, [other.signer])
    isBroken = true
    expect((await device.append(entries)).status).toBe(500)
    isBroken = false
    expect(await codeOf(other.get('/v1/keychain'))).toBe('not-a-member')
    expect((await device.append(entries)).status).toBe(200)
  })
})
