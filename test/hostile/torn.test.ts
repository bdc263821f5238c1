/**
 * Transactions across the pages of a long pull: a reader never sees half of one.
 *
 * Threats: 20. Design 10.
 */
import { expect, it } from 'vitest'
import { turn } from '../simulation/world.ts'
import { get, makePair, put, rewriteRoute } from './adversary.ts'

it('a transaction whose other half is on a later page is shown whole', async () => {
  const { victim, victimVault, writerVault } = await makePair(701, {
    a: { v: 'old' },
    b: { v: 'old' },
  })
  const write = (v: string) =>
    writerVault.transaction(async (transaction) => {
      const notes = transaction.collection(writerVault.collection('notes'))
      await notes.put('a', { v })
      await notes.put('b', { v })
    })
  await write('new')
  const text = 'x'.repeat(900_000)
  for (let i = 0; i < 6; i++) await put(writerVault, `big${i}`, { text })
  // Supersedes one half only: the other half stands at the beginning of the log.
  await put(writerVault, 'b', { v: 'newer' })
  await writerVault.sync.once()
  let pages = 0
  rewriteRoute(victim, '/v1/changes', async (request, carry) => {
    if (++pages === 2) {
      for (let i = 0; i < 5; i++) await turn()
      const [a, b] = [await get(victimVault, 'a'), await get(victimVault, 'b')]
      seen.push([a, b])
      throw new TypeError('cut between the pages')
    }
    return carry(request)
  })
  const seen: unknown[] = []
  await victimVault.sync.once().catch(() => undefined)
  expect(pages).toBe(2)
  expect(seen).toEqual([[{ v: 'old' }, { v: 'old' }]])
  await victimVault.close()
})
