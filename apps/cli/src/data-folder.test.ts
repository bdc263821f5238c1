/**
 * The data folder of a remote: made closed to others, the same token again, and left as it is when
 * its database has lost the list of its files.
 */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLevelStore } from '@blindcopy/secondary'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataFolder, watchToken } from './data-folder.ts'
import { openRegistration } from './serve/registration.ts'

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

  it('closes its database to others, in a folder that is open', async () => {
    const path = join(base, 'open')
    await mkdir(path)
    await chmod(path, 0o755)
    const { vaultsPath } = await openDataFolder(path, {})
    const store = await openLevelStore({ path: vaultsPath })
    await store.close()
    expect((await stat(vaultsPath)).mode & 0o777).toBe(0o700)
    expect((await stat(path)).mode & 0o777).toBe(0o755)
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

const modeOf = async (...path: string[]) => (await stat(join(base, ...path))).mode & 0o777

describe('the tokens of a folder', () => {
  it('are two, closed to others, and stay', async () => {
    const folder = await openDataFolder(base, {})
    const registration = await folder.registrationToken()
    const admin = await folder.adminToken()
    expect([registration.isNew, admin.isNew]).toEqual([true, true])
    expect(admin.token).not.toBe(registration.token)
    expect(admin.token).toMatch(/^[\w-]{24}$/)
    expect(await folder.adminToken()).toEqual({ token: admin.token, isNew: false })
    expect([await modeOf('admin-token'), await modeOf('registration-token')]).toEqual([
      0o600, 0o600,
    ])
  })

  it('can be changed, whole, whatever a killed change has left', async () => {
    const folder = await openDataFolder(base, {})
    const { token } = await folder.registrationToken()
    await writeFile(`${folder.tokenPath}.new`, 'half', { mode: 0o644 })
    const next = await folder.rotateRegistrationToken()
    expect(next).not.toBe(token)
    expect(await folder.registrationToken()).toEqual({ token: next, isNew: false })
    expect(await modeOf('registration-token')).toBe(0o600)
    expect((await readdir(base)).sort()).toEqual(['registration-token', 'vaults'])
  })
})

describe('watchToken', () => {
  it('reads it each time, and lets nobody in when there is none', async () => {
    const path = join(base, 'token')
    await writeFile(path, 'one\n')
    const token = watchToken(path, 'zero')
    expect(token()).toBe('one')
    await writeFile(path, '  two  ')
    expect(token()).toBe('two')
    for (const gone of [() => writeFile(path, ' \n'), () => rm(path)]) {
      await gone()
      const [first, second] = [token(), token()]
      expect(first).toMatch(/^[\w-]{24}$/)
      expect(second).not.toBe(first)
    }
  })

  it('counts as it was when it cannot be read just now', async () => {
    const path = join(base, 'token')
    await writeFile(path, 'one')
    const token = watchToken(path, 'one')
    await rm(path)
    await mkdir(path)
    expect(token()).toBe('one')
  })
})

describe('openRegistration', () => {
  const open = async (settings: Record<string, unknown>) => {
    const folder = await openDataFolder(base, {})
    const given = { registrationToken: undefined, registrationTokenFile: undefined, ...settings }
    return openRegistration({ registration: 'token', ...given } as never, folder)
  }

  it('makes a token, tells where it is, and takes a changed one at once', async () => {
    const { registration, isNewToken, tokenPath } = await open({})
    if (registration.mode !== 'token') throw new Error('no token')
    const first = registration.token
    expect([isNewToken, tokenPath]).toEqual([true, join(base, 'registration-token')])
    expect(await readFile(tokenPath ?? '', 'utf8')).toBe(`${first}\n`)
    const next = await (await openDataFolder(base, {})).rotateRegistrationToken()
    expect(registration.token).toBe(next)
    expect((await open({})).isNewToken).toBe(false)
  })

  it('makes none when one is given, in a file or not, or none is asked for', async () => {
    expect(await open({ registration: 'closed' })).toMatchObject({
      registration: { mode: 'closed' },
    })
    expect((await open({ registrationToken: 'T' })).registration).toEqual({
      mode: 'token',
      token: 'T',
    })
    const path = join(base, 'secret')
    await writeFile(path, 'one\n')
    const { registration, tokenPath } = await open({ registrationTokenFile: path })
    expect([registration.mode === 'token' && registration.token, tokenPath]).toEqual(['one', path])
    await writeFile(path, 'two\n')
    expect(registration.mode === 'token' && registration.token).toBe('two')
    expect(await readdir(base)).toEqual(['secret', 'vaults'])
  })

  it('refuses a file that is not there, or holds none', async () => {
    const path = join(base, 'secret')
    const refused = { code: 'setting-refused', message: expect.stringContaining(path) }
    await expect(open({ registrationTokenFile: path })).rejects.toMatchObject(refused)
    await writeFile(path, '\n')
    await expect(open({ registrationTokenFile: path })).rejects.toMatchObject(refused)
  })
})
