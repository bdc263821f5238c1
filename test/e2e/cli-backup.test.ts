/**
 * `blindcopy backup` and the emergency kit, as a person uses them: made, tried, killed half-way and
 * gone on with; and when every device and the remote are lost, a vault that comes back from a file
 * and 24 words. Whatever is wrong is refused with its own code, and nothing is made of it.
 *
 * Lessons: A21, C2. Decision 0027.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { COMMAND, done, objects, run, type Served, serve } from './commands.ts'
import { filesBelow, kill, REGISTRATION_TOKEN, startProcess, temporaryFolder } from './processes.ts'

const TOKEN = ['--registration-token', REGISTRATION_TOKEN]
const UNREACHABLE = 'http://127.0.0.1:9'

type Home = {
  readonly root: string
  readonly file: string
  readonly remote: Served
  readonly phrase: string
  readonly on: (name: string, ...args: string[]) => string[]
}

async function makeHome(records: readonly (readonly [string, string])[] = []): Promise<Home> {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const on = (name: string, ...args: string[]) => [...args, '--vault', join(root, name)]
  const [made] = await objects(on('phone', 'init', '--remote', remote.url, ...TOKEN))
  if (records.length > 0) {
    const lines = records.map(([key, text]) => JSON.stringify({ key, text })).join('\n')
    writeFileSync(join(root, 'lines.jsonl'), `${lines}\n`)
    const path = join(root, 'lines.jsonl')
    await done(on('phone', 'import', 'notes', path, '--key', 'key'))
  }
  return { root, remote, on, file: join(root, 'v.backup'), phrase: `${made?.recoveryPhrase}\n` }
}

/** 24 MB: enough to be killed in the middle of. */
const many = Array.from({ length: 3_000 }, (_, i) => [`n${i}`, `${i} `.repeat(1_800)] as const)

async function failing(args: readonly string[], input = ''): Promise<string> {
  const { err } = await run([...args, '--json'], input)
  const last = err.trim().split('\n').at(-1) ?? ''
  return (JSON.parse(last) as { error: { code: string } }).error.code
}

/** Until it is so; the process is another one, so there is nothing to wait for here. */
async function until(holds: () => boolean, child: { exitCode: number | null }): Promise<void> {
  while (!holds() && child.exitCode === null) await new Promise((next) => setImmediate(next))
}

it('brings everything back when every device and the remote are gone', async () => {
  const { root, remote, on, file, phrase } = await makeHome([['first', 'synced']])
  await done(on('phone', 'sync'))
  await done(on('phone', 'put', 'notes', 'unsent', '{"text":"秘密 canary"}'))
  await done(on('phone', 'put', 'notes', 'gone', '{"text":"x"}'))
  await done(on('phone', 'delete', 'notes', 'gone'))
  const [created] = await objects(on('phone', 'backup', 'create', file))
  expect(created).toMatchObject({ path: file, keptBytes: 0, isAnew: false })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  for (const word of ['秘密', 'canary', 'unsent', ...phrase.trim().split(' ').slice(0, 3)]) {
    const isShort = word.length < 6 && /^[a-z]+$/.test(word)
    if (!isShort) expect(readFileSync(file).includes(word), word).toBe(false)
  }
  const shown = await done(on('phone', 'export'))
  const drilled = { opened: created?.records, unopened: 0, deleted: 1 }
  expect(await objects(on('phone', 'backup', 'verify', file))).toMatchObject([
    { ...drilled, newerHere: 0, missingInBackup: 0, keychain: 'same' },
  ])
  await kill(remote.child)
  rmSync(join(root, 'phone'), { recursive: true })
  rmSync(join(root, 'remote'), { recursive: true })
  expect(await done(['backup', 'verify', file])).toContain('is whole')
  expect(await done(['backup', 'verify', file, '--phrase'], phrase)).toContain(
    'open with the recovery phrase',
  )
  const fresh = await serve(join(root, 'fresh'))
  const restoring = on('laptop', 'backup', 'restore', file, '--remote', fresh.url, ...TOKEN)
  expect(await objects(restoring, phrase)).toMatchObject([{ unopened: 0, isSynced: true }])
  expect(await done(on('laptop', 'export'))).toBe(shown)
  await done(on('tablet', 'restore', '--remote', fresh.url), phrase)
  expect(await done(on('tablet', 'export'))).toBe(shown)
  await done(on('tablet', 'put', 'notes', 'later', '{"text":"goes on"}'))
  await done(on('tablet', 'sync'))
  await done(on('laptop', 'sync'))
  expect(await done(on('laptop', 'export'))).toBe(await done(on('tablet', 'export')))
}, 120_000)

it('needs no remote to restore, and gives all to one that comes later', async () => {
  const { root, on, file, phrase } = await makeHome([['n', 'x']])
  await done(on('phone', 'backup', 'create', file))
  const shown = await done(on('phone', 'export'))
  const spare = await serve(join(root, 'spare'))
  const port = new URL(spare.url).port
  await kill(spare.child)
  const [restored] = await objects(
    on('laptop', 'backup', 'restore', file, '--remote', spare.url),
    phrase,
  )
  expect(restored).toMatchObject({ isSynced: false, unopened: 0 })
  expect(await done(on('laptop', 'export'))).toBe(shown)
  const late = await serve(join(root, 'late'), { port })
  await done(on('laptop', 'sync', ...TOKEN))
  await done(on('tablet', 'restore', '--remote', late.url), phrase)
  expect(await done(on('tablet', 'export'))).toBe(shown)
}, 120_000)

it('that is outdated loses nothing to what the remote has by then', async () => {
  const { remote, on, file, phrase } = await makeHome([
    ['kept', 'old'],
    ['changed', 'old'],
    ['gone', 'old'],
  ])
  await done(on('phone', 'sync'))
  await done(on('phone', 'backup', 'create', file))
  await done(on('phone', 'put', 'notes', 'changed', '{"text":"new"}'))
  await done(on('phone', 'delete', 'notes', 'gone'))
  await done(on('phone', 'sync'))
  // Another device since then: the list of devices of the remote is longer than the backup's.
  await done(on('tablet', 'restore', '--remote', remote.url), phrase)
  expect(await objects(on('phone', 'backup', 'verify', file))).toMatchObject([{ newerHere: 2 }])
  const restoring = on('laptop', 'backup', 'restore', file, '--remote', remote.url)
  expect(await objects(restoring, phrase)).toMatchObject([{ isSynced: true }])
  await done(on('phone', 'sync'))
  const shown = await done(on('phone', 'export'))
  expect(shown).not.toContain('"gone"')
  expect(shown).toContain('new')
  expect(await done(on('laptop', 'export'))).toBe(shown)
  expect(await objects(on('phone', 'backup', 'verify', file))).toMatchObject([
    { keychain: 'older' },
  ])
}, 120_000)

it('killed while it is made, goes on, and has its name only when it is whole', async () => {
  const { on, file } = await makeHome(many)
  const part = `${file}.part`
  const sizeOf = () => (existsSync(part) ? statSync(part).size : 0)
  const { child } = startProcess(process.execPath, [
    COMMAND,
    ...on('phone', 'backup', 'create', file),
  ])
  await until(() => sizeOf() > 4_000_000, child)
  await kill(child)
  expect(existsSync(file)).toBe(false)
  expect(sizeOf()).toBeGreaterThan(0)
  const [created] = await objects(on('phone', 'backup', 'create', file))
  expect(created?.keptBytes).toBeGreaterThan(2_000_000)
  expect(created).toMatchObject({ isAnew: false, records: many.length + 1 })
  expect(existsSync(part)).toBe(false)
  expect(await objects(on('phone', 'backup', 'verify', file))).toMatchObject([
    { same: many.length + 1, unopened: 0, missingInBackup: 0 },
  ])
  writeFileSync(part, readFileSync(file).subarray(0, 3_000_000))
  await done(on('phone', 'put', 'notes', 'more', '{"text":"changed since"}'))
  expect(await objects(on('phone', 'backup', 'create', file, '--force'))).toMatchObject([
    { isAnew: true, keptBytes: 0, records: many.length + 2 },
  ])
}, 120_000)

it('killed while it is restored, goes on with the same command', async () => {
  const { on, root, remote, file, phrase } = await makeHome(many)
  await done(on('phone', 'backup', 'create', file))
  await kill(remote.child)
  const fresh = await serve(join(root, 'fresh'))
  const args = on('laptop', 'backup', 'restore', file, '--remote', fresh.url, ...TOKEN)
  const config = join(root, 'laptop', 'vault.json')
  const { child } = startProcess(process.execPath, [COMMAND, ...args])
  child.stdin?.end(phrase)
  await until(() => existsSync(config), child)
  await kill(child)
  expect(existsSync(config)).toBe(true)
  const [restored] = await objects(args, phrase)
  expect(restored).toMatchObject({ records: many.length + 1, unopened: 0, isSynced: true })
  expect(await done(on('laptop', 'export'))).toBe(await done(on('phone', 'export')))
  expect(await objects(args, phrase)).toMatchObject([{ new: 0, conflicts: 0 }])
}, 120_000)

it('on a full disk says so, leaves no half file, and goes on when there is room', async () => {
  const { on, file } = await makeHome(many.slice(0, 1_000))
  // What the database has to tidy up of the import, it has tidied up by now.
  await done(on('phone', 'list'))
  const command = 'ulimit -f 3000; exec "$@"'
  const args = [process.execPath, COMMAND, ...on('phone', 'backup', 'create', file, '--json')]
  const child = spawn('bash', ['-c', command, 'bash', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  await once(child, 'close')
  expect(Buffer.concat(said).toString()).toContain('"store-full"')
  expect(existsSync(file)).toBe(false)
  const [created] = await objects(on('phone', 'backup', 'create', file))
  expect(created?.keptBytes).toBeGreaterThan(1_000_000)
  expect(await objects(on('phone', 'backup', 'verify', file))).toMatchObject([{ unopened: 0 }])
}, 120_000)

it('refuses what is wrong, each by its code, and makes nothing of it', async () => {
  const { root, on, file, phrase } = await makeHome([['n', 'x']])
  await done(on('phone', 'backup', 'create', file))
  expect(await failing(on('phone', 'backup', 'create', file))).toBe('file-exists')
  const nowhere = join(root, 'no', 'folder', 'b')
  expect(await failing(on('phone', 'backup', 'create', nowhere))).toBe('store-failed')
  const [other] = await objects(on('other', 'init', '--remote', UNREACHABLE))
  const bytes = readFileSync(file)
  const at = (name: string, content: Uint8Array): string => {
    writeFileSync(join(root, name), content)
    return join(root, name)
  }
  const changed = Buffer.from(bytes)
  changed[bytes.length >> 1] = (changed[bytes.length >> 1] as number) ^ 1
  const later = Buffer.from(bytes)
  // Behind magic, length, the head of the array and its kind.
  later[14] = 2
  const files = {
    [at('changed', changed)]: 'backup-damaged',
    [at('cut', bytes.subarray(0, -10))]: 'backup-cut',
    [at('empty', Buffer.alloc(0))]: 'backup-cut',
    [at('text', Buffer.from('no backup at all'))]: 'backup-damaged',
    [at('later', later)]: 'unsupported-version',
    [join(root, 'no-such')]: 'unreadable',
    [root]: 'unreadable',
  }
  const before = await done(on('phone', 'export'))
  for (const [path, code] of Object.entries(files)) {
    expect(await failing(['backup', 'verify', path]), path).toBe(code)
    expect(await failing(on('phone', 'backup', 'verify', path)), path).toBe(code)
    const restoring = on('new', 'backup', 'restore', path, '--remote', UNREACHABLE)
    expect(await failing(restoring, phrase), path).toBe(code)
  }
  const restoring = on('new', 'backup', 'restore', file, '--remote', UNREACHABLE)
  expect(await failing(restoring, `${other?.recoveryPhrase}\n`)).toBe('wrong-phrase')
  expect(await failing(restoring, 'zoo zoo zoo')).toBe('phrase-malformed')
  const phrased = ['backup', 'verify', file, '--phrase']
  expect(await failing(phrased, `${other?.recoveryPhrase}\n`)).toBe('wrong-phrase')
  expect(existsSync(join(root, 'new'))).toBe(false)
  expect(await failing(on('other', 'backup', 'verify', file))).toBe('wrong-vault')
  const into = on('other', 'backup', 'restore', file, '--remote', UNREACHABLE)
  expect(await failing(into, phrase)).toBe('wrong-vault')
  expect(await done(on('phone', 'export'))).toBe(before)
}, 120_000)

it('a kit restores the vault, by its page or by what its code says', async () => {
  const root = temporaryFolder()
  const remote = await serve(join(root, 'remote'))
  const on = (name: string, ...args: string[]) => [...args, '--vault', join(root, name)]
  const [kit, again] = [join(root, 'kit.html'), join(root, 'again.html')]
  const making = on('phone', 'init', '--remote', remote.url, ...TOKEN, '--kit', kit)
  const [made] = await objects(making)
  expect(statSync(kit).mode & 0o777).toBe(0o600)
  await done(on('phone', 'put', 'notes', 'n', '{"text":"x"}'))
  await done(on('phone', 'sync'))
  const page = readFileSync(kit, 'utf8')
  await done(on('laptop', 'restore', '--remote', remote.url), page)
  const line = /content="(blindcopy-kit:[^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&')
  await done(on('tablet', 'restore', '--remote', remote.url), `${line}\n`)
  expect(await done(on('tablet', 'export'))).toBe(await done(on('phone', 'export')))
  const phrase = `${made?.recoveryPhrase}\n`
  await done(on('laptop', 'keys', 'kit', again), phrase)
  expect(statSync(again).mode & 0o777).toBe(0o600)
  expect(await failing(on('laptop', 'keys', 'kit', again), phrase)).toBe('file-exists')
  const [other] = await objects(on('other', 'init', '--remote', UNREACHABLE))
  const third = join(root, 'third.html')
  const wrong = `${other?.recoveryPhrase}\n`
  expect(await failing(on('laptop', 'keys', 'kit', third), wrong)).toBe('wrong-phrase')
  expect(await failing(on('laptop', 'keys', 'kit', third), '<html>')).toBe('kit-damaged')
  expect(existsSync(third)).toBe(false)
  const taken = on('late', 'init', '--remote', remote.url, ...TOKEN, '--kit', kit)
  expect(await failing(taken)).toBe('file-exists')
  expect(existsSync(join(root, 'late'))).toBe(false)
  // Nothing of a kit is kept where the vault is.
  const words = phrase.trim().split(' ').slice(0, 3).join('-')
  for (const { bytes } of filesBelow(join(root, 'phone'))) expect(bytes.includes(words)).toBe(false)
}, 120_000)
