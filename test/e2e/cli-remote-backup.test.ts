/** A backup of a remote whose disk is breaking leaves the last good one where it is. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseVaultId } from '@blindcopy/protocol'
import { openLevelStore, remoteKeyspace } from '@blindcopy/secondary'
import { expect, it } from 'vitest'
import { done, makeDevices, objects, refusal, serve } from './commands.ts'
import { kill, temporaryFolder } from './processes.ts'

it('puts what is not sound beside the last good backup, and nothing in its place', async () => {
  const root = temporaryFolder()
  const data = join(root, 'remote')
  const remote = await serve(data)
  await makeDevices(root, remote, { a: '{"t":"one"}', b: '{"t":"two"}' })
  const [vault] = await objects(['remote', 'vaults', '--data', data])
  const id = `${vault?.id}`
  const folder = join(root, 'backups/')
  const path = join(folder, `${id}.bcremote`)
  const backup = ['remote', 'backup', folder, '--data', data]
  await done(backup)
  const good = readFileSync(path)
  await kill(remote.child, 'SIGTERM')

  const keys = remoteKeyspace(parseVaultId(new Uint8Array(Buffer.from(id, 'hex'))))
  const flip = async (bit: number): Promise<void> => {
    await using store = await openLevelStore({ path: join(data, 'vaults') })
    const [state, entry] = await store.getMany([keys.state, keys.logEntry(2)])
    // The time of the last push, so that the vault counts as changed.
    const changed = (state as Uint8Array).slice()
    changed[140] = (changed[140] as number) ^ bit
    await store.write(
      [
        { type: 'put', key: keys.state, value: changed },
        {
          type: 'put',
          key: keys.logEntry(2),
          value: (entry as Uint8Array).with(5, (entry?.[5] as number) ^ 1),
        },
      ],
      { sync: true },
    )
  }
  await flip(1)
  for (let night = 0; night < 2; night++) {
    expect(await refusal(backup)).toEqual({ exit: 5, code: 'remote-unsound' })
    expect(readFileSync(path).equals(good)).toBe(true)
    expect(existsSync(`${path}.unsound`)).toBe(true)
  }
  const fresh = join(root, 'fresh')
  expect(await objects(['remote', 'restore', folder, '--data', fresh])).toMatchObject([
    { id, outcome: 'restored' },
  ])
  await flip(2)
  expect(await objects(backup)).toMatchObject([{ outcome: 'written', path }])
  expect(existsSync(`${path}.unsound`)).toBe(false)
}, 240_000)
