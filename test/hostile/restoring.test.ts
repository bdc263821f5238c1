/**
 * A restore from a backup that meets the worst: the device that made the backup is revoked since,
 * or the process is killed in the middle, and a sync comes before it is run again. No record is
 * lost, and nobody else gains by it.
 *
 * Lessons: C7.
 */
import { type BackupSource, codeOf, restoreBackupOn, type Vault } from '@blindcopy/client'
import { expect, it } from 'vitest'
import { MemoryFile } from '../../packages/client/src/backup/backup.fixture.ts'
import { expectSame, type Held, idOf, makeFleet, put, syncAll, textOf } from '../keys/keys.ts'
import { type Device, makeWorld, REMOTE, refusal, type World } from '../simulation/world.ts'

const NOTES = 12

async function backupOf(vault: Vault): Promise<BackupSource> {
  const file = new MemoryFile()
  await vault.backup.create(file.sink)
  return async function* () {
    yield file.bytes
  }
}

/** Two devices, notes under the first epoch, and another epoch since. */
async function makeRotated(seed: number) {
  const { world, held, recoveryPhrase } = await makeFleet(seed, 2)
  const [first, second] = held as [Held, Held]
  for (let i = 0; i < NOTES; i++) await put(first.vault, `n${i}`, `text ${i}`)
  await syncAll(held)
  await first.vault.keys.rotate()
  await syncAll(held)
  return { world, recoveryPhrase, first, second }
}

const restore = (device: Device, backup: BackupSource, recoveryPhrase: string) =>
  restoreBackupOn(device.platform, { backup, recoveryPhrase, remote: REMOTE, path: 'folder' })

const expectNotes = async (vault: Vault): Promise<void> => {
  for (let i = 0; i < NOTES; i++) expect(await textOf(vault, `n${i}`)).toBe(`text ${i}`)
}

it('takes all of a backup whose maker was revoked since', async () => {
  const { world, recoveryPhrase, first, second } = await makeRotated(7481)
  const backup = await backupOf(second.vault)
  await first.vault.keys.revoke([idOf(second)])
  const device = world.makeDevice()
  const { vault, report, remote } = await restore(device, backup, recoveryPhrase)
  expect({ remote, received: report.received }).toEqual({ remote: 'joined', received: NOTES })
  await expectNotes(vault)
  await expectSame([first, { device, vault, name: 'restored' }])
})

/** The file breaks off when it is read for the third time: while it is taken. */
async function killInTheMiddle(
  world: World,
  backup: BackupSource,
  recoveryPhrase: string,
): Promise<{ device: Device; vault: Vault }> {
  const device = world.makeDevice()
  let passes = 0
  const cut: BackupSource = () => {
    if (++passes > 2) throw new Error('the process is killed')
    return backup()
  }
  await expect(restore(device, cut, recoveryPhrase)).rejects.toThrow('killed')
  device.kill()
  return { device, vault: await device.open() }
}

it.each([
  ['the remote is gone', () => makeWorld(7483)],
  ['the remote has them all', () => undefined],
])('goes on after a kill and a sync, where %s', async (_where, anotherWorld) => {
  const { world, recoveryPhrase, first } = await makeRotated(7482)
  const backup = await backupOf(first.vault)
  const { vault } = await killInTheMiddle(anotherWorld() ?? world, backup, recoveryPhrase)
  await vault.sync.once()
  const { unopened } = await vault.backup.take(backup)
  expect(unopened).toBe(0)
  await expectNotes(vault)
  await vault.sync.once()
  expect(vault.sync.status).toMatchObject({ pending: 0, problem: null })
})

it('takes nothing late from another file than the one it was begun with', async () => {
  const { recoveryPhrase, first } = await makeRotated(7484)
  const backup = await backupOf(first.vault)
  await put(first.vault, 'more', 'text')
  const other = await backupOf(first.vault)
  const apart = makeWorld(7485)
  const { vault } = await killInTheMiddle(apart, backup, recoveryPhrase)
  await vault.sync.once()
  expect((await vault.backup.take(other)).unopened).toBe(NOTES)
  await vault.backup.take(backup)
  await expectNotes(vault)
})

it('is refused to an open vault where a removed device has made it', async () => {
  const { first, second } = await makeRotated(7487)
  const backup = await backupOf(second.vault)
  await first.vault.keys.revoke([idOf(second)])
  expect(codeOf(await refusal(first.vault.backup.take(backup)))).toBe('not-a-member')
})

it('adds one device where the answer of the remote is lost', async () => {
  const { world, recoveryPhrase, first } = await makeRotated(7488)
  const backup = await backupOf(first.vault)
  for (const how of ['from the remote', 'from a backup']) {
    const device = world.makeDevice()
    const before = device.network.fetch
    let lost = 0
    device.network.fetch = async (request, carry) => {
      const answer = await before(request, carry)
      const isAppend = request.method === 'POST' && request.url.endsWith('/v1/keychain')
      if (isAppend && lost++ === 0) throw new TypeError('fetch failed')
      return answer
    }
    if (how === 'from the remote') await device.restore(recoveryPhrase, { deviceName: how })
    else await restore(device, backup, recoveryPhrase)
    expect(lost, how).toBe(2)
  }
  await first.vault.sync.once()
  expect(first.vault.keys.status().devices).toHaveLength(4)
})
