/**
 * Attention, at the level of a vault: a write that the remote refuses waits for the person, whole,
 * while everything else flows; and what the person then says is done.
 */
import type { Collection, Vault } from '@blindcopy/client'
import { decodeCbor, encodeCbor } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { expectCalm, type Fleet, makeFleet, readEverywhere } from './fleet.ts'

type Note = { text: string }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')
const merged = (vault: Vault) =>
  vault.collection<Record<string, number>>('merged', { conflict: 'merge' })

type Pushed = [id: Uint8Array, ops: [envelope: Uint8Array, base?: Uint8Array][]]

/** Sealed, a text of this length makes an envelope that the patched remote refuses. */
const BIG = 'x'.repeat(5_000)
const isBig = ([, ops]: Pushed): boolean => ops.some(([envelope]) => envelope.length > 4_000)

/** The remote refuses with a code what `isRefused` holds of. Returns how to end that. */
function refuse(
  fleet: Fleet,
  n: number,
  { code, isRefused = isBig }: { code: string; isRefused?: (pushed: Pushed) => boolean },
): () => void {
  const network = fleet.members[n]?.device.network
  if (network === undefined) throw new Error('there is no such device')
  const was = network.fetch
  network.fetch = async (request, carry) => {
    if (!request.url.endsWith('/v1/push')) return carry(request)
    const body = decodeCbor(new Uint8Array(await request.clone().arrayBuffer()))
    const { transactions } = body as { transactions: Pushed[] }
    const taken = transactions.filter((pushed) => !isRefused(pushed))
    const headers = new Headers(request.headers)
    headers.delete('content-length')
    const answered: unknown[] = []
    if (taken.length > 0) {
      const rest = encodeCbor({ transactions: taken }) as Uint8Array<ArrayBuffer>
      const answer = await carry(new Request(request.url, { method: 'POST', headers, body: rest }))
      if (!answer.ok) return answer
      const { verdicts } = decodeCbor(new Uint8Array(await answer.arrayBuffer())) as {
        verdicts: unknown[]
      }
      answered.push(...verdicts)
    }
    const refused = { type: 'refused', code, message: 'no', details: {} }
    const verdicts = transactions.map((pushed) => (isRefused(pushed) ? refused : answered.shift()))
    return new Response(encodeCbor({ verdicts }) as Uint8Array<ArrayBuffer>, {
      headers: {
        'Content-Type': 'application/cbor',
        'Blindcopy-Time': `${fleet.world.clock.ms}`,
      },
    })
  }
  return () => {
    network.fetch = was
  }
}

describe('a write that the remote refuses', () => {
  it.each(['too-large', 'unsupported-version', 'internal'])(
    'for %s stops no other',
    async (code) => {
      const fleet = await makeFleet(2)
      refuse(fleet, 0, { code })
      const vault = fleet.vault(0)
      await notes(vault).put('a', { text: 'before' })
      await notes(vault).put('big', { text: BIG })
      await notes(vault).put('b', { text: 'after' })
      await fleet.sync(0, 1)
      expect(await notes(fleet.vault(1)).list()).toHaveLength(2)
      expect(await notes(vault).get('big')).toEqual({ text: BIG })
      expect(vault.sync.status).toMatchObject({ pending: 0, attention: 1 })
      await fleet.reopen(0)
      expect(await fleet.vault(0).attention.list()).toMatchObject([
        { code, records: [{ collection: 'notes', key: 'big', fields: { text: BIG } }] },
      ])
      const exported = []
      for await (const record of fleet.vault(0).attention.export()) exported.push(record)
      expect(exported).toEqual([{ collection: 'notes', key: 'big', fields: { text: BIG } }])
    },
  )

  it('goes when it is sent again and taken', async () => {
    const fleet = await makeFleet(2)
    const end = refuse(fleet, 0, { code: 'too-large' })
    await notes(fleet.vault(0)).put('big', { text: BIG })
    await fleet.sync(0)
    end()
    expect(await fleet.vault(0).attention.retry()).toBe(1)
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'big')).toEqual({ text: BIG })
    expectCalm(fleet)
  })

  it('is given up when the person says so, and what the remote holds is shown again', async () => {
    const fleet = await makeFleet(2)
    await notes(fleet.vault(0)).put('k', { text: 'small' })
    await fleet.settle()
    refuse(fleet, 0, { code: 'too-large' })
    const vault = fleet.vault(0)
    await vault.transaction(async (tx) => {
      await tx.collection(notes(vault)).put('k', { text: BIG })
      await tx.collection(notes(vault)).put('new', { text: 'new' })
    })
    await fleet.sync(0)
    const [refused] = await vault.attention.list()
    await expect(vault.attention.discard(999)).rejects.toMatchObject({ code: 'not-found' })
    await vault.attention.discard(refused?.id ?? 0)
    expect(await notes(vault).get('k')).toEqual({ text: 'small' })
    expect(await notes(vault).get('new')).toBeUndefined()
    expect(await notes(vault).list()).toHaveLength(1)
    expect(await vault.attention.list()).toEqual([])
    await fleet.settle()
    expectCalm(fleet)
  })

  it('keeps its time: sent again after a newer version it loses, and is kept', async () => {
    const fleet = await makeFleet(2)
    const end = refuse(fleet, 0, { code: 'too-large' })
    await notes(fleet.vault(0)).put('k', { text: BIG })
    await fleet.sync(0)
    fleet.pass()
    await notes(fleet.vault(1)).put('k', { text: 'newer' })
    await fleet.sync(1, 0)
    expect(await notes(fleet.vault(0)).get('k')).toEqual({ text: 'newer' })
    end()
    await fleet.vault(0).attention.retry()
    await fleet.settle()
    expect(await readEverywhere(fleet, notes, 'k')).toEqual({ text: 'newer' })
    expect(await fleet.vault(0).conflicts.list()).toMatchObject([{ lost: { text: BIG } }])
    expectCalm(fleet)
  })

  it('is not sent inside of a merge with what arrives later', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(merged)
    await merged(fleet.vault(0)).put('m', { a: 0 })
    await fleet.settle()
    let isOpen = false
    refuse(fleet, 0, { code: 'too-large', isRefused: () => !isOpen })
    await merged(fleet.vault(0)).update('m', { secret: 1 })
    await fleet.sync(0)
    isOpen = true
    fleet.pass()
    await merged(fleet.vault(1)).update('m', { b: 2 })
    await fleet.settle()
    expect(await readEverywhere(fleet, merged, 'm')).toEqual({ a: 0, b: 2 })
    await fleet.vault(0).attention.retry()
    await fleet.settle()
    expect(await readEverywhere(fleet, merged, 'm')).toEqual({ a: 0, b: 2, secret: 1 })
    expectCalm(fleet)
  })
})

describe('later edits on top of a refused write', () => {
  it('go their way, without a conflict with nobody', async () => {
    const fleet = await makeFleet(2)
    const manual = (vault: Vault) => vault.collection<Note>('manual', { conflict: 'manual' })
    fleet.declare(manual)
    await manual(fleet.vault(0)).put('k', { text: 'base' })
    await fleet.settle()
    refuse(fleet, 0, { code: 'too-large' })
    const vault = fleet.vault(0)
    await vault.transaction(async (tx) => {
      await tx.collection(manual(vault)).put('k', { text: BIG })
      await tx.collection(manual(vault)).put('also', { text: 'refused' })
    })
    await vault.transaction(async (tx) => {
      await tx.collection(manual(vault)).put('k', { text: 'small' })
      await tx.collection(manual(vault)).put('with', { text: 'it' })
    })
    await fleet.settle()
    expect(await readEverywhere(fleet, manual, 'k')).toEqual({ text: 'small' })
    expect(await vault.conflicts.list()).toEqual([])
    expect(await vault.attention.list()).toHaveLength(1)
  })

  it('of a mutation do not count what was refused', async () => {
    const fleet = await makeFleet(2)
    const counters = (vault: Vault) => vault.collection<{ n: number; pad?: string }>('counters')
    fleet.declare((vault) =>
      vault.mutations({
        add: async (tx, { by, pad }: { by: number; pad: string }) => {
          const all = tx.collection(counters(vault))
          await all.put('k', { n: ((await all.get('k'))?.n ?? 0) + by, pad })
        },
      }),
    )
    const end = refuse(fleet, 0, { code: 'too-large' })
    await fleet.vault(0).mutate('add', { by: 1, pad: BIG })
    await fleet.vault(0).mutate('add', { by: 10, pad: '' })
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toMatchObject({ n: 10 })
    end()
    await fleet.vault(0).attention.retry()
    await fleet.settle()
    expect(await readEverywhere(fleet, counters, 'k')).toMatchObject({ n: 11 })
    expectCalm(fleet)
  })
})

describe('a conflict that never ends', () => {
  it('is given to the person after 20 refusals, and resolved when sent again', async () => {
    const fleet = await makeFleet(2)
    fleet.declare(merged)
    await merged(fleet.vault(0)).put('m', { a: 0 })
    await fleet.settle()
    const network = fleet.members[0]?.device.network
    if (network === undefined) throw new Error('there is no device')
    const was = network.fetch
    let pushes = 0
    network.fetch = async (request, carry) => {
      if (!request.url.endsWith('/v1/push')) return carry(request)
      pushes++
      await merged(fleet.vault(1)).update('m', { theirs: pushes })
      await fleet.sync(1)
      return carry(request)
    }
    await merged(fleet.vault(0)).update('m', { mine: 1 })
    await fleet.sync(0)
    expect(pushes).toBe(20)
    expect(await fleet.vault(0).attention.list()).toMatchObject([{ code: 'conflict' }])
    network.fetch = was
    expect(await fleet.vault(0).attention.retry()).toBe(1)
    await fleet.settle()
    expect(await readEverywhere(fleet, merged, 'm')).toEqual({ a: 0, mine: 1, theirs: 20 })
    expectCalm(fleet)
  })
})
