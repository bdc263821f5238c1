/**
 * `blindcopy devices` when a device is lost or stolen: who is in the vault, other names, removing a
 * device with what it has let in, and what a removed one meets. What is wrong has a code of its
 * own, and changes nothing.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { done, objects, refused, run } from './commands.ts'
import { type KeyHome, makeKeyHome, storedIn, UNLOCKED } from './key-home.ts'
import { endStarted } from './processes.ts'

type Listed = { readonly deviceId: string; readonly name: string; readonly addedBy: string | null }
type Members = {
  readonly devices: readonly Listed[]
  readonly recoveryKeys: readonly Listed[]
  readonly revoked?: readonly Listed[]
}

let home: KeyHome
let on: KeyHome['on']

beforeAll(async () => {
  home = await makeKeyHome()
  on = home.on
}, 240_000)
afterAll(endStarted)

/** A new device, by the phrase. */
async function add(name: string): Promise<string> {
  const restoring = ['restore', '--remote', home.remote.url, '--name', name]
  const [made] = await objects(on(name, ...restoring), home.phrase)
  await done(on('phone', 'sync'))
  return made?.deviceId as string
}

async function listed(device: string, ...more: string[]): Promise<Members> {
  const [members] = await objects(on(device, 'devices', 'list', ...more))
  return members as unknown as Members
}

const idsOf = (members: readonly Listed[] | undefined = []): string[] =>
  members.map((one) => one.deviceId)

it('lists who is in the vault, and calls them what they are told to', async () => {
  const tablet = await add('tablet')
  const { devices, recoveryKeys } = await listed('phone')
  expect(devices.map(({ name }) => name)).toEqual(['the phone', 'tablet'])
  expect(idsOf(recoveryKeys)).toEqual([home.keyFileId, home.sharesId])
  const text = await done(on('phone', 'devices'))
  expect(text).toMatch(/the phone.*added .* by the phrase.*this device/)
  expect(text).toMatch(/Recovery keys\n.*key file.*by the phone\n.*shares, 2 of 3/)
  const [renamed] = await objects(
    on('phone', 'devices', 'rename', tablet.slice(0, 8), 'Tablett 平'),
  )
  expect(renamed).toEqual({ deviceId: tablet, name: 'Tablett 平', isSynced: true })
  await done(on('tablet', 'sync'))
  const known = await listed('tablet')
  expect(known.devices.find(({ deviceId }) => deviceId === tablet)?.name).toBe('Tablett 平')
  const nameless = ['devices', 'rename', tablet, '']
  expect((await refused(on('phone', ...nameless))).code).toBe('invalid-argument')
}, 240_000)

it('removes a stolen device with all that it has let in, and closes what is written to it', async () => {
  const stolen = await add('stolen')
  const thiefKey = join(home.root, 'thief.key')
  await done(
    on('stolen', 'keys', 'backup', 'key-file', thiefKey, '--name', 'innocent'),
    '',
    UNLOCKED,
  )
  const restoring = ['restore', '--key-file', thiefKey, '--name', 'the thief']
  const [thief] = await objects(on('thief', ...restoring), '', UNLOCKED)
  // The phone has not synced since: it learns of them before it asks or acts.
  const { epoch } = (await objects(on('phone', 'keys', 'status')))[0] as { epoch: number }
  const [gone] = await objects(
    on('phone', 'devices', 'revoke', stolen.slice(0, 8), '--since', '1d', '--yes'),
  )
  const revoked = gone?.revoked as Listed[]
  expect(revoked.map(({ name }) => name)).toEqual(['stolen', 'innocent', 'the thief'])
  expect(gone?.epoch).toBe(epoch + 1)
  await done(on('phone', 'put', 'notes', 'secret', '{"text":"after the theft"}'))
  await done(on('phone', 'sync'))
  for (const device of ['stolen', 'thief']) {
    expect(await refused(on(device, 'sync'))).toMatchObject({ code: 'not-a-member', exit: 3 })
    expect(await done(on(device, 'export'))).not.toContain('after the theft')
    expect(await done(on(device, 'keys', 'status'))).toContain('THIS DEVICE WAS REMOVED')
  }
  const again = on('thief2', 'restore', '--key-file', thiefKey)
  expect((await refused(again, '', UNLOCKED)).code).toBe('key-revoked')
  const { devices, revoked: before } = await listed('phone', '--all')
  expect(idsOf(devices)).not.toContain(thief?.deviceId)
  expect(idsOf(before)).toEqual(expect.arrayContaining([stolen, thief?.deviceId]))
  expect((await listed('phone')).revoked).toBeUndefined()
}, 240_000)

it('leaves what a device has let in before, and says that it does', async () => {
  const old = await add('old')
  const key = join(home.root, 'mine.key')
  const [made] = await objects(on('old', 'keys', 'backup', 'key-file', key), '', UNLOCKED)
  const revoking = ['devices', 'revoke', old, '--since', 'now', '--yes', '--json']
  const { code, out } = await run(on('phone', ...revoking))
  expect(code).toBe(0)
  expect(JSON.parse(out).revoked).toMatchObject([{ deviceId: old }])
  expect(idsOf((await listed('phone')).recoveryKeys)).toContain(made?.keyId)
  const lost = await add('lost')
  await done(on('lost', 'keys', 'backup', 'key-file', `${key}2`), '', UNLOCKED)
  const warned = await run(on('phone', 'devices', 'revoke', lost, '--yes'))
  expect(warned.err).toContain('1 member that they have added before stay')
  expect(warned.out).toContain('change the passwords')
}, 240_000)

it('refuses what cannot be done, each by its code, and changes nothing', async () => {
  const { devices } = await listed('phone')
  const phone = devices.find(({ name }) => name === 'the phone') as Listed
  await done(on('phone', 'sync'))
  const before = await everything()
  for (const [args, code, exit] of [
    [['revoke', phone.deviceId, '--yes'], 'invalid-argument', 2],
    [['revoke', 'nobody', '--yes'], 'not-found', 2],
    [['revoke', '', '--yes'], 'not-found', 2],
    [['revoke', phone.deviceId], 'usage', 2],
    [['revoke', phone.deviceId, '--yes', '--since', 'yesterday'], 'usage', 2],
    [['rename', 'nobody', 'x'], 'not-found', 2],
    // One id in 64 begins so, and is no option for that.
    [['revoke', '-pRqhwUy', '--since', '2d', '--yes'], 'not-found', 2],
    [['rename', '-pRqhwUy', 'x'], 'not-found', 2],
    [['revoke', phone.deviceId, '--sinc', '2d'], 'usage', 2],
    [['revoke'], 'usage', 2],
  ] as const) {
    const told = await refused(on('phone', 'devices', ...args))
    expect(told, args.join(' ')).toMatchObject({ code, exit })
    expect(told.remedy.length).toBeGreaterThan(10)
  }
  expect(await everything()).toEqual(before)
}, 240_000)

it('keeps the last way in, and needs the remote to remove anybody', async () => {
  const { devices } = await listed('phone')
  const phone = devices.find(({ name }) => name === 'the phone')?.deviceId as string
  const others = idsOf(devices).filter((id) => id !== phone)
  if (others.length > 0) await done(on('phone', 'devices', 'revoke', ...others, '--yes'))
  await done(on('phone', 'sync'))
  const before = await everything()
  const last = await refused(on('phone', 'devices', 'revoke', phone, '--yes'))
  expect(last).toMatchObject({ code: 'last-way-in', exit: 2 })
  expect(last.message).toContain('the last device')
  expect(await everything()).toEqual(before)
  home.remote.child.kill('SIGKILL')
  const key = home.keyFileId
  const away = await refused(on('phone', 'keys', 'revoke', key, '--yes'))
  expect(away).toMatchObject({ code: 'network', exit: 4 })
  expect(idsOf((await listed('phone')).recoveryKeys)).toContain(key)
}, 240_000)

/** What the remote has stored; and on the phone, which asks it, who is in the vault and what. */
async function everything(): Promise<unknown[]> {
  const { devices, recoveryKeys, revoked } = await listed('phone', '--all')
  const members = [devices, recoveryKeys, revoked].map(idsOf)
  return [await storedIn(home.remoteFolder), members, await done(on('phone', 'export'))]
}
