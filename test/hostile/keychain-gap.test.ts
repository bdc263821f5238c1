/**
 * A disk that fails for a moment, while the list of devices grows: what was followed and not
 * written is written with what comes next, so that the vault can be opened again.
 *
 * Lessons: C7.
 */
import { StoreError } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { expectSame, type Held, makeFleet, put, storedChain } from '../keys/keys.ts'

const full = new StoreError('store-full', 'the disk is full')

it.each([
  ['keys that are rotated here', ({ vault }: Held) => vault.keys.rotate()],
  ['a sync', ({ vault }: Held) => vault.sync.once()],
])('leaves no gap in the list, after %s', async (_what, next) => {
  const { held } = await makeFleet(7451, 2)
  const [first, second] = held as [Held, Held]
  await first.vault.keys.rotate()
  second.device.disk.failure = full
  await expect(second.vault.keys.rotate()).rejects.toThrow()
  second.device.disk.failure = undefined
  await next(second)
  await put(first.vault, 'n', 'text')
  await first.vault.sync.once()
  await first.vault.keys.rotate()
  await next(second)
  await second.vault.close()
  const reopened = { ...second, vault: await second.device.open() }
  await expectSame([first, reopened])
  expect(await storedChain(reopened)).toHaveLength(reopened.vault.keys.status().epoch + 3)
})
