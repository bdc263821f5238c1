/** Ways by recovery keys: one that leads to nothing goes, one whose vault comes meanwhile stays. */
import { parseVaultId, type SigningPublicKey, type VaultId } from '@blindcopy/protocol'
import { createMemoryStore, memberIndexKey, remoteKeyspace } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { random } from '../remote.fixture.ts'
import { createVaults } from '../vaults.ts'
import { dropStrayWays, findStrayWays } from './store-ways.ts'

const wayTo = (vaultId: VaultId) =>
  ({
    type: 'put',
    key: memberIndexKey(random(32) as SigningPublicKey),
    value: vaultId,
  }) as const

it('drops no way whose vault has come back since it was looked at', async () => {
  const store = createMemoryStore()
  const vaults = createVaults(store)
  const [gone, coming] = [parseVaultId(random(32)), parseVaultId(random(32))]
  const ways = [wayTo(gone), wayTo(coming)]
  await store.write(ways, { sync: true })
  const stray = await findStrayWays(store)
  expect(stray).toHaveLength(2)
  // A device brings the vault, in its section, while the ways are dropped.
  const created = vaults.alone(coming, async () => {
    await new Promise((resolve) => setImmediate(resolve))
    const state = { type: 'put', key: remoteKeyspace(coming).state, value: random(8) } as const
    await store.write([state], { sync: true })
  })
  await Promise.all([created, dropStrayWays({ store, vaults }, stray)])
  expect(await store.getMany(ways.map(({ key }) => key))).toEqual([undefined, coming])
})
