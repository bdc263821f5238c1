/**
 * What belongs to one vault, sent at another; and what is sent in the wrong order, or too late. The
 * two vaults are on one remote, which must keep them apart.
 *
 * Threats: 8, 11, 12, 28, 50.
 */
import {
  chainStart,
  createSignedBytes,
  encodeCbor,
  formatSyncId,
  HASH_NONE,
  loginSignedBytes,
  SESSION_TOKEN_MS,
} from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import {
  Device,
  makeEnvelope,
  ORIGIN,
  openVault,
  post,
  record,
} from '../../packages/remote/src/remote.fixture.ts'
import {
  changedKeys,
  expectRefused,
  HELLO,
  HelloSocket,
  openTwoVaults,
  SENT,
  send,
  stored,
} from './requests.ts'

/** Speaks with what two devices have, mixed. */
function mix(device: Device, parts: Partial<Pick<Device, 'token' | 'syncId' | 'cursor'>>): Device {
  const mixed = new Device(device.bench, device.chain, device.signer)
  return Object.assign(mixed, {
    token: device.token,
    syncId: device.syncId,
    cursor: device.cursor,
    ...parts,
  })
}

const DATA = SENT.filter(({ isData }) => isData)

/** Everything that carries a position, sent by `sender`. */
async function expectData(sender: Device, codes: readonly string[]): Promise<void> {
  for (const sent of DATA) {
    const body = encodeCbor(await sent.make(sender))
    const what = sent.path
    await expectRefused(sender, () => send(sender, sent, body), { what, codes })
  }
  const what = '/v1/changes'
  await expectRefused(sender, () => sender.get('/v1/changes'), { what, codes })
  const before = await stored(sender)
  const socket = new HelloSocket(sender)
  await socket.connection.receive(encodeCbor(HELLO.make(sender)))
  expect(codes).toContain(socket.refusal)
  expect([socket.closed, socket.frames.length]).toEqual([1008, 1])
  expect(changedKeys(before, await stored(sender))).toEqual([])
}

describe('of another vault', () => {
  it('a token opens nothing with the position of this one', async () => {
    const { ours, theirs } = await openTwoVaults()
    await expectData(mix(ours, { token: theirs.token }), ['sync-id-mismatch'])
    await expectData(mix(theirs, { token: ours.token }), ['sync-id-mismatch'])
  })

  it('a SyncId is a mismatch, and the right one is told', async () => {
    const { ours, theirs } = await openTwoVaults()
    const mixed = mix(ours, { syncId: theirs.syncId })
    await expectData(mixed, ['sync-id-mismatch'])
    const { problem } = await mixed.get('/v1/changes')
    expect(problem?.syncId).toBe(formatSyncId(ours.syncId))
  })

  it('a cursor begins a new SyncId, and changes nothing else', async () => {
    const { ours, theirs } = await openTwoVaults()
    const before = await stored(ours)
    const { cursor } = theirs
    const { problem } = await mix(ours, { cursor }).get('/v1/changes')
    expect(problem?.code).toBe('sync-id-mismatch')
    expect(problem?.syncId).not.toBe(formatSyncId(ours.syncId))
    // The state of our vault; of theirs, nothing.
    expect(changedKeys(before, await stored(ours)).length).toBe(1)
    expect((await theirs.get('/v1/changes')).problem).toBeUndefined()
    const { cursor: ourCursor } = ours
    await ours.join()
    expect([ours.cursor, formatSyncId(ours.syncId)]).toEqual([ourCursor, problem?.syncId])
    expect((await ours.get('/v1/changes')).problem).toBeUndefined()
  })

  it('a writer is refused, transaction by transaction', async () => {
    const { ours, theirs } = await openTwoVaults()
    const before = await stored(ours)
    const id = ours.stamp()
    const envelope = makeEnvelope({ recordId: record(5), timestamp: id })
    expect(await theirs.push([id, [[envelope]]])).toMatchObject([
      { type: 'refused', code: 'wrong-author' },
    ])
    expect(changedKeys(before, await stored(ours))).toEqual([])
  })

  it('keychain entries extend nothing', async () => {
    const { ours, theirs } = await openTwoVaults()
    const longer = theirs.chain.fork()
    longer.addDevice(theirs.signer)
    const entries = longer.entries.slice(-1)
    for (const previous of [theirs.chain.head, ours.chain.head, HASH_NONE]) {
      await expectRefused(ours, () => ours.post('/v1/keychain', { previous, entries }), {
        what: 'append',
        codes: ['keychain-race', 'keychain-invalid'],
      })
    }
  })

  it('a challenge, a member or a signature logs nobody in', async () => {
    const { ours, theirs } = await openTwoVaults()
    const challenge = await theirs.challenge()
    const { vaultId } = ours.chain
    const { vaultId: theirId } = theirs.chain
    const [mine, their] = [ours.signer, theirs.signer]
    const login = async (changes: object, signer = mine, signedId = vaultId) => {
      const { nonce, expiresMs } = await ours.challenge()
      const base = { vaultId, memberId: mine.memberId, nonce, expiresMs, origin: ORIGIN }
      const statement = { ...base, ...changes }
      const signature = signer.sign(loginSignedBytes({ ...statement, vaultId: signedId }))
      return post(ours.app, '/v1/session', { ...statement, signature })
    }
    const attempts = {
      'their challenge': [() => login(challenge), 'challenge-failed'],
      'their member': [() => login({ memberId: their.memberId }, their), 'not-a-member'],
      'their signature': [() => login({}, their), 'challenge-failed'],
      'signed for their vault': [() => login({}, mine, theirId), 'challenge-failed'],
    } as const
    for (const [what, [request, code]] of Object.entries(attempts)) {
      await expectRefused(ours, request, { what, codes: [code] })
    }
  })

  it('a keychain creates no vault and gives none back', async () => {
    const { ours, theirs } = await openTwoVaults()
    const offer = async (changes: object) => {
      const { nonce } = await ours.challenge()
      const statement = {
        vaultId: ours.chain.vaultId,
        memberId: ours.signer.memberId,
        nonce,
        greatestMs: 0,
        origin: ORIGIN,
        entries: [...ours.chain.entries],
        keychainHead: ours.chain.head,
        ...changes,
      }
      const signature = ours.signer.sign(createSignedBytes(statement))
      const { keychainHead: _, ...request } = statement
      return post(ours.app, '/v1/vaults', { ...request, signature })
    }
    const { entries, head: keychainHead } = theirs.chain
    const [genesis = new Uint8Array()] = ours.chain.entries
    const attempts = {
      'their keychain': [{ entries, keychainHead }, 'keychain-invalid'],
      'our genesis, then their keychain': [
        { entries: [genesis, ...entries.slice(1)], keychainHead },
        'keychain-invalid',
      ],
      'their challenge': [await theirs.challenge(), 'challenge-failed'],
      'their member': [{ memberId: theirs.signer.memberId }, 'not-a-member'],
      'our keychain under their id': [{ vaultId: theirs.chain.vaultId }, 'challenge-failed'],
    } as const
    for (const [what, [changes, code]] of Object.entries(attempts)) {
      const { expiresMs: _, ...fields } = { expiresMs: 0, ...changes }
      await expectRefused(ours, () => offer(fields), { what, codes: [code] })
    }
  })

  it('a hello ends the live socket of this one, and joins nothing', async () => {
    const { ours, theirs } = await openTwoVaults()
    const socket = new HelloSocket(ours)
    await socket.connection.receive(encodeCbor(HELLO.make(ours)))
    expect(socket.frames[0]?.[0]).toBe(4)
    await socket.connection.receive(encodeCbor(HELLO.make(theirs)))
    expect([socket.refusal, socket.closed]).toEqual(['malformed', 1008])
    const count = socket.frames.length
    for (const device of [ours, theirs]) {
      const id = device.stamp()
      await device.push([id, [[makeEnvelope({ recordId: record(8), timestamp: id })]]])
    }
    expect(socket.frames.length).toBe(count)
    expect(ours.bench.faults).toEqual([])
  })
})

describe('out of order', () => {
  it('everything before a login is refused', async () => {
    const { ours } = await openTwoVaults()
    const early = mix(ours, { token: '' })
    await expectData(early, ['session-required'])
    for (const path of ['/v1/keychain']) {
      const codes = ['session-required']
      await expectRefused(early, () => early.get(path), { what: path, codes })
    }
  })

  it('everything after the session has ended is refused', async () => {
    const { ours } = await openTwoVaults()
    ours.bench.clock.ms += SESSION_TOKEN_MS
    await expectData(ours, ['session-required'])
  })

  it('a login or a creation that was answered is refused when it comes again', async () => {
    const { ours } = await openTwoVaults()
    for (const sent of SENT.filter(({ path }) => /session|vaults/.test(path))) {
      const body = encodeCbor(await sent.make(ours))
      expect((await send(ours, sent, body)).problem, sent.path).toBeUndefined()
      const codes = ['challenge-failed']
      await expectRefused(ours, () => send(ours, sent, body), { what: sent.path, codes })
    }
  })

  it('a push that was answered is answered again, and changes nothing', async () => {
    const { ours } = await openTwoVaults()
    const id = ours.stamp()
    const transaction = [id, [[makeEnvelope({ recordId: record(4), timestamp: id })]]]
    const verdicts = await ours.push(transaction)
    const before = await stored(ours)
    expect(await ours.push(transaction)).toEqual(verdicts)
    expect(await ours.push(transaction, transaction)).toEqual([...verdicts, ...verdicts])
    expect(changedKeys(before, await stored(ours))).toEqual([])
  })

  it('a SyncId of before a wipe is refused, and brings no vault back', async () => {
    const { chain, device } = await openVault({ store: createMemoryStore() })
    const { syncId, cursor } = device
    const { bench } = await openVault()
    const late = new Device(bench, chain, device.signer)
    Object.assign(late, { token: device.token, syncId, cursor })
    // The wiped remote has drawn another key for its tokens, and does not know the vault.
    await expectData(late, ['session-required'])
    const what = 'login'
    await expectRefused(late, () => late.logIn(), { what, codes: ['unknown-vault'] })
    await late.create()
    await late.join()
    await expectData(mix(late, { syncId }), ['sync-id-mismatch'])
    await expectData(mix(late, { syncId, cursor }), ['sync-id-mismatch'])
    const atStart = { seq: 0, chain: chainStart(chain.vaultId) }
    await expectData(mix(late, { syncId, cursor: atStart }), ['sync-id-mismatch'])
  })

  it('a second hello while the first is judged ends the socket', async () => {
    const { ours } = await openTwoVaults()
    const socket = new HelloSocket(ours)
    const hello = encodeCbor(HELLO.make(ours))
    const first = socket.connection.receive(hello)
    await socket.connection.receive(hello)
    await first
    expect([socket.refusal, socket.closed]).toEqual(['malformed', 1008])
    expect(ours.bench.faults).toEqual([])
  })

  it('a cursor beyond the head begins as many SyncIds as a day allows, and no more', async () => {
    const { ours } = await openTwoVaults()
    for (let i = 0; i < 4; i++) {
      await ours.join()
      const beyond = mix(ours, { cursor: { ...ours.cursor, seq: ours.cursor.seq + 1 } })
      const before = await stored(ours)
      expect((await beyond.get('/v1/changes')).problem?.code).toBe('sync-id-mismatch')
      expect(changedKeys(before, await stored(ours)).length).toBe(1)
    }
    await ours.join()
    const { seq } = ours.cursor
    await expectData(mix(ours, { cursor: { ...ours.cursor, seq: seq + 1 } }), ['too-many-requests'])
    await expectData(mix(ours, { cursor: { seq, chain: HASH_NONE } }), ['too-many-requests'])
    expect((await ours.get('/v1/changes')).problem).toBeUndefined()
  })
})
