/**
 * Every way back into a vault by the command line: the phrase, a kit, a key file with its
 * passphrase, shares; with the remote, and with a vault backup onto an empty remote when the old
 * one is gone. And everything that may be wrong with one of them: its own code, a remedy, and
 * nothing changed, neither on the disk nor at the remote.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { done, type Env, objects, refused, serve } from './commands.ts'
import { copyRemote, type KeyHome, makeKeyHome, storedIn, TOKEN, UNLOCKED } from './key-home.ts'
import { endStarted, kill, temporaryFolder } from './processes.ts'

const UNREACHABLE = 'http://127.0.0.1:9'

let home: KeyHome
let shown: string
/** Another vault, with a phrase, a key file and shares of its own. */
let other: KeyHome

beforeAll(async () => {
  home = await makeKeyHome()
  other = await makeKeyHome()
  shown = await done(home.on('phone', 'export'))
}, 240_000)
afterAll(endStarted)

type Way = { readonly args: string[]; readonly input?: string; readonly env?: Env }

const textOf = (paths: readonly string[]): string =>
  paths.map((path) => readFileSync(path, 'utf8')).join('\n')
const shareArgs = (paths: readonly string[]): string[] => paths.flatMap((path) => ['--share', path])

/** By name, so that tests are listed before there is a home. */
const WAYS: Readonly<Record<string, (from: KeyHome) => Way>> = {
  'the phrase': ({ phrase }) => ({ args: [], input: phrase }),
  'the phrase in capitals and four letters a word': ({ phrase }) => ({
    args: [],
    input: phrase
      .trim()
      .split(' ')
      .map((word) => word.slice(0, 4).toUpperCase())
      .join('\n  '),
  }),
  'a kit': ({ kit }) => ({ args: ['--kit', kit] }),
  'a key file and its passphrase': ({ keyFile }) => ({
    args: ['--key-file', keyFile],
    env: UNLOCKED,
  }),
  'a key file that is piped in': ({ keyFile }) => ({
    args: [],
    input: textOf([keyFile]),
    env: UNLOCKED,
  }),
  'two shares in files': ({ shares }) => ({ args: shareArgs(shares.slice(1)) }),
  'two shares that are typed': ({ shares }) => ({
    args: ['--shares'],
    input: textOf([shares[2] as string, shares[0] as string]),
  }),
}
const names = Object.keys(WAYS)
/** What is read in the same way wherever it is asked for. */
const OTHER_SPELLINGS: ReadonlySet<string> = new Set([
  'the phrase in capitals and four letters a word',
  'a key file that is piped in',
  'two shares in files',
])
const wayOf = (name: string, from: KeyHome): Way => (WAYS[name] as (from: KeyHome) => Way)(from)

describe('with the remote, restores by', () => {
  it.each(names)(
    '%s',
    async (name) => {
      const { on, remote } = home
      const { args, input, env } = wayOf(name, home)
      const device = `restored by ${name}`
      const knows = ['--kit', '--key-file'].includes(args[0] ?? '')
      const where = knows ? [] : ['--remote', remote.url]
      const restoring = on(device, 'restore', ...args, ...where, '--name', device)
      const [restored] = await objects(restoring, input, env)
      expect(restored?.devices).toContainEqual(
        expect.objectContaining({ name: device, isThis: true }),
      )
      expect(await done(on(device, 'export'))).toBe(shown)
    },
    120_000,
  )

  it('`keys restore` too, and keeps all or removes whom it is told to', async () => {
    const { on, remote, phrase } = home
    const restore = (...more: string[]) => ['--remote', remote.url, '--name', 'late', ...more]
    const [all] = await objects(on('late', 'keys', 'restore', ...restore('--keep-all')), phrase)
    const [first] = await objects(on('late2', 'keys', 'restore', ...restore()), phrase)
    const lateId = `${all?.deviceId}`.slice(0, 7)
    const [without] = await objects(
      on('late3', 'keys', 'restore', ...restore('--revoke', lateId)),
      phrase,
    )
    const ids = (listed: unknown) => (listed as { deviceId: string }[]).map((one) => one.deviceId)
    expect(ids(first?.devices)).toContain(all?.deviceId)
    expect(ids(without?.devices)).not.toContain(all?.deviceId)
    expect(ids(without?.devices)).toContain(first?.deviceId)
    expect(await refused(on('late', 'sync'))).toMatchObject({ code: 'not-a-member', exit: 3 })
    expect(await done(on('late', 'export'))).toBe(shown)
  }, 240_000)
})

describe('with a vault backup and the remote gone, restores onto an empty one by', () => {
  it.each(names.filter((name) => !OTHER_SPELLINGS.has(name)))(
    '%s',
    async (name) => {
      const { on, backup } = home
      const { args, input, env } = wayOf(name, home)
      const device = `brought back by ${name}`
      const fresh = await serve(join(temporaryFolder(), 'fresh'))
      const restoring = ['backup', 'restore', backup, ...args, '--remote', fresh.url, ...TOKEN]
      const [restored] = await objects(on(device, ...restoring), input, env)
      expect(restored).toMatchObject({ unopened: 0, isSynced: true })
      expect(await done(on(device, 'export'))).toBe(shown)
      // The remote has it all by now: the same way leads in there.
      const next = `${device}, again`
      await objects(on(next, 'restore', ...args, '--remote', fresh.url), input, env)
      expect(await done(on(next, 'export'))).toBe(shown)
    },
    120_000,
  )
})

type Wrong = {
  readonly code: string
  readonly exit: number
  /** Something that the remedy or the sentence says. */
  readonly says: RegExp
  readonly way: () => Way
}

const changedAt = (text: string, from: number, to: string): string =>
  text.slice(0, from) + to + text.slice(from + to.length)

/** One word of a text, replaced by another of the list. */
function misspelt(text: string, word: number, by: string): string {
  const words = text.trim().split(/\s+/)
  words[word] = by
  return words.join(' ')
}

const WRONG: Readonly<Record<string, Wrong>> = {
  'the phrase of another vault': {
    ...{ code: 'wrong-phrase', exit: 3, says: /words/ },
    way: () => ({ args: [], input: other.phrase }),
  },
  'a phrase with a word that is on no list': {
    ...{ code: 'phrase-malformed', exit: 2, says: /word 3.*"zebra"/ },
    way: () => ({ args: [], input: misspelt(home.phrase, 2, 'zebrra') }),
  },
  'a phrase with too few words': {
    ...{ code: 'phrase-malformed', exit: 2, says: /24 words/ },
    way: () => ({ args: [], input: home.phrase.trim().split(' ').slice(1).join(' ') }),
  },
  'words in another order': {
    ...{ code: 'phrase-checksum', exit: 2, says: /order/ },
    way: () => ({ args: [], input: swapped(home.phrase) }),
  },
  'a damaged kit': {
    ...{ code: 'kit-damaged', exit: 2, says: /24 words/ },
    way: () => ({
      args: ['--kit', write('kit.html', textOf([home.kit]).replaceAll('blindcopy-kit:', 'x:'))],
    }),
  },
  'a wrong passphrase': {
    ...{ code: 'passphrase-wrong', exit: 2, says: /again/ },
    way: () => ({
      args: ['--key-file', home.keyFile],
      env: { BLINDCOPY_KEY_FILE_PASSPHRASE: 'not these words at all' },
    }),
  },
  'a damaged key file': {
    ...{ code: 'recovery-file-damaged', exit: 5, says: /another copy/ },
    way: () => {
      const text = textOf([home.keyFile])
      const at = text.lastIndexOf('\n', text.length - 80) + 5
      const to = text[at] === 'A' ? 'B' : 'A'
      return { args: ['--key-file', write('bad.key', changedAt(text, at, to))], env: UNLOCKED }
    },
  },
  'a key file that is cut': {
    ...{ code: 'recovery-file-damaged', exit: 5, says: /another copy/ },
    way: () => ({
      args: ['--key-file', write('cut.key', textOf([home.keyFile]).slice(0, 200))],
      env: UNLOCKED,
    }),
  },
  'the keys of a device in the place of a key file': {
    ...{ code: 'recovery-kind-wrong', exit: 2, says: /device/ },
    way: () => ({ args: ['--key-file', join(home.root, 'phone', 'device.keys')] }),
  },
  'too few shares': {
    ...{ code: 'shares-too-few', exit: 2, says: /more shares/ },
    way: () => ({ args: shareArgs(home.shares.slice(0, 1)) }),
  },
  'the same share twice': {
    ...{ code: 'shares-too-few', exit: 2, says: /more shares/ },
    way: () => ({ args: shareArgs([home.shares[0] as string, home.shares[0] as string]) }),
  },
  'shares of two sets': {
    ...{ code: 'shares-mixed', exit: 2, says: /do not belong/ },
    way: () => ({ args: shareArgs([home.shares[0] as string, other.shares[1] as string]) }),
  },
  'a share with a wrong word': {
    ...{ code: 'share-checksum', exit: 2, says: /word 8 may be/ },
    way: () => {
      const [first, second] = home.shares.map(wordsOf) as [string, string]
      const instead = first.split(' ')[7] === 'zoo' ? 'year' : 'zoo'
      return { args: ['--shares'], input: `${misspelt(first, 7, instead)}\n\n${second}\n` }
    },
  },
  'no file': {
    ...{ code: 'unreadable', exit: 2, says: /path/ },
    way: () => ({ args: ['--key-file', join(home.root, 'none.key')] }),
  },
  'two ways at once': {
    ...{ code: 'usage', exit: 2, says: /one way back/ },
    way: () => ({ args: ['--key-file', home.keyFile, ...shareArgs(home.shares)] }),
  },
}

const wordsOf = (path: string): string =>
  (
    textOf([path])
      .replace(/^#.*$/gm, '')
      .match(/[a-z]+/g) ?? []
  ).join(' ')

const AT_BOTH_DOORS: ReadonlySet<string> = new Set([
  'the phrase of another vault',
  'a damaged key file',
  'too few shares',
  'shares of two sets',
])

function swapped(phrase: string): string {
  const words = phrase.trim().split(' ')
  const at = words.findIndex((word, i) => word !== words[i + 1])
  const [one, two] = words.slice(at, at + 2) as [string, string]
  words.splice(at, 2, two, one)
  return words.join(' ')
}

function write(name: string, text: string): string {
  const path = join(home.root, name)
  writeFileSync(path, text)
  return path
}

describe('refuses, and changes nothing for', () => {
  it.each(Object.keys(WRONG))(
    '%s',
    async (name) => {
      const { code, exit, says, way } = WRONG[name] as Wrong
      const { args, input, env } = way()
      const before = await everything()
      const byBackup = ['backup', 'restore', home.backup, ...args, '--remote', UNREACHABLE]
      const doors = [
        ['restore', ...args, '--remote', home.remote.url],
        ...(AT_BOTH_DOORS.has(name) ? [byBackup] : []),
      ]
      for (const door of doors) {
        const { remedy, message, ...told } = await refused(home.on('none', ...door), input, env)
        expect(told, `${door[0]}: ${message}`).toEqual({ code, exit })
        expect(`${message} ${remedy}`).toMatch(says)
      }
      expect(existsSync(join(home.root, 'none'))).toBe(false)
      expect(await everything()).toEqual(before)
    },
    120_000,
  )

  it('a key that is of another vault than the backup, and a revoked one', async () => {
    const { on, backup, remote } = home
    const spare = join(home.root, 'spare.key')
    const [{ keyId } = {}] = await objects(
      on('phone', 'keys', 'backup', 'key-file', spare),
      '',
      UNLOCKED,
    )
    await done(on('phone', 'keys', 'revoke', keyId as string, '--yes'))
    const before = await everything()
    const restoring = ['backup', 'restore', backup, '--remote', UNREACHABLE]
    const byOther = on('none', ...restoring, '--key-file', other.keyFile)
    expect(await refused(byOther, '', UNLOCKED)).toMatchObject({ code: 'wrong-vault', exit: 2 })
    const byShares = on('none', ...restoring, ...shareArgs(other.shares))
    expect(await refused(byShares)).toMatchObject({ code: 'wrong-vault', exit: 2 })
    const byRevoked = on('none', 'restore', '--key-file', spare)
    expect(await refused(byRevoked, '', UNLOCKED)).toMatchObject({
      ...{ code: 'key-revoked', exit: 3 },
      remedy: expect.stringContaining('recovery phrase'),
    })
    // A remote that has never heard of the vault.
    const at = ['--remote', other.remote.url]
    const elsewhere = on('none', 'restore', '--key-file', home.keyFile, ...at)
    expect((await refused(elsewhere, '', UNLOCKED)).code).toBe('key-unknown')
    const lost = on('none', 'restore', ...shareArgs(home.shares), ...at)
    expect((await refused(lost)).code).toBe('key-unknown')
    expect((await refused(on('none', 'restore', '--remote', UNREACHABLE), home.phrase)).code).toBe(
      'network',
    )
    const nowhere = await refused(on('none', 'restore', ...shareArgs(home.shares)))
    expect(nowhere).toMatchObject({ code: 'usage', message: expect.stringContaining('--remote') })
    const taken = on('phone', 'restore', '--remote', remote.url)
    expect((await refused(taken, home.phrase)).code).toBe('vault-exists')
    expect(existsSync(join(home.root, 'none'))).toBe(false)
    expect(await everything()).toEqual(before)
  }, 240_000)

  it('a vault backup or a remote that is older than the key file', async () => {
    const { on, backup, remoteFolder, root } = home
    const old = join(root, 'old-remote')
    copyRemote(remoteFolder, old)
    const newer = join(root, 'newer.key')
    await done(on('phone', 'keys', 'backup', 'key-file', newer), '', UNLOCKED)
    const stale = await serve(old)
    const before = [await everything(), await storedIn(old)]
    const outdated = { code: 'keychain-outdated', exit: 5 }
    const byBackup = ['backup', 'restore', backup, '--remote', UNREACHABLE, '--key-file', newer]
    expect(await refused(on('none', ...byBackup), '', UNLOCKED)).toMatchObject(outdated)
    const byRemote = ['restore', '--key-file', newer, '--remote', stale.url]
    const told = await refused(on('none', ...byRemote), '', UNLOCKED)
    expect(told).toMatchObject({ code: 'key-revoked', exit: 3 })
    expect(told.message).toContain('the remote is older than the key')
    expect(existsSync(join(root, 'none'))).toBe(false)
    expect([await everything(), await storedIn(old)]).toEqual(before)
    await kill(stale.child)
    rmSync(old, { recursive: true })
  }, 240_000)
})

/** What the phone and the remote have stored. */
async function everything(): Promise<Record<string, string>[]> {
  return [await storedIn(join(home.root, 'phone')), await storedIn(home.remoteFolder)]
}
