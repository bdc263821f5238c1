/**
 * `blindcopy keys` as a person uses it: which ways back there are, making, trying and ending them,
 * new keys, two lists of devices settled by the phrase. A drill changes nothing, here or at the
 * remote, and neither does anything that is refused.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { done, objects, refused, run, serve } from './commands.ts'
import {
  copyRemote,
  type KeyHome,
  makeKeyHome,
  PASSPHRASE,
  storedIn,
  UNLOCKED,
} from './key-home.ts'
import { endStarted, kill } from './processes.ts'

let home: KeyHome
let on: KeyHome['on']

beforeAll(async () => {
  home = await makeKeyHome()
  on = home.on
}, 240_000)
afterAll(endStarted)

const at = (name: string): string => join(home.root, name)

/** What the phone and the remote have stored. */
async function everything(): Promise<Record<string, string>[]> {
  return [await storedIn(at('phone')), await storedIn(home.remoteFolder)]
}

describe('blindcopy keys', () => {
  it('shows which ways back there are, and what is missing', async () => {
    const [status] = await objects(on('phone', 'keys'))
    expect(status).toMatchObject({
      ...{ epoch: 1, trouble: null, hints: ['one-device'] },
      protection: { passphrase: false, keyStore: null },
      recoveryKeys: [
        { deviceId: home.keyFileId, name: 'key file' },
        { deviceId: home.sharesId, name: 'shares, 2 of 3' },
      ],
    })
    const text = await done(on('phone', 'keys', 'status'))
    expect(text).toMatch(/recovery phrase +as old as the vault; cannot be revoked/)
    expect(text).toMatch(/key file +made .* by the phone/)
    expect(text).toContain('This is the only device')
    expect(text).not.toContain('…')
    expect(statSync(home.keyFile).mode & 0o777).toBe(0o600)
    const [share = ''] = home.shares
    expect(statSync(share).mode & 0o777).toBe(0o600)
    expect(readFileSync(share, 'utf8')).toContain(home.remote.url)
  }, 120_000)

  it('tries every way back against the keys of now, and changes nothing', async () => {
    await done(on('phone', 'keys', 'rotate'))
    const before = await everything()
    const drills = [
      { args: [], input: home.phrase, form: 'phrase', epochs: 2 },
      { args: [home.kit], form: 'phrase', epochs: 2 },
      { args: [home.keyFile], form: 'key-file', epochs: 1 },
      { args: home.shares.slice(1), form: 'shares', epochs: 1 },
      { args: ['--shares'], input: sharesText(), form: 'shares', epochs: 1 },
      { args: ['--shares'], input: sharesInLines(), form: 'shares', epochs: 1 },
    ]
    for (const { args, input, form, epochs } of drills) {
      const [check] = await objects(on('phone', 'keys', 'verify', ...args), input, UNLOCKED)
      const expected = { form, epoch: 2, isRemoteAsked: true }
      expect(check, args.join(' ')).toMatchObject({ ...expected, since: { epochs } })
    }
    const told = await done(on('phone', 'keys', 'verify', home.keyFile), '', UNLOCKED)
    expect(told).toContain('with its newest key (number 2)')
    expect(told).toContain('since  1 new key: it goes with all that')
    expect(told).toContain('Nothing was changed.')
    const tried = ['backup', 'verify', home.backup]
    for (const [way, name] of [
      [['--key-file', home.keyFile], 'the key file'],
      [home.shares.slice(1).flatMap((path) => ['--share', path]), 'the shares'],
      [['--kit', home.kit], 'the recovery phrase'],
    ] as const) {
      expect(await done([...tried, ...way], '', UNLOCKED)).toContain(`open with ${name}.`)
    }
    expect(await everything()).toEqual(before)
  }, 240_000)

  it('refuses a drill with what does not open, and changes nothing', async () => {
    const before = await everything()
    const [first = '', second = ''] = home.shares
    writeFileSync(at('torn.key'), readFileSync(home.keyFile, 'utf8').slice(0, 150))
    const wrong = { BLINDCOPY_KEY_FILE_PASSPHRASE: 'another four words' }
    for (const [args, input, env, code] of [
      [[], 'zoo '.repeat(24), {}, 'phrase-checksum'],
      [[], OTHER_PHRASE, {}, 'wrong-phrase'],
      [[home.keyFile], '', wrong, 'passphrase-wrong'],
      [[home.keyFile], '', {}, 'usage'],
      [[at('torn.key')], '', UNLOCKED, 'recovery-file-damaged'],
      [[first], '', {}, 'shares-too-few'],
      [[first, first], '', {}, 'shares-too-few'],
      [[first, home.keyFile], '', UNLOCKED, 'share-malformed'],
      [[home.keyFile, home.kit], '', UNLOCKED, 'usage'],
      [['--shares', second], '', {}, 'usage'],
      [[at('nothing')], '', {}, 'unreadable'],
    ] as const) {
      const told = await refused(on('phone', 'keys', 'verify', ...args), input, env)
      expect(told.code, args.join(' ')).toBe(code)
    }
    expect(await everything()).toEqual(before)
  }, 240_000)

  it('makes no way back that is weak, impossible or written over another', async () => {
    const before = await everything()
    const keyFile = ['keys', 'backup', 'key-file']
    const shares = (k: string, n: string, ...more: string[]): string[] => [
      'keys',
      'backup',
      'shares',
      '--threshold',
      k,
      '--count',
      n,
      ...more,
    ]
    const weak = { BLINDCOPY_KEY_FILE_PASSPHRASE: 'short' }
    for (const [args, env, code] of [
      [[...keyFile, at('new.key')], weak, 'passphrase-weak'],
      [[...keyFile, at('new.key')], {}, 'usage'],
      [[...keyFile, home.keyFile], UNLOCKED, 'file-exists'],
      [[...keyFile, at('no/folder/new.key')], UNLOCKED, 'unwritable'],
      [shares('1', '3'), {}, 'share-count-refused'],
      [shares('4', '3'), {}, 'share-count-refused'],
      [shares('2', '17'), {}, 'share-count-refused'],
      [shares('two', '3'), {}, 'usage'],
      [shares('2', '3', '--out', at('shares')), {}, 'file-exists'],
    ] as const) {
      const told = await refused(on('phone', ...args), '', env)
      expect(told.code, args.join(' ')).toBe(code)
    }
    expect(existsSync(at('new.key'))).toBe(false)
    expect(await everything()).toEqual(before)
  }, 240_000)

  it('prints shares where nobody watches, and ends a set of them', async () => {
    const splitting = ['keys', 'backup', 'shares', '--threshold', '2', '--count', '2']
    const printed = await done(on('phone', ...splitting, '--name', 'for the aunts'))
    expect(printed.match(/^# Share \d of 2/gm)).toHaveLength(2)
    const [check] = await objects(on('phone', 'keys', 'verify', '--shares'), printed)
    expect(check?.form).toBe('shares')
    const [status] = await objects(on('phone', 'keys', 'status'))
    const keys = status?.recoveryKeys as { deviceId: string; name: string }[]
    const id = keys.find(({ name }) => name === 'for the aunts')?.deviceId as string
    expect((await refused(on('phone', 'keys', 'revoke', id))).code).toBe('usage')
    const gone = await run(on('phone', 'keys', 'revoke', id.slice(0, 7), '--yes'))
    expect(gone.out).toContain('"for the aunts" opens the vault no more.')
    const trying = await refused(on('phone', 'keys', 'verify', '--shares'), printed)
    expect(trying).toMatchObject({ code: 'key-revoked', exit: 3 })
    const again = await refused(on('phone', 'keys', 'revoke', id, '--yes'))
    expect(again).toMatchObject({ code: 'not-found', exit: 2 })
  }, 240_000)

  it('ends the key that a device came in by, and keeps that device', async () => {
    const lost = at('lost.key')
    const making = ['keys', 'backup', 'key-file', lost]
    const [{ keyId } = {}] = await objects(on('phone', ...making), '', UNLOCKED)
    await done(on('guest', 'restore', '--key-file', lost, '--name', 'guest'), '', UNLOCKED)
    const [alone] = await objects(on('guest', 'keys', 'revoke', keyId as string, '--yes'))
    expect(alone?.revoked).toMatchObject([{ deviceId: keyId }])
    await done(on('guest', 'put', 'notes', 'later', '{}'))
    await done(on('guest', 'sync'))

    const second = at('second.key')
    const again = ['keys', 'backup', 'key-file', second]
    const [{ keyId: secondId } = {}] = await objects(on('phone', ...again), '', UNLOCKED)
    await done(on('thief', 'restore', '--key-file', second, '--name', 'thief'), '', UNLOCKED)
    const revoking = ['keys', 'revoke', secondId as string, '--yes', '--since', 'all']
    const [both] = await objects(on('phone', ...revoking))
    expect(both?.revoked).toMatchObject([{ deviceId: secondId }, { name: 'thief' }])
    expect((await refused(on('thief', 'sync'))).code).toBe('not-a-member')
    const [{ deviceId } = {}] = await objects(on('guest', 'status'))
    await done(on('phone', 'devices', 'revoke', deviceId as string, '--yes'))
  }, 240_000)

  it('keeps what a key file is called by its passphrase, and the words out of every folder', () => {
    const kept = readFileSync(home.keyFile, 'utf8')
    expect(kept).not.toContain(PASSPHRASE)
    expect(kept).not.toContain(home.phrase.split(' ').slice(0, 2).join(' '))
  })
})

it('settles two lists of devices by the phrase', async () => {
  const laptop = on('laptop', 'restore', '--remote', home.remote.url, '--name', 'laptop')
  await done(laptop, home.phrase)
  await done(on('phone', 'sync'))
  const { port } = new URL(home.remote.url)
  await kill(home.remote.child)
  const [one, two] = [at('remote-one'), at('remote-two')]
  for (const copy of [one, two]) copyRemote(home.remoteFolder, copy)
  const first = await serve(one, { port })
  await done(on('phone', 'keys', 'rotate'))
  await kill(first.child)
  const second = await serve(two, { port })
  await done(on('laptop', 'keys', 'rotate'))
  expect((await refused(on('phone', 'sync'))).code).toBe('keychain-forked')
  const unsettled = await storedIn(two)
  const wrong = await refused(on('phone', 'keys', 'end-fork'), OTHER_PHRASE)
  expect(wrong).toMatchObject({ code: 'wrong-phrase', exit: 3 })
  expect(await storedIn(two)).toEqual(unsettled)
  const [settled] = await objects(on('phone', 'keys', 'end-fork', '--keep-all'), home.phrase)
  const devices = settled?.devices as { name: string }[]
  expect(devices.map(({ name }) => name).sort()).toEqual(['laptop', 'the phone'])
  await done(on('phone', 'put', 'notes', 'c', '{"text":"after the fork"}'))
  await done(on('phone', 'sync'))
  await done(on('laptop', 'sync'))
  expect(await done(on('laptop', 'export'))).toBe(await done(on('phone', 'export')))
  await kill(second.child)
  await rm(one, { recursive: true })
}, 240_000)

/** Of no vault of ours: the phrase of 32 zero bytes. */
const OTHER_PHRASE = `${'abandon '.repeat(23)}art\n`

const sharesText = (): string =>
  home.shares
    .slice(0, 2)
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n')

/** As somebody pipes them who has copied them by hand: a line for each. */
const sharesInLines = (): string =>
  sharesText()
    .replace(/^#.*$/gm, '')
    .split(/\n\s*\n/)
    .map((share) => (share.match(/[a-z]+/g) ?? []).join(' '))
    .join('\n')
