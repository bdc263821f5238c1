/**
 * A hostile remote that lies about its log: steps missing, turned round, repeated or torn, heads
 * that are not true, writes acknowledged and thrown away, another SyncId, another history. A lie
 * about the history is refused with nothing taken; one that fits in itself is told as a problem,
 * and nothing local is lost; what can be healed is. What only the checkpoints of a later version
 * can find is said at its test.
 *
 * Threats: 15, 20, 22, 24 (omission alone), 25, 26, 27, 28. Lessons: A2, A11 and A12 (the stop
 * before the healing), A15, A19; B12; C1.
 */
import {
  chainNext,
  type Envelope,
  encodeMessage,
  encodePair,
  envelopeRecordId,
  envelopeTimestamp,
  PushAnswer,
  PushRequest,
  parseMessage,
  transactionDigest,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { copyOf, type Device, exportOf, makeWorld } from '../simulation/world.ts'
import {
  behaveHonestly,
  cbor,
  type EndFrame,
  encodeChanges,
  exchange,
  type Frame,
  get,
  makePair,
  type Pair,
  positionOf,
  put,
  rewriteChanges,
  rewriteHistory,
  rewriteLive,
  rewriteRoute,
  turnUntil,
} from './adversary.ts'

/** Three transactions wait for the victim. */
async function makeWaiting(seed: number): Promise<Pair> {
  const pair = await makePair(seed, { held: { text: 'held' } })
  for (const key of ['one', 'two', 'three']) await put(pair.writerVault, key, { text: key })
  await pair.writerVault.sync.once()
  return pair
}

const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)

describe('a history that does not follow', () => {
  const lies: Record<string, (frames: Frame[]) => Frame[]> = {
    'with a transaction missing': ([first, , ...rest]) => [first as Frame, ...rest],
    'with its beginning missing': ([, ...rest]) => rest,
    'turned round': ([first, second, ...rest]) => [second as Frame, first as Frame, ...rest],
    'with a transaction twice': ([first, ...rest]) => [first as Frame, first as Frame, ...rest],
    'with the content of two transactions exchanged': ([one, two, ...rest]) => {
      if (one?.[0] !== 0 || two?.[0] !== 0) throw new Error('transactions expected')
      return [
        [0, one[1], one[2], two[3], two[4], two[5]],
        [0, two[1], two[2], one[3], one[4], one[5]],
        ...rest,
      ]
    },
    'with an envelope left out': ([first, ...rest]) => {
      if (first?.[0] !== 0) throw new Error('a transaction expected')
      return [[0, first[1], first[2], first[3], [], first[5]], ...rest]
    },
    'with an envelope twice': ([first, ...rest]) => {
      if (first?.[0] !== 0) throw new Error('a transaction expected')
      return [[0, first[1], first[2], first[3], [...first[4], ...first[4]], first[5]], ...rest]
    },
    'with a pair that nobody wrote': ([first, ...rest]) => {
      if (first?.[0] !== 0) throw new Error('a transaction expected')
      return [[0, first[1], first[2], first[3], first[4], hash(1)], ...rest]
    },
    'under another number': ([first, ...rest]) => {
      if (first?.[0] !== 0) throw new Error('a transaction expected')
      return [[0, first[1] + 7, first[2], first[3], first[4], first[5]], ...rest]
    },
    'with a head further than what is served': (frames) => changeEnd(frames, { 1: 1_000_000 }),
    'with another chain at its head': (frames) => changeEnd(frames, { 2: hash(2) }),
    'with a head before where the device stands': (frames) => changeEnd(frames.slice(-1), { 1: 2 }),
    'without an end': (frames) => frames.slice(0, -1),
  }
  for (const [how, lie] of Object.entries(lies)) {
    it(`is refused, and honestly served it is taken: ${how}`, async () => {
      const { victim, victimVault, writerVault } = await makeWaiting(201)
      const { fetch } = victim.network
      rewriteChanges(victim, lie)
      const code = await exchange(victimVault)
      expect(['integrity', 'network']).toContain(code)
      expect(victimVault.sync.status.problem?.code).toBe(code)
      expect(await get(victimVault, 'held')).toEqual({ text: 'held' })
      victim.network.fetch = fetch
      expect(await exchange(victimVault)).toBeUndefined()
      expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
      expect(victimVault.sync.status.problem).toBeNull()
      await victimVault.close()
    })
  }

  it('is refused on the live socket too, and the next pull brings what is true', async () => {
    const { victim, victimVault, writerVault } = await makePair(202, { held: { text: 'held' } })
    victimVault.sync.start()
    await victimVault.sync.once()
    let lied = 0
    rewriteLive(victim, (frame) => {
      if (frame[0] !== 0 || lied++ > 0) return [frame]
      return [[0, frame[1], hash(3) as never, frame[3], frame[4], frame[5]]]
    })
    await put(writerVault, 'one', { text: 'one' })
    await writerVault.sync.once()
    await turnUntil(() => victimVault.sync.status.problem?.code === 'integrity')
    expect(await get(victimVault, 'one')).toBeUndefined()
    victim.fireTimers()
    await victimVault.sync.once()
    expect(await get(victimVault, 'one')).toEqual({ text: 'one' })
    await victimVault.close()
  })
})

function changeEnd(frames: Frame[], changes: Record<number, unknown>): Frame[] {
  const end = [...(frames[frames.length - 1] as EndFrame)] as unknown[]
  for (const [index, value] of Object.entries(changes)) end[Number(index)] = value
  return [...frames.slice(0, -1), end as never as EndFrame]
}

describe('a count or fingerprint that is not true', () => {
  for (const [what, change] of Object.entries({
    'a record more': { 3: 9 },
    'another fingerprint': { 4: new Uint8Array(16).fill(4) },
  })) {
    it(`is told, and nothing is changed: ${what}`, async () => {
      const { victim, victimVault, writerVault } = await makeWaiting(203)
      rewriteChanges(victim, (frames) => changeEnd(frames, change))
      expect(await exchange(victimVault)).toBeUndefined()
      expect(victimVault.sync.status.problem?.code).toBe('integrity')
      expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
      behaveHonestly(victim)
      await exchange(victimVault)
      expect(victimVault.sync.status.problem).toBeNull()
      await victimVault.close()
    })
  }
})

describe('a history that fits in itself', () => {
  /** Lies once: what is pulled after the healing is served as it is. */
  const once = (lie: (frames: Frame[]) => Frame[]): ((frames: Frame[]) => Frame[]) => {
    let lies = 0
    return (frames) => (lies++ === 0 ? lie(frames) : frames)
  }
  const noticesOf = ({ victimVault }: Pair): string[] =>
    victimVault.sync.status.notices.map(({ code }) => code)

  it('with a transaction left out, shows in count and fingerprint, and is healed', async () => {
    // A remote that lies about these too is found by checkpoints, which come later.
    const pair = await makeWaiting(204)
    const { victim, victimVault, writerVault } = pair
    rewriteHistory(
      victim,
      once(([, ...rest]) => rest),
    )
    expect(await exchange(victimVault)).toBeUndefined()
    expect(noticesOf(pair)).toEqual(['mismatch-healed'])
    expect(victimVault.sync.status.problem).toBeNull()
    expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
    await victimVault.close()
  })

  for (const asPair of [false, true]) {
    it(`with a torn transaction, is healed (the rest ${asPair ? 'named' : 'unnamed'})`, async () => {
      const pair = await makePair(205, { held: { text: 'held' } })
      const { victim, victimVault, writerVault } = pair
      await writerVault.transaction(async (transaction) => {
        const notes = transaction.collection(writerVault.collection('notes'))
        await notes.put('a', { text: 'a' })
        await notes.put('b', { text: 'b' })
      })
      await writerVault.sync.once()
      const tear = (frames: Frame[]): Frame[] =>
        frames.map((frame): Frame => {
          if (frame[0] !== 0) return frame
          const [kept, torn] = frame[4] as Envelope[]
          if (kept === undefined || torn === undefined) return frame
          const pair = encodePair(envelopeRecordId(torn), envelopeTimestamp(torn))
          return [0, frame[1], frame[2], frame[3], [kept], asPair ? pair : new Uint8Array(0)]
        })
      if (asPair) rewriteChanges(victim, once(tear))
      else rewriteHistory(victim, once(tear))
      expect(await exchange(victimVault)).toBeUndefined()
      expect(noticesOf(pair)).toContain('mismatch-healed')
      expect(noticesOf(pair)).toContain('transaction-torn')
      expect(victimVault.sync.status.problem).toBeNull()
      expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
      await victimVault.close()
    })
  }
})

describe('a write that is acknowledged and thrown away', () => {
  /** Answers a push without the remote; `make` states what was applied of each transaction. */
  function acknowledgeFalsely(
    device: Device,
    make: (ids: Uint8Array[], request: Request) => { seq: number; chain: Uint8Array }[],
  ): void {
    rewriteRoute(device, '/v1/push', async (request) => {
      const body = new Uint8Array(await request.arrayBuffer())
      const { transactions } = parseMessage(PushRequest, body)
      const digests = transactions.map(([, ops]) =>
        transactionDigest(
          ops.map(([envelope]) =>
            encodePair(
              envelopeRecordId(envelope as Envelope),
              envelopeTimestamp(envelope as Envelope),
            ),
          ),
        ),
      )
      const verdicts = make(digests, request).map(({ seq, chain }) => ({
        type: 'applied' as const,
        seq,
        chain: chain as never,
        stale: [],
      }))
      return cbor(encodeMessage(PushAnswer, { verdicts }))
    })
  }

  it('under a wrong chain, is noticed at once, and stays on this device', async () => {
    const { victim, victimVault } = await makePair(206)
    acknowledgeFalsely(victim, (ids, request) =>
      ids.map((_, i) => ({ seq: positionOf(request).seq + 1 + i, chain: hash(5) })),
    )
    await put(victimVault, 'mine', { text: 'mine' })
    await exchange(victimVault)
    expect(victimVault.sync.status.problem?.code).toBe('integrity')
    expect(await get(victimVault, 'mine')).toEqual({ text: 'mine' })
    await victimVault.close()
  })

  it('under the number of another, is noticed at the next exchange', async () => {
    const { victim, victimVault } = await makePair(207, { held: { text: 'held' } })
    acknowledgeFalsely(victim, (ids) => ids.map(() => ({ seq: 1, chain: hash(6) })))
    await put(victimVault, 'mine', { text: 'mine' })
    await exchange(victimVault)
    await exchange(victimVault)
    expect(victimVault.sync.status.problem?.code).toBe('integrity')
    expect(await get(victimVault, 'mine')).toEqual({ text: 'mine' })
    await victimVault.close()
  })

  it('under a chain that fits, is noticed when the head is behind it', async () => {
    const { victim, victimVault } = await makePair(208, { held: { text: 'held' } })
    acknowledgeFalsely(victim, (digests, request) => {
      let { seq, chain } = positionOf(request)
      return digests.map((digest) => {
        seq++
        chain = chainNext(chain, digest as never)
        return { seq, chain }
      })
    })
    let honestEnd: EndFrame | undefined
    rewriteChanges(victim, (frames) => {
      honestEnd = frames[frames.length - 1] as EndFrame
      return frames
    })
    await exchange(victimVault)
    await put(victimVault, 'mine', { text: 'mine' })
    await exchange(victimVault)
    rewriteRoute(victim, '/v1/changes', async () => cbor(encodeChanges(honestEnd as EndFrame)))
    const code = await exchange(victimVault)
    expect(code ?? victimVault.sync.status.problem?.code).toBe('integrity')
    expect(await get(victimVault, 'mine')).toEqual({ text: 'mine' })
    await victimVault.close()
  })

  it('with fewer verdicts than transactions, settles nothing', async () => {
    const { victim, victimVault, writerVault } = await makePair(209)
    acknowledgeFalsely(victim, () => [])
    await put(victimVault, 'mine', { text: 'mine' })
    expect(await exchange(victimVault)).toBe('malformed')
    expect(victimVault.sync.status.pending).toBe(1)
    behaveHonestly(victim)
    expect(await exchange(victimVault)).toBeUndefined()
    await writerVault.sync.once()
    expect(await get(writerVault, 'mine')).toEqual({ text: 'mine' })
    await victimVault.close()
  })
})

describe('a lost acknowledgement', () => {
  it('is asked for again, and the write is there once', async () => {
    const { victim, victimVault, writerVault } = await makePair(210)
    let lost = 0
    rewriteRoute(victim, '/v1/push', async (request, carry) => {
      const response = await carry(request)
      if (lost++ < 3) throw new TypeError('fetch failed')
      return response
    })
    await put(victimVault, 'mine', { text: '1' })
    await put(victimVault, 'mine', { text: '2' })
    for (let i = 0; i < 3; i++) expect(await exchange(victimVault)).toBe('network')
    await put(victimVault, 'mine', { text: '3' })
    await writerVault.sync.once()
    await put(writerVault, 'mine', { text: 'from the writer' })
    await writerVault.sync.once()
    expect(await exchange(victimVault)).toBeUndefined()
    await writerVault.sync.once()
    expect(victimVault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
    expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
    let transactions = 0
    for await (const seen of victimVault.remoteView()) {
      if (seen.type === 'transaction') transactions++
    }
    // The first two, written before anything was sent, travelled as one.
    expect(transactions).toBe(3)
    await victimVault.close()
  })
})

describe('the live socket', () => {
  it('may deliver everything twice', async () => {
    const { victim, victimVault, writerVault } = await makePair(211)
    rewriteLive(victim, (frame) => [frame, frame])
    victimVault.sync.start()
    await victimVault.sync.once()
    for (let i = 0; i < 20; i++) {
      await put(writerVault, `k${i % 3}`, { i })
      await writerVault.sync.once()
    }
    await victimVault.sync.once()
    expect(await exportOf(victimVault)).toBe(await exportOf(writerVault))
    expect(victimVault.sync.status.problem).toBeNull()
    await victimVault.close()
  })

  it('may fall silent: the connection is given up, and made again', async () => {
    const { victim, victimVault, writerVault } = await makePair(212)
    victimVault.sync.start()
    await victimVault.sync.once()
    victim.network.onFrame = () => undefined
    await put(writerVault, 'unseen', { text: 'unseen' })
    await writerVault.sync.once()
    behaveHonestly(victim)
    victim.fallSilent()
    expect(victimVault.sync.status.phase).toBe('backing-off')
    victim.fireTimers()
    await turnUntil(() => victimVault.sync.status.phase === 'live')
    expect(await get(victimVault, 'unseen')).toEqual({ text: 'unseen' })
    await victimVault.close()
  })
})

describe('a session', () => {
  it('that ends as soon as it begins is not asked for without a pause', async () => {
    const { victim, victimVault } = await makePair(213)
    let loginCount = 0
    rewriteRoute(victim, '/v1/session', (request, carry) => {
      loginCount++
      return carry(request)
    })
    // Each hello is answered: taken, and at once that the session has ended.
    rewriteLive(victim, (frame) =>
      frame[0] === 4 ? [frame, [5, 'session-required', 'the session has ended', {}]] : [frame],
    )
    victimVault.sync.start()
    await turnUntil(() => victimVault.sync.status.phase === 'backing-off')
    // Renewed once, at once, as when a token has lived its time; then it is a failure like any
    // other.
    expect(loginCount).toBe(1)
    await victimVault.close()
  })
})

describe('a remote that is another than before', () => {
  /** What must hold whatever the remote says: nothing is lost here, and writing goes on. */
  async function expectIntact(pair: Pair, code: string): Promise<void> {
    const { victimVault } = pair
    const before = await exportOf(victimVault)
    expect(await exchange(victimVault)).toBe(code)
    expect(victimVault.sync.status).toMatchObject({ phase: 'stopped', problem: { code } })
    expect(await exportOf(victimVault)).toBe(before)
    await put(victimVault, 'afterwards', { text: 'written while stopped' })
    expect(await get(victimVault, 'afterwards')).toEqual({ text: 'written while stopped' })
    expect(victimVault.sync.status.pending).toBe(1)
    await victimVault.close()
    pair.victim.kill()
    const again = await pair.victim.open()
    expect(await get(again, 'afterwards')).toEqual({ text: 'written while stopped' })
    expect(await get(again, 'held')).toEqual({ text: 'held' })
    await again.close()
  }

  it('because an image was put back, gets back what it lost', async () => {
    const pair = await makeWaiting(213)
    const { world, writerVault, victimVault } = pair
    await victimVault.sync.once()
    // The device's cursor is not in the log of the image.
    world.restartRemote({ store: await imageWithout(pair) })
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
    expect(victimVault.sync.status.notices.map(({ code }) => code)).toEqual(['healed'])
    await writerVault.sync.once()
    expect(await get(writerVault, 'later')).toEqual({ text: 'later' })
    expect(await exportOf(writerVault)).toBe(await exportOf(victimVault))
    await victimVault.close()
  })

  it('because it has lost the vault, gets all of it back', async () => {
    const { world, writerVault, victimVault } = await makeWaiting(214)
    await victimVault.sync.once()
    const before = await exportOf(victimVault)
    world.restartRemote({ store: makeWorld().store })
    expect(await exchange(victimVault)).toBeUndefined()
    expect(await exportOf(victimVault)).toBe(before)
    expect(victimVault.sync.status.problem).toBeNull()
    expect(await exchange(writerVault)).toBeUndefined()
    expect(await exportOf(writerVault)).toBe(before)
    await victimVault.close()
  })

  it('that says this device is no member, stops sync, and nothing here is touched', async () => {
    const pair = await makeWaiting(215)
    pair.victim.network.fetch = async () => refusalOf('not-a-member', 403)
    await expectIntact(pair, 'not-a-member')
  })

  /** The remote's disk, taken before the writer and the victim went on. */
  async function imageWithout(pair: Pair): Promise<Awaited<ReturnType<typeof copyOf>>> {
    const image = await copyOf(pair.world.store)
    await put(pair.victimVault, 'later', { text: 'later' })
    await pair.victimVault.sync.once()
    return image
  }
})

const refusalOf = (code: string, status: number): Response =>
  new Response(JSON.stringify({ type: 'x', title: code, status, code, detail: code }), {
    status,
    headers: { 'content-type': 'application/problem+json' },
  })

describe('a refusal of one transaction', () => {
  it('does not hold up the others, and is kept', async () => {
    const { victim, victimVault, writerVault } = await makePair(216)
    await put(victimVault, 'refused', { text: 'refused' })
    await put(victimVault, 'taken', { text: 'taken' })
    rewriteRoute(victim, '/v1/push', async (request, carry) => {
      const body = new Uint8Array(await request.arrayBuffer())
      const { transactions } = parseMessage(PushRequest, body)
      const passed = encodeMessage(PushRequest, { transactions: transactions.slice(1) })
      const init = { method: 'POST', headers: request.headers, body: passed as never }
      const response = await carry(new Request(request.url, init))
      const answer = parseMessage(PushAnswer, new Uint8Array(await response.arrayBuffer()))
      const refused = { type: 'refused', code: 'too-large', message: 'x', details: {} } as const
      const verdicts = [refused, ...answer.verdicts]
      return cbor(encodeMessage(PushAnswer, { verdicts }))
    })
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status).toMatchObject({ pending: 0, attention: 1 })
    expect(await get(victimVault, 'refused')).toEqual({ text: 'refused' })
    await writerVault.sync.once()
    expect(await get(writerVault, 'taken')).toEqual({ text: 'taken' })
    expect(await get(writerVault, 'refused')).toBeUndefined()
    await victimVault.close()
  })

  it('for its time is put right, and the write arrives', async () => {
    const { victim, victimVault, writerVault } = await makePair(217)
    // Its clock is wrong for one write: ahead by an hour, which the remote refuses.
    victim.skewMs = 3_600_000
    await put(victimVault, 'ahead', { text: 'ahead' })
    victim.skewMs = 0
    expect(await exchange(victimVault)).toBeUndefined()
    expect(victimVault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
    await writerVault.sync.once()
    expect(await get(writerVault, 'ahead')).toEqual({ text: 'ahead' })
    // Nobody else is held up by it: a later write of another device wins.
    await put(writerVault, 'ahead', { text: 'later' })
    await writerVault.sync.once()
    await victimVault.sync.once()
    expect(await get(victimVault, 'ahead')).toEqual({ text: 'later' })
    await victimVault.close()
  })
})
