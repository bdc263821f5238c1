/**
 * What whoever runs a remote does with it on the command line, beside a server and without one: the
 * answers, the files, the refusals, and a server that is killed in the middle.
 *
 * Lessons: A12, C1, C7.
 */
import { chmodSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { done, makeDevices, objects, refusal, run, type Served, serve } from './commands.ts'
import { kill, temporaryFolder } from './processes.ts'

const SEED = { a: '{"t":"one"}', b: '{"t":"two"}', c: '{"t":"three"}' }

type Scene = {
  readonly root: string
  readonly data: string
  readonly remote: Served
  readonly port: string
  readonly phone: string[]
  readonly laptop: string[]
  readonly id: string
}

async function begin(): Promise<Scene> {
  const root = temporaryFolder()
  const data = join(root, 'remote')
  const remote = await serve(data)
  const [phone, laptop] = await makeDevices(root, remote, SEED)
  const [vault] = await objects(['remote', 'vaults', '--data', data])
  return { root, data, remote, port: new URL(remote.url).port, phone, laptop, id: `${vault?.id}` }
}

const short = ({ id }: Scene): string => id.slice(0, 8)

it('tells the same of a remote that is served and of one that is not', async () => {
  const scene = await begin()
  const { data, remote, root } = scene
  const on = ['--data', data]
  const commands = [
    ['remote', 'vaults'],
    ['remote', 'inspect', short(scene)],
    ['remote', 'quota', short(scene)],
    ['remote', 'check'],
  ]
  expect(statSync(join(data, 'admin.sock')).mode & 0o777).toBe(0o600)
  const served: unknown[] = []
  for (const command of commands) served.push(await objects([...command, ...on]))
  const file = join(root, 'served.bcremote')
  await done(['remote', 'backup', file, ...on])
  await kill(remote.child, 'SIGTERM')
  expect(existsSync(join(data, 'admin.sock'))).toBe(false)
  for (const [i, command] of commands.entries()) {
    expect(await objects([...command, ...on]), command.join(' ')).toEqual(served[i])
  }
  const other = join(root, 'alone.bcremote')
  await done(['remote', 'backup', other, ...on])
  expect(readFileSync(other).length).toBe(readFileSync(file).length)
  const table = await done(['remote', ...on])
  expect(table).toContain(short(scene))
  expect(table).toMatch(/^vault +records +size +history +devices +last push +quota\n/)
  expect(await done(['remote', 'inspect', short(scene), ...on])).toContain(scene.id)
  const shown = Buffer.from(scene.id, 'hex').toString('base64url')
  const details = await done(['remote', 'inspect', shown, ...on])
  expect(details).toContain(scene.id)
  // What a person compares stands as the devices show it.
  const [verified] = await objects([...scene.laptop, 'verify', '--offline'])
  expect(details).toContain(`ends in ${verified?.chain as string}`)
  for (const { deviceId } of (verified?.devices ?? []) as { deviceId: string }[]) {
    expect(details).toContain(`device ${deviceId}`)
  }
}, 240_000)

it('brings a lost remote back from a backup, and devices bring what was written since', async () => {
  const scene = await begin()
  const { root, data, phone, laptop, port } = scene
  const folder = join(root, 'backups/')
  const first = await objects(['remote', 'backup', folder, '--data', data])
  expect(first).toMatchObject([{ outcome: 'written', id: scene.id }])
  expect(await objects(['remote', 'backup', folder, '--data', data])).toMatchObject([
    { outcome: 'unchanged' },
  ])
  const path = join(folder, `${scene.id}.bcremote`)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await done(['put', 'notes', 'since', '{"t":"since"}', ...phone])
  await done(['sync', ...phone])
  await kill(scene.remote.child)
  const fresh = join(root, 'fresh')
  expect(await done(['remote', 'verify-restore', folder])).toContain('sound')
  expect(await objects(['remote', 'restore', folder, '--data', fresh])).toMatchObject([
    { outcome: 'restored' },
  ])
  await serve(fresh, { port })
  await done(['sync', ...phone])
  await done(['sync', ...laptop])
  const text = await done(['export', ...laptop])
  expect(text).toBe(await done(['export', ...phone]))
  expect(text).toContain('"key":"since"')
  expect(await objects(['remote', 'check', '--data', fresh])).toMatchObject([
    { id: scene.id, defects: [] },
    { id: null, defects: [] },
  ])
  // The second time it is there already, and newer.
  expect(await objects(['remote', 'restore', folder, '--data', fresh])).toMatchObject([
    { outcome: 'kept' },
  ])
}, 240_000)

it('moves a vault to a host that runs, and again when it has gone on', async () => {
  const scene = await begin()
  const { root, data, phone } = scene
  const there = join(root, 'there')
  const target = await serve(there)
  const file = join(root, 'vault.bcremote')
  await done(['remote', 'export', short(scene), file, '--data', data])
  expect(await refusal(['remote', 'export', short(scene), file, '--data', data])).toEqual({
    exit: 2,
    code: 'file-exists',
  })
  expect(await objects(['remote', 'import', file, '--data', there])).toMatchObject([
    { outcome: 'restored' },
  ])
  await done(['put', 'notes', 'd', '{"t":"four"}', ...phone])
  await done(['sync', ...phone])
  await done(['remote', 'export', short(scene), file, '--force', '--data', data])
  expect(await objects(['remote', 'import', file, '--data', there])).toMatchObject([
    { outcome: 'replaced' },
  ])
  // The old host resets it, so that the two part ways.
  await done(['remote', 'reset', short(scene), '--yes', '--data', data])
  await done(['sync', ...phone])
  await done(['remote', 'export', short(scene), file, '--force', '--data', data])
  const parted = ['remote', 'import', file, '--data', there]
  expect(await refusal(parted)).toEqual({ exit: 3, code: 'vault-there' })
  expect(await refusal([...parted, '--replace'])).toEqual({ exit: 2, code: 'usage' })
  expect(await objects([...parted, '--replace', '--yes'])).toMatchObject([{ outcome: 'replaced' }])
  const [restored] = await objects(['remote', 'vaults', '--data', there])
  expect(restored).toMatchObject({ id: scene.id, records: 5 })
  await kill(target.child)
}, 240_000)

it('changes a quota, makes tokens anew and deletes, beside a server that goes on', async () => {
  const scene = await begin()
  const { data, phone, id } = scene
  const on = ['--data', data]
  const quota = ['remote', 'quota', short(scene), ...on]
  expect(await objects([...quota, '--records', '1'])).toMatchObject([
    { hasOwnQuota: true, quota: { recordsMax: 1, devicesMax: 64 } },
  ])
  await done(['put', 'notes', 'more', '{"t":"more"}', ...phone])
  const full = await run(['sync', '--json', ...phone])
  expect(full.code).toBe(3)
  expect(full.err).toContain('needs-attention')
  expect(await objects([...quota, '--default'])).toMatchObject([{ hasOwnQuota: false }])
  await done(['sync', '--retry', ...phone])
  for (const wrong of [
    ['--bytes', 'much'],
    ['--records', '0'],
    ['--devices', '65'],
  ]) {
    expect(await refusal([...quota, ...wrong])).toEqual({ exit: 2, code: 'usage' })
  }
  const [before] = await objects(['remote', 'tokens', ...on])
  const [made] = await objects(['remote', 'tokens', 'rotate', 'admin', ...on])
  expect(made?.admin).not.toBe(before?.admin)
  expect(await objects(['remote', 'tokens', ...on])).toMatchObject([{ admin: made?.admin }])
  const deletion = ['remote', 'delete', short(scene), ...on]
  expect(await refusal(deletion)).toEqual({ exit: 2, code: 'usage' })
  expect(await objects([...deletion, '--yes'])).toEqual([{ id }])
  expect(await refusal(['remote', 'inspect', short(scene), ...on])).toEqual({
    exit: 2,
    code: 'no-such-vault',
  })
  expect(await done(['remote', ...on])).toBe('There is no vault on this remote.\n')
}, 240_000)

it('says of a damaged backup what it is, and takes nothing of it', async () => {
  const scene = await begin()
  const { root, data } = scene
  const file = join(root, 'all.bcremote')
  await done(['remote', 'backup', file, '--data', data])
  const whole = readFileSync(file)
  const fresh = join(root, 'fresh')
  const restore = ['remote', 'restore', file, '--data', fresh]
  truncateSync(file, whole.length - 40)
  expect(await refusal(['remote', 'verify-restore', file])).toEqual({ exit: 5, code: 'backup-cut' })
  expect(await refusal(restore)).toEqual({ exit: 5, code: 'backup-cut' })
  const spoiled = Buffer.from(whole)
  spoiled[whole.length >> 1] = (spoiled[whole.length >> 1] as number) ^ 4
  writeFileSync(file, spoiled)
  expect(await refusal(restore)).toEqual({ exit: 5, code: 'backup-damaged' })
  expect(await done(['remote', '--data', fresh])).toBe('There is no vault on this remote.\n')
  expect(await refusal(['remote', 'verify-restore', join(root, 'none')])).toEqual({
    exit: 2,
    code: 'unreadable',
  })
}, 240_000)

it('writes no half of a backup under its name', async () => {
  const scene = await begin()
  const { root, data } = scene
  const folder = join(root, 'closed')
  await done(['remote', 'backup', `${folder}/`, '--data', data])
  const file = join(root, 'nowhere', 'all.bcremote')
  expect(await refusal(['remote', 'backup', file, '--data', data])).toEqual({
    exit: 1,
    code: 'unwritable',
  })
  chmodSync(folder, 0o700)
  const piped = await run(['remote', 'backup', '-', '--data', data])
  expect(piped.code, piped.err).toBe(0)
  expect(piped.out.startsWith('bcremote')).toBe(true)
  for (const command of ['vaults', 'tokens']) {
    for (const other of [join(root, 'none'), root]) {
      expect(await refusal(['remote', command, '--data', other])).toEqual({
        exit: 2,
        code: 'usage',
      })
    }
  }
  expect(existsSync(join(root, 'none'))).toBe(false)
  expect(existsSync(join(root, 'vaults'))).toBe(false)
}, 240_000)

it('an upload that is cut off leaves nothing, and a killed server begins again clean', async () => {
  const scene = await begin()
  const { root, data, port } = scene
  const file = join(root, 'all.bcremote')
  await done(['remote', 'backup', file, '--data', data])
  await done(['remote', 'delete', short(scene), '--yes', '--data', data])
  const socketPath = join(data, 'admin.sock')
  const upload = request({ socketPath, path: '/restore', method: 'POST' })
  upload.on('error', () => undefined)
  const bytes = readFileSync(file)
  await new Promise<void>((resolve) => {
    upload.write(bytes.subarray(0, bytes.length - 200), () => resolve())
  })
  upload.destroy()
  await new Promise((resolve) => upload.once('close', resolve))
  expect(await done(['remote', 'check', '--data', data])).toBe(
    'There is no vault on this remote.\n',
  )
  const second = request({ socketPath, path: '/restore', method: 'POST' })
  second.on('error', () => undefined)
  await new Promise<void>((resolve) => {
    second.write(bytes.subarray(0, bytes.length - 200), () => resolve())
  })
  await kill(scene.remote.child)
  expect(existsSync(socketPath)).toBe(true)
  await serve(data, { port })
  expect(await objects(['remote', 'restore', file, '--data', data])).toMatchObject([
    { outcome: 'restored' },
  ])
  await done(['sync', ...scene.phone])
  expect(await objects(['remote', 'check', '--data', data])).toMatchObject([
    { defects: [] },
    { id: null, defects: [] },
  ])
}, 240_000)
