/**
 * A device that was taken out, with its own keys, a full copy of the remote, and the remote's help:
 * it opens nothing that is written afterwards, and by no road does anything of it come into a device
 * that had closed the epoch. A device that joins later cannot tell; it stops at the first checkpoint
 * that it compares, or, where the remote was made anew, goes by what the others know.
 *
 * Threats: 1, 3, 4, 18, 23, 26. Lessons: B1, B2.
 */
import { codeOf } from '@blindcopy/client'
import {
  type Envelope,
  encodeBoundHeader,
  envelopeEpoch,
  envelopeRecordId,
  envelopeTimestamp,
  type Keychain,
  type LogPosition,
  newestEpoch,
  parseEnvelope,
} from '@blindcopy/protocol'
import { openEnvelope, openKeyring, openMemberName, VaultError } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import {
  bundleOf,
  expectSame,
  type Held,
  idOf,
  importInto,
  insideOf,
  join,
  makeFleet,
  passMinutes,
  put,
  reasonsOf,
  sealAs,
  syncAll,
  textOf,
} from '../keys/keys.ts'
import { codesOf } from '../recovery/recovery.ts'
import { copyOf, exportOf, turn, until, type World } from '../simulation/world.ts'
import {
  behaveHonestly,
  type EndFrame,
  exchange,
  flip,
  readChanges,
  relink,
  rewriteHistory,
  rewriteLive,
  rewriteRecords,
  rewriteRoute,
  type TransactionFrame,
  transactionsOf,
  turnUntil,
} from './adversary.ts'

/** A vault of three, of which the third has been taken out; what it kept, and its last image. */
async function makeRobbed(seed: number) {
  const { world, held, recoveryPhrase } = await makeFleet(seed, 3)
  const [first, second, thief] = held as [Held, Held, Held]
  await put(first.vault, 'before', 'written before')
  await put(first.vault, 'target', 'true')
  await expectSame(held)
  const image = await copyOf(world.store)
  const inside = await insideOf(thief)
  passMinutes(world)
  await first.vault.keys.revoke([idOf(thief)])
  await expectSame([first, second])
  passMinutes(world)
  return { world, recoveryPhrase, first, second, thief, inside, image }
}

type Robbed = Awaited<ReturnType<typeof makeRobbed>>

/** Everything that the remote has, as it serves it to a device that has nothing. */
async function fullCopy({ world, recoveryPhrase }: Robbed) {
  const device = world.makeDevice()
  const vault = await device.restore(recoveryPhrase, { deviceName: 'reader' })
  const envelopes: Envelope[] = []
  rewriteRoute(device, '/v1/changes', async (request, carry) => {
    const response = await carry(request)
    const frames = await readChanges(response.clone() as Response)
    envelopes.push(...transactionsOf(frames).flatMap((frame) => frame[4] as Envelope[]))
    return response
  })
  await vault.sync.once()
  const reader: Held = { device, vault, name: 'reader' }
  return { envelopes, reader, keychain: (await insideOf(reader)).keychain }
}

describe('what is written after a revocation', () => {
  it('opens with nothing that the revoked device has or is given', async () => {
    const robbed = await makeRobbed(7201)
    const { first, second, inside } = robbed
    await put(first.vault, 'after', 'a secret')
    await put(second.vault, 'target', 'changed')
    await syncAll([first, second])
    const { envelopes, keychain } = await fullCopy(robbed)
    let closedCount = 0
    for (const envelope of envelopes) {
      if (envelopeEpoch(envelope) === 1) {
        expect(openEnvelope(inside.keyring, envelope).type).toBe('opened')
        continue
      }
      closedCount++
      expect(openEnvelope(inside.keyring, envelope)).toEqual({ type: 'unknown-epoch', epoch: 2 })
      // Called by another number it opens no better.
      const renumbered = envelope.slice() as Envelope
      const bound = { recordId: envelopeRecordId(envelope), timestamp: envelopeTimestamp(envelope) }
      renumbered.set(encodeBoundHeader({ tombstone: false, epoch: 1, ...bound }))
      expect(() => openEnvelope(inside.keyring, renumbered)).toThrow(VaultError)
    }
    expect(closedCount).toBeGreaterThanOrEqual(2)
    expectNoKeys(inside, keychain)
  })

  it('is not even known by name: who joins later is called something the revoked cannot read', async () => {
    const robbed = await makeRobbed(7202)
    const { inside } = robbed
    const { keychain } = await fullCopy(robbed)
    const [newcomer] = [...keychain.membersById.values()].slice(-1)
    expect(newcomer).toBeDefined()
    let name: string | undefined
    try {
      name = openMemberName(inside.keyring, newcomer as NonNullable<typeof newcomer>)
    } catch (error) {
      expect(error).toBeInstanceOf(VaultError)
    }
    expect(name ?? '').not.toContain('reader')
  })

  it('reaches no session of the revoked: every token and login is refused', async () => {
    const { world, first, thief } = await makeRobbed(7203)
    await put(first.vault, 'after', 'a secret')
    await first.vault.sync.once()
    let answered = 0
    thief.device.network.fetch = async (request, carry) => {
      const response = await carry(request)
      const { pathname } = new URL(request.url)
      const isPublic = ['/v1/capabilities', '/v1/challenge'].includes(pathname)
      if (response.ok && !isPublic) answered++
      return response
    }
    thief.vault.sync.start()
    await until(thief.device, thief.vault, ({ phase }) => phase === 'stopped')
    await thief.vault.sync.stop()
    expect(answered).toBe(0)
    expect(await exchange(thief.vault)).toBe('not-a-member')
    expect(await textOf(thief.vault, 'after')).toBeUndefined()
    expect(world.faults).toEqual([])
  })
})

/** Neither its own place in the chain nor any other's wrap gives it the newest key. */
function expectNoKeys({ keys }: Robbed['inside'], keychain: Keychain): void {
  const codeOfOpening = (chain: Keychain): string | undefined => {
    try {
      openKeyring({ keychain: chain, holder: keys }).wipe()
    } catch (error) {
      return codeOf(error)
    }
    return 'it opened'
  }
  expect(codeOfOpening(keychain)).toBe('key-mismatch')
  const newest = newestEpoch(keychain)
  if (newest === undefined) throw new Error('there is an epoch')
  const rootWrap = { memberId: keys.memberId, wrap: newest.rootWrap }
  for (const one of [...newest.wraps, rootWrap]) {
    const wraps = [{ ...one, memberId: keys.memberId }]
    const epochs = [...keychain.epochs.slice(0, -1), { ...newest, wraps }]
    expect(codeOfOpening({ ...keychain, epochs })).toBe('key-mismatch')
  }
}

/** Nothing of the thief's shows, and both go on once the remote is honest again. */
async function expectUntouched({ first, second }: Robbed, forged: readonly string[]) {
  behaveHonestly(first.device)
  for (const key of forged) {
    const text = await textOf(first.vault, key)
    expect([undefined, 'true'], key).toContain(text)
  }
  expect(await textOf(first.vault, 'target')).toBe('true')
  await put(second.vault, 'goes on', 'yes')
  await syncAll([first, second])
  expect(await textOf(first.vault, 'goes on')).toBe('yes')
}

const transactionOf = (envelopes: readonly Uint8Array[]): TransactionFrame => [
  0,
  0,
  new Uint8Array(32) as never,
  envelopeTimestamp(envelopes[0] as Envelope) as never,
  envelopes as never,
  new Uint8Array(0),
]

/** What the thief makes: a change of a record that is there, and a record that is not. */
const forge = ({ world, inside }: Robbed): Envelope[] => [
  sealAs(world, inside, { key: 'target', text: 'forged' }),
  sealAs(world, inside, { key: 'invented', text: 'forged' }),
]

describe('what a revoked device makes comes into no device that had closed the epoch', () => {
  it('not by the log, with a chain that fits', async () => {
    const robbed = await makeRobbed(7210)
    const { first } = robbed
    const forged = forge(robbed)
    rewriteHistory(first.device, (frames) => [
      ...frames.slice(0, -1),
      transactionOf(forged),
      frames[frames.length - 1] as EndFrame,
    ])
    await exchange(first.vault)
    expect(await textOf(first.vault, 'target')).toBe('true')
    expect(await textOf(first.vault, 'invented')).toBeUndefined()
    expect(new Set(await reasonsOf(first))).toEqual(new Set(['late-old-epoch']))
    await expectUntouched(robbed, ['target', 'invented'])
  })

  it('not under the number of the epoch that it lacks', async () => {
    const robbed = await makeRobbed(7211)
    const { first } = robbed
    const renumbered = forge(robbed).map((envelope) => {
      const copy = envelope.slice() as Envelope
      const bound = { recordId: envelopeRecordId(envelope), timestamp: envelopeTimestamp(envelope) }
      copy.set(encodeBoundHeader({ tombstone: false, epoch: 2, ...bound }))
      return copy
    })
    expect(renumbered.map((envelope) => envelopeEpoch(parseEnvelope(envelope)))).toEqual([2, 2])
    rewriteHistory(first.device, (frames) => [
      ...frames.slice(0, -1),
      transactionOf(renumbered),
      frames[frames.length - 1] as EndFrame,
    ])
    await exchange(first.vault)
    expect(new Set(await reasonsOf(first))).toEqual(new Set(['tampered']))
    await expectUntouched(robbed, ['target', 'invented'])
  })

  it('not by the live socket', async () => {
    const robbed = await makeRobbed(7212)
    const { first, second } = robbed
    first.vault.sync.start()
    await until(first.device, first.vault, ({ phase }) => phase === 'live')
    const forged = forge(robbed)
    await first.vault.sync.stop()
    let head: LogPosition | undefined
    let sent = 0
    rewriteLive(first.device, (frame) => {
      if (frame[0] === 4) head = { seq: frame[1], chain: frame[2] }
      if (frame[0] !== 0 || head === undefined) return [frame]
      sent++
      return relink([transactionOf(forged)], head) as TransactionFrame[]
    })
    first.vault.sync.start()
    await turnUntil(() => head !== undefined && first.vault.sync.status.phase === 'live')
    await put(second.vault, 'honest', 'in its place')
    await second.vault.sync.once()
    expect(sent).toBe(1)
    await waitFor(async () => (await reasonsOf(first)).length === 2)
    expect(await reasonsOf(first)).toEqual(['late-old-epoch', 'late-old-epoch'])
    await first.vault.sync.stop()
    await expectUntouched(robbed, ['target', 'invented'])
    expect(await textOf(first.vault, 'honest')).toBe('in its place')
  })

  it('not in answer to a question for a record', async () => {
    const robbed = await makeRobbed(7213)
    const { first, second } = robbed
    // A version that does not open is asked for again: it is answered with another of that name.
    await put(second.vault, 'target', 'changed')
    await second.vault.sync.once()
    const { inside, world } = robbed
    let named: Envelope | undefined
    rewriteHistory(first.device, (frames) =>
      frames.map((frame) => {
        if (frame[0] !== 0) return frame
        const spoiled = frame[4].map((envelope) => {
          const timestamp = envelopeTimestamp(envelope as Envelope)
          named ??= sealAs(world, inside, { key: 'target', text: 'forged', timestamp })
          return flip(envelope, envelope.length - 1) as never
        })
        return [0, frame[1], frame[2], frame[3], spoiled, frame[5]]
      }),
    )
    let answered = 0
    rewriteRecords(first.device, (envelopes) => {
      answered += envelopes.length
      return envelopes.map(() => named ?? null)
    })
    for (let i = 0; i < 3; i++) await exchange(first.vault)
    expect(answered).toBeGreaterThan(0)
    expect(openEnvelope(inside.keyring, named as Envelope).type).toBe('opened')
    expect(await textOf(first.vault, 'target')).toBe('true')
    behaveHonestly(first.device)
    await syncAll([first, second])
    expect(await textOf(first.vault, 'target')).toBe('changed')
  })

  it('not by a remote that was put back to before the revocation, and takes its pushes', async () => {
    const robbed = await makeRobbed(7214)
    const { world, first, second, thief, image } = robbed
    await pushWithHelp(robbed, image)
    expect(await exchange(first.vault)).toBeUndefined()
    expect(codesOf(first.vault)).toContain('healed')
    for (const key of ['target', 'invented']) {
      expect([undefined, 'true'], key).toContain(await textOf(first.vault, key))
    }
    // What it had changed was written again as it was: only what it invented is left.
    expect(await reasonsOf(first)).toEqual(['late-old-epoch'])
    expect(await first.vault.conflicts.list()).toEqual([])
    // It had the chain back from the first device that came, and knows the thief no more.
    expect(await exchange(thief.vault)).toBe('not-a-member')
    await expectUntouched(robbed, ['target', 'invented'])
    expect(await exchange(second.vault)).toBeUndefined()
    expect(await textOf(second.vault, 'target')).toBe('true')
    expect(world.faults).toEqual([])
  })

  it('not by a bundle or a stream', async () => {
    const robbed = await makeRobbed(7215)
    const { first, thief } = robbed
    await put(thief.vault, 'target', 'forged')
    await put(thief.vault, 'invented', 'forged')
    const before = await exportOf(first.vault)
    const outcome = await importInto(first, await bundleOf(thief)).catch((error: unknown) => error)
    expect(codeOf(outcome) ?? 'taken').toMatch(/^(taken|not-a-member)$/)
    expect(await exportOf(first.vault)).toBe(before)
    const [one, other] = pipes()
    const ended = await Promise.allSettled([first.vault.exchange(one), thief.vault.exchange(other)])
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(codeOf((ended[0] as PromiseRejectedResult).reason)).toBe('not-a-member')
    expect(await exportOf(first.vault)).toBe(before)
    // Nothing that is written afterwards went the other way.
    expect(await textOf(thief.vault, 'goes on')).toBeUndefined()
    await expectUntouched(robbed, ['target', 'invented'])
  })
})

/** The host undoes the revocation for the thief, which pushes what it likes. */
async function pushWithHelp(robbed: Robbed, store: World['store']): Promise<void> {
  const { world, thief } = robbed
  world.restartRemote({ store: await copyOf(store) })
  await put(thief.vault, 'target', 'forged')
  await put(thief.vault, 'invented', 'forged')
  expect(await exchange(thief.vault)).toBeUndefined()
  expect(thief.vault.sync.status.pending).toBe(0)
}

describe('a device that joins after the end of the epoch', () => {
  it('stops at the first checkpoint that it compares, where the log was changed for it', async () => {
    const robbed = await makeRobbed(7220)
    const { world, first, second, recoveryPhrase } = robbed
    await put(second.vault, 'later', 'honest')
    await syncAll([first, second, first])
    const forged = forge(robbed)
    const newcomer = await join(world, recoveryPhrase, 'new')
    rewriteHistory(newcomer.device, (frames) => {
      const end = frames.findIndex((frame) => frame[0] === 1 && frame[1] > 1)
      return [...frames.slice(0, end), transactionOf(forged), ...frames.slice(end)]
    })
    const code = (await exchange(newcomer.vault)) ?? (await exchange(newcomer.vault))
    expect(code).toBe('history-forked')
    expect(newcomer.vault.sync.status.phase).toBe('stopped')
  })

  it('goes by what the others know, where the remote was made anew', async () => {
    const robbed = await makeRobbed(7221)
    const { world, first, second, image, recoveryPhrase } = robbed
    await pushWithHelp(robbed, image)
    expect(await exchange(first.vault)).toBeUndefined()
    const newcomer = await join(world, recoveryPhrase, 'new')
    // Here the forgery stands before the end of the epoch: it is taken in good faith.
    const heldBack: string[] = []
    rewriteRoute(newcomer.device, '/v1/checkpoints', async (request, carry) => {
      heldBack.push(request.method)
      return carry(request)
    })
    await exchange(newcomer.vault)
    expect(heldBack.length).toBeGreaterThan(0)
    passMinutes(world)
    await syncAll([first, second, newcomer, first, second, newcomer])
    expect(await textOf(newcomer.vault, 'invented')).toBeUndefined()
    // Whoever still showed what it was has written it again.
    expect(await textOf(newcomer.vault, 'target')).toBe('true')
    expect(codesOf(newcomer.vault)).toContain('record-set-aside')
    expect(await reasonsOf(newcomer)).toEqual(['late-old-epoch'])
    // It stays so after a restart, and it says the same to whoever joins after it.
    await newcomer.vault.close()
    const again = { ...newcomer, vault: await newcomer.device.open() }
    await again.vault.sync.once()
    expect(await textOf(again.vault, 'invented')).toBeUndefined()
    await put(second.vault, 'target', 'true again')
    await expectSame([first, second, again])
    expect(await textOf(again.vault, 'target')).toBe('true again')
  })
})

/** Two ends of one line. */
function pipes() {
  const there = new TransformStream<Uint8Array, Uint8Array>()
  const back = new TransformStream<Uint8Array, Uint8Array>()
  return [
    { readable: there.readable, writable: back.writable },
    { readable: back.readable, writable: there.writable },
  ] as const
}

async function waitFor(isSo: () => Promise<boolean>, turnsMax = 2_000): Promise<void> {
  for (let turns = 0; turns < turnsMax && !(await isSo()); turns++) await turn()
  expect(await isSo(), 'it never came to that').toBe(true)
}
