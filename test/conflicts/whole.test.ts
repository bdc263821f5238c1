/**
 * Transactions appear whole: whoever reads while a pull comes in pieces, is cut, or goes on after
 * the device was killed, sees of each transaction all that is not superseded, or nothing.
 */
import type { Collection, Vault } from '@blindcopy/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expectCalm, makeFleet, PROPERTY_MS } from './fleet.ts'

type Note = { at: number }
const notes = (vault: Vault): Collection<Note> => vault.collection<Note>('notes')
const KEYS = ['a', 'b', 'c', 'd'] as const

/**
 * Shows one transaction at a time: the rest of an answer comes as if the line was cut. The changes
 * of a pull are frames, each with its length before it.
 */
function firstFrames(body: Uint8Array, count: number): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let offset = 0
  for (let n = 0; n < count && offset < body.length; n++) offset += 4 + view.getUint32(offset)
  return body.slice(0, Math.min(offset, body.length))
}

/** Of each transaction that shows anywhere, no record may be as it was before. */
function expectWhole(seen: ReadonlyMap<string, number>, written: readonly (readonly string[])[]) {
  written.forEach((keys, at) => {
    const isShown = keys.some((key) => seen.get(key) === at)
    if (!isShown) return
    for (const key of keys) expect(seen.get(key) ?? -1).toBeGreaterThanOrEqual(at)
  })
}

describe('transactions over shared records', () => {
  it(
    'are seen whole at every cut of a pull, and after reopening there',
    async () => {
      const keys = fc.subarray([...KEYS], { minLength: 1 })
      await fc.assert(
        fc.asyncProperty(
          fc.array(keys, { minLength: 1, maxLength: 7 }),
          fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
          async (written, reopens) => {
            const fleet = await makeFleet(2)
            const writer = fleet.vault(0)
            for (const [at, records] of written.entries()) {
              fleet.pass()
              await writer.transaction(async (tx) => {
                for (const key of records) await tx.collection(notes(writer)).put(key, { at })
              })
              // Sent one by one: none is dropped for a later one.
              await fleet.sync(0)
            }
            const { device } = fleet.members[1] ?? {}
            if (device === undefined) throw new Error('there is no device')
            device.network.fetch = async (request, carry) => {
              const answer = await carry(request)
              if (!request.url.endsWith('/v1/changes') || !answer.ok) return answer
              const body = new Uint8Array(await answer.arrayBuffer())
              const cut = firstFrames(body, 1) as Uint8Array<ArrayBuffer>
              return new Response(cut, { headers: answer.headers })
            }
            const half: unknown[] = []
            const look = async (): Promise<void> => {
              const seen = new Map<string, number>()
              for (const { key, fields } of await notes(fleet.vault(1)).list()) {
                seen.set(key, fields.at)
              }
              try {
                expectWhole(seen, written)
              } catch (error) {
                half.push(error)
              }
            }
            for (let step = 0; step < written.length + 1; step++) {
              await fleet.sync(1).catch(() => undefined)
              await look()
              if (reopens[step]) await fleet.reopen(1)
              await look()
            }
            device.network.fetch = (request, carry) => carry(request)
            await fleet.settle()
            await look()
            expect(half).toEqual([])
            expect(await notes(fleet.vault(1)).list()).toEqual(await notes(writer).list())
            const notices = fleet.vault(1).sync.status.notices
            expect(notices.filter(({ code }) => code === 'transaction-torn')).toEqual([])
            expectCalm(fleet)
          },
        ),
        { numRuns: process.env.SLOW ? 150 : 20 },
      )
    },
    PROPERTY_MS,
  )
})
