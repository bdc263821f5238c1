/**
 * The data folder of a remote: made closed to others, the same token again, and left as it is when
 * its database has lost the list of its files.
 */
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLevelStore } from '@blindcopy/secondary'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataFolder } from './data-folder.ts'

let base: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'blindcopy-data-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

describe('openDataFolder', () => {
  it('makes the folder for its owner alone, and keeps one token', async () => {
    const path = join(base, 'deep', 'data')
    const first = await (await openDataFolder(path, {})).registrationToken()
    const again = await (await openDataFolder(path, {})).registrationToken()
    expect(again).toEqual({ token: first.token, isNew: false })
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await stat(join(path, 'registration-token'))).mode & 0o777).toBe(0o600)
  })

  it('refuses a database that has lost the list of its files, and changes nothing', async () => {
    const { vaultsPath } = await openDataFolder(base, {})
    const store = await openLevelStore({ path: vaultsPath })
    const key = Uint8Array.of(1)
    await store.write([{ type: 'put', key, value: key }], { sync: true })
    await store.close()
    await rm(join(vaultsPath, 'CURRENT'))
    const names = await readdir(vaultsPath)
    await expect(openDataFolder(base, {})).rejects.toMatchObject({ code: 'store-corrupt' })
    expect(await readdir(vaultsPath)).toEqual(names)
  })

  it('takes a database whose first opening was cut short', async () => {
    await mkdir(join(base, 'vaults'))
    await writeFile(join(base, 'vaults', 'LOG'), '')
    await expect(openDataFolder(base, {})).resolves.toMatchObject({ path: base })
  })
})
