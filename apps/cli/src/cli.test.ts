/**
 * The built command as a person or a script meets it: child processes, a real remote on loopback,
 * and what they print and end with.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const BIN = fileURLToPath(new URL('../bin/blindcopy.js', import.meta.url))
const NOBODY = 'http://127.0.0.1:9'

type Result = { code: number | null; out: string; err: string }
type Served = { url: string; token: string; child: ChildProcess }

let folder: string
let remote: Served
const children: ChildProcess[] = []
const at = (...parts: string[]): string => join(folder, ...parts)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blindcopy-cli-'))
  remote = await serve('data')
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

function start(args: string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
  })
  children.push(child)
  return child
}

async function run(args: string[], input = '', env: Record<string, string> = {}): Promise<Result> {
  const child = start(args, env)
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    err += text
  })
  child.stdin?.end(input)
  const [code] = await once(child, 'close')
  return { code, out, err }
}

async function serve(data: string, ...more: string[]): Promise<Served> {
  const child = start(['serve', '--data', at(data), '--port', '0', '--json', ...more])
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const [line] = await once(lines, 'line')
  const { url, registrationToken: token } = JSON.parse(line)
  return { url, token, child }
}

/** One JSON object of an answer, after checking that the command was done. */
async function answer(args: string[], input = ''): Promise<Record<string, unknown>> {
  const result = await run([...args, '--json'], input)
  expect(result, result.err).toMatchObject({ code: 0 })
  return JSON.parse(result.out)
}

async function init(name: string): Promise<string> {
  const args = ['--remote', remote.url, '--registration-token', remote.token, '--name', name]
  const made = await answer(['init', '--vault', at(name), ...args])
  expect(Object.keys(made)).toEqual(['vaultId', 'deviceId', 'recoveryPhrase'])
  return String(made.recoveryPhrase)
}

const errorOf = (result: Result): unknown => ({
  code: result.code,
  error: JSON.parse(result.err.trim().split('\n').at(-1) ?? '').error.code,
})

describe('blindcopy', () => {
  it('keeps two devices the same, from init to export', async () => {
    const phone = ['--vault', at('phone')]
    const laptop = ['--vault', at('laptop')]
    const phrase = await init('phone')
    await answer(['put', 'notes', 'b', '{"n":{"$bigint":"5"}}', ...phone])
    await answer(['put', 'notes', 'a', '-', ...phone], '{"title":"Hello"}')
    await answer(['put', 'other', '__proto__', '{"__proto__":null}', ...phone])
    expect((await run(['get', 'notes', 'a', ...phone])).out).toBe('{\n  "title": "Hello"\n}\n')
    expect(await answer(['sync', ...phone])).toMatchObject({ sent: 3, pending: 0, attention: 0 })

    const restored = await answer(['restore', '--remote', remote.url, ...laptop], `\n${phrase}\n`)
    expect(restored.devices).toHaveLength(2)
    await answer(['delete', 'notes', 'b', ...laptop])
    await answer(['sync', ...laptop])
    await answer(['sync', ...phone])

    const exported = await run(['export', ...phone])
    expect(exported).toEqual({
      code: 0,
      out:
        '{"collection":"notes","key":"a","fields":{"title":"Hello"}}\n' +
        '{"collection":"other","key":"__proto__","fields":{"__proto__":null}}\n',
      err: '',
    })
    expect(await run(['export', ...laptop])).toEqual(exported)
    expect(await run(['list', 'notes', '--json', ...laptop])).toMatchObject({
      out: '{"collection":"notes","key":"a","fields":{"title":"Hello"}}\n',
    })
    const seen = await run(['inspect', '--as-remote', '--json', ...phone])
    expect(seen.code).toBe(0)
    expect(seen.out).not.toMatch(/Hello|notes|title|phone/)
    expect(await answer(['status', ...phone])).toMatchObject({ pending: 0, quarantined: 0 })
  })

  it('asks for the passphrase that protects a device', async () => {
    const args = ['init', '--vault', at('locked'), '--remote', NOBODY, '--passphrase', '--json']
    expect(errorOf(await run(args))).toEqual({ code: 2, error: 'usage' })
    const env = { BLINDCOPY_PASSPHRASE: 'swordfish', BLINDCOPY_VAULT: at('locked') }
    expect(await run(args, '', env)).toMatchObject({ code: 0 })
    const without = await run(['status', '--vault', at('locked'), '--json'])
    expect(errorOf(without)).toEqual({ code: 2, error: 'passphrase-required' })
    const wrong = await run(['status', '--json'], '', { ...env, BLINDCOPY_PASSPHRASE: 'x' })
    expect(errorOf(wrong)).toEqual({ code: 2, error: 'passphrase-wrong' })
    expect(await run(['status', '--json'], '', env)).toMatchObject({ code: 0 })
  })

  it('writes before there is a remote, and says so', async () => {
    const made = await run(['init', '--vault', at('early'), '--remote', NOBODY, '--json'])
    expect(made.code).toBe(0)
    expect(JSON.parse(made.err)).toMatchObject({ warning: { code: 'network' } })
    await answer(['put', 'notes', 'n', '{}', '--vault', at('early')])
    const synced = await run(['sync', '--vault', at('early'), '--json'])
    expect(errorOf(synced)).toEqual({ code: 4, error: 'network' })
    expect(await answer(['status', '--vault', at('early')])).toMatchObject({ pending: 1 })
  })

  it('registers at a later sync a vault that was made without its token', async () => {
    const vault = ['--vault', at('later')]
    const server = await serve('data-later')
    server.child.kill('SIGTERM')
    await once(server.child, 'exit')
    const made = await run(['init', ...vault, '--remote', server.url, '--json'])
    expect(made.code).toBe(0)
    const again = await serve('data-later', '--port', new URL(server.url).port)
    const refused = await run(['sync', ...vault, '--json'])
    expect(errorOf(refused)).toEqual({ code: 3, error: 'registration-required' })
    for (const more of [[], ['--watch']]) {
      const given = ['sync', ...vault, '--registration-token', 'wrong', ...more]
      const mistaken = await run([...given, '--json'])
      expect(errorOf(mistaken)).toEqual({ code: 3, error: 'registration-required' })
      expect(mistaken.err).toContain('does not take this registration token')
    }
    // Who has guessed wrong waits for a moment, also with the right one.
    const right = ['sync', ...vault, '--registration-token', again.token, '--json']
    for (let synced = await run(right); synced.code !== 0; synced = await run(right)) {
      expect(errorOf(synced)).toEqual({ code: 3, error: 'too-many-requests' })
    }
    expect(await answer(['status', ...vault])).toMatchObject({ initialSyncComplete: true })
  })

  it('lists the collections there are, and for another program every key whole', async () => {
    const vault = ['--vault', at('shelf')]
    await run(['init', ...vault, '--remote', NOBODY])
    expect(await run(['list', ...vault])).toMatchObject({ code: 0, out: '' })
    const key = 'k'.repeat(120)
    for (const at of ['b', 'a', key]) await answer(['put', 'notes', at, '{}', ...vault])
    await run(['put', ...vault, '--', 'all\tmine', '-k', '{}'])
    expect((await run(['list', ...vault])).out).toBe('all·mine  1 record\nnotes     3 records\n')
    expect((await run(['list', '--json', ...vault])).out).toBe(
      '{"collection":"all\\tmine","records":1}\n{"collection":"notes","records":3}\n',
    )
    expect((await run(['list', 'notes', ...vault])).out).toContain(key)
  })

  it('imports lines and documents, and writes nothing when a line is bad', async () => {
    await init('importer')
    const vault = ['--vault', at('importer')]
    await writeFile(at('good.jsonl'), '\ufeff{"id":7,"t":"a\u2028b"}\r\n\n{"id":"x"}')
    await answer(['import', 'rows', at('good.jsonl'), '--key', 'id', ...vault])
    const rows = await run(['export', 'rows', ...vault])
    expect(rows.out).toContain('"key":"7","fields":{"id":7,"t":"a\u2028b"}')
    await writeFile(at('rows.jsonl'), rows.out)
    await answer(['import', 'copy', at('rows.jsonl'), ...vault])
    expect((await run(['export', 'copy', ...vault])).out).toBe(
      rows.out.replaceAll('"rows"', '"copy"'),
    )
    await writeFile(at('bad.jsonl'), '{"a":1}\n{"a":2}\n{"a":')
    const bad = await run(['import', 'bad', at('bad.jsonl'), '--json', ...vault])
    expect(errorOf(bad)).toEqual({ code: 2, error: 'invalid-line' })
    expect(bad.err).toContain('line 3 ')
    expect((await run(['export', 'bad', ...vault])).out).toBe('')

    await mkdir(at('docs', 'deep'), { recursive: true })
    await writeFile(at('docs', 'deep', 'a.md'), 'intro\n\n## Title ##\n')
    await writeFile(at('docs', 'b.txt'), 'text')
    await writeFile(at('docs', 'c.md'), Buffer.from([0xff, 0xfe]))
    await writeFile(at('docs', 'd.txt'), 'a\0b')
    await writeFile(at('docs', 'e.md'), 'x'.repeat(2 ** 20))
    await writeFile(at('docs', 'f.png'), 'x')
    const imported = await answer(['import', 'docs', at('docs'), ...vault])
    expect(imported).toMatchObject({ stored: 2, unchanged: 0 })
    expect(imported.skipped).toHaveLength(4)
    const again = await answer(['import', 'docs', at('docs'), ...vault])
    expect(again).toMatchObject({ stored: 0, unchanged: 2 })
    const shown = await answer(['get', 'docs', 'deep/a.md', ...vault])
    expect(shown.fields).toMatchObject({ title: 'Title', body: 'intro\n\n## Title ##\n' })
  })

  it('leaves nothing behind when registration is refused', async () => {
    await mkdir(at('was-empty'))
    for (const [path, token] of [
      [at('refused'), 'wrong'],
      [at('was-empty'), 'wrong'],
      [at('refused'), undefined],
    ] as const) {
      const more = token === undefined ? [] : ['--registration-token', token]
      const args = ['init', '--vault', path, '--remote', remote.url, '--json', ...more]
      const refused = await run(args)
      expect(errorOf(refused)).toEqual({ code: 3, error: 'registration-required' })
      expect(refused.err.includes('does not take this')).toBe(token !== undefined)
    }
    expect(existsSync(at('refused'))).toBe(false)
    expect(await readdir(at('was-empty'))).toEqual([])
  })

  it('names what a remote or a phrase is not', async () => {
    const restore = ['restore', '--vault', at('none'), '--json']
    const unlisted = await run([...restore, '--remote', remote.url], 'abandon abandon')
    expect(errorOf(unlisted)).toEqual({ code: 2, error: 'phrase-malformed' })
    const phrase = `${'abandon '.repeat(23)}art`
    const wrong = await run([...restore, '--remote', remote.url], phrase)
    expect(errorOf(wrong)).toEqual({ code: 3, error: 'wrong-phrase' })
    const gone = await run([...restore, '--remote', NOBODY], phrase)
    expect(errorOf(gone)).toEqual({ code: 4, error: 'network' })
    expect(existsSync(at('none'))).toBe(false)
  })
})

describe('blindcopy serve', () => {
  it('keeps its token to itself, refuses a second server, and ends when told', async () => {
    const { child, token, url } = await serve('other')
    const file = at('other', 'registration-token')
    expect(await readFile(file, 'utf8')).toBe(`${token}\n`)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const second = await run(['serve', '--data', at('other'), '--port', '0', '--json'])
    expect(errorOf(second)).toEqual({ code: 1, error: 'store-in-use' })
    const port = new URL(url).port
    const third = await run(['serve', '--data', at('third'), '--port', port, '--json'])
    expect(errorOf(third)).toEqual({ code: 1, error: 'address-in-use' })
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    const again = await serve('other')
    expect(again.token).toBe(token)
  })

  it('tells nobody a token that it was given', async () => {
    const given = await serve('given', '--registration-token', 'a-secret-of-mine')
    expect(given.token).toBeUndefined()
    await writeFile(at('secret'), 'another-secret')
    const named = await serve('named', '--registration-token-file', at('secret'))
    expect(named.token).toBeUndefined()
  })

  it('logs each request, and nothing that names anybody', async () => {
    const { child, url } = await serve('quiet', '--registration', 'open')
    const log = logOf(child)
    const made = await answer(['init', '--vault', at('logged'), '--remote', url])
    await expect.poll(() => log.lines().length).toBeGreaterThan(4)
    expect(log.text()).not.toContain(made.vaultId)
    expect(log.text()).not.toContain(made.deviceId)
    expect(log.text()).not.toContain('address')
    const requests = log.lines().map((line) => JSON.parse(line))
    expect(requests).toContainEqual(expect.objectContaining({ route: '/v1/capabilities' }))
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(log.lines().map((line) => JSON.parse(line).message)).toContain('stopped')
  })

  it('takes its settings from file, variables and flags, and prints them as a file', async () => {
    await mkdir(at('configured'), { recursive: true })
    await writeFile(at('configured', 'remote.toml'), 'registration = "closed"\nlog-format = "off"')
    const { child, url } = await serve('configured')
    const log = logOf(child)
    const refused = await run(['init', '--vault', at('closed'), '--remote', url, '--json'])
    expect(refused.err).toContain('registration-closed')
    expect(log.text()).toBe('')
    const given = ['serve', '--data', at('configured'), '--quota-bytes', '1 GiB', '--print-config']
    const printed = await run(given, '', { BLINDCOPY_METRICS: 'off' })
    const lines = printed.out.split('\n').filter((line) => /^[a-z]/.test(line))
    const names = ['data', 'registration', 'log-format', 'metrics', 'quota-bytes']
    expect(lines.map((line) => line.split(' ')[0])).toEqual(names)
    const wrong = await run(['serve', '--port', 'http', '--json'], '', { HOME: folder })
    expect(errorOf(wrong)).toEqual({ code: 2, error: 'setting-refused' })
    const misspelt = await run(['serve', '--quota-byte', '1', '--json'])
    expect(errorOf(misspelt)).toEqual({ code: 2, error: 'usage' })
    expect((await run(['serve', '--help'])).out).toContain('--quota-bytes <SIZE>')
    expect((await run(['help', 'serve'])).out).toContain('blindcopy serve --help')
  })

  it('takes a changed token without a restart', async () => {
    const { url, token } = await serve('rotated')
    const made = (name: string, given: string) =>
      run(['init', '--vault', at(name), '--remote', url, '--registration-token', given, '--json'])
    await writeFile(at('rotated', 'registration-token'), 'another\n')
    expect((await made('with-old', token)).err).toContain('registration-required')
    expect((await made('with-new', 'another')).code).toBe(0)
  })

  it('warns of what is exposed, and says what to do', async () => {
    const { child } = await serve('exposed', '--host', '0.0.0.0')
    const log = logOf(child)
    await expect.poll(() => log.text()).toContain('"code":"exposed"')
    expect(log.text()).toContain('--origin https://')
  })

  it('ends on a signal though a client does not, and at once on a second', async () => {
    for (const [drain, signals, exit] of [
      ['200 ms', ['SIGTERM'], 0],
      ['1 h', ['SIGINT', 'SIGTERM'], 143],
    ] as const) {
      const { child, url } = await serve(`ending-${exit}`, '--drain-time', drain)
      const log = logOf(child)
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      const head = 'POST /v1/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n'
      socket.write(`${head}Expect: 100-continue\r\n\r\n`)
      await once(socket, 'data')
      const exited = once(child, 'exit')
      for (const signal of signals) {
        child.kill(signal)
        await expect.poll(() => log.text()).toContain('stopping')
      }
      expect(await exited).toEqual([exit, null])
      socket.destroy()
      if (exit === 0) expect(log.text()).toContain('"code":"cut-off"')
    }
  })

  it('tells a crash in its log, without what was in its text, and ends with 1', async () => {
    const crash = `process.on('SIGUSR2', () => { throw new Error('${'a'.repeat(40)} canary') })`
    const modules = `--import data:text/javascript,${encodeURIComponent(crash)}`
    const args = ['serve', '--data', at('crashing'), '--port', '0', '--json']
    const child = start(args, { NODE_OPTIONS: modules })
    const log = logOf(child)
    const [line] = await once(
      createInterface({ input: child.stdout as NodeJS.ReadableStream }),
      'line',
    )
    expect(JSON.parse(line)).toMatchObject({ registration: 'token' })
    child.kill('SIGUSR2')
    expect(await once(child, 'exit')).toEqual([1, null])
    expect(log.text()).not.toContain('aaaa')
    const fault = log
      .lines()
      .map((one) => JSON.parse(one))
      .at(-1)
    expect(fault).toMatchObject({ message: 'fault', error: 'Error', detail: '… canary' })
  })

  it('says what is wrong with its folder or its address', async () => {
    const failed = async (...args: string[]) =>
      errorOf(await run(['serve', '--data', at('wrong'), '--port', '0', '--json', ...args]))
    expect(await failed('--host', '192.0.2.1')).toEqual({ code: 2, error: 'address-refused' })
    expect(await failed('--host', 'no.invalid')).toEqual({ code: 2, error: 'address-refused' })
    await writeFile(at('a-file'), '')
    expect(await failed('--data', at('a-file'))).toEqual({ code: 2, error: 'usage' })
    expect(await failed('--data', '/proc/none')).toMatchObject({ code: 1 })
    expect(await failed('--config', at('a-file'), '--registration-token-file', at('none'))).toEqual(
      {
        code: 2,
        error: 'setting-refused',
      },
    )
  })
})

/** What a server writes to standard error. */
function logOf(child: ChildProcess) {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (more) => {
    text += more
  })
  return { text: () => text, lines: () => text.split('\n').filter((line) => line !== '') }
}

describe('what is asked for wrongly', () => {
  it.each([
    [['frobnicate']],
    [[]],
    [['status']],
    [['put', 'notes', '--vault', 'x']],
    [['put', 'notes', 'n', '{', '--vault', 'x']],
    [['get', 'notes', 'n', '--vault', 'nowhere']],
    [['serve', '--port', '65536']],
    [['serve', '--registration', 'perhaps']],
    [['serve', '--origin', 'nonsense']],
    [['serve', '--data', '']],
    [['serve', '--data', BIN]],
    [['serve', '--data', join(BIN, 'below')]],
    [['get', 'notes', '-key', '--vault', 'x']],
    [['serve', '--registration', 'open', '--registration-token', 't']],
    [['init', '--vault', 'x']],
    [['init', '--vault', 'x', '--remote', 'ftp://example.org']],
    [['inspect', '--vault', 'x']],
    [['import', 'notes', 'nowhere.jsonl', '--vault', 'x']],
  ])('ends %j with 2, one sentence and a remedy', async (args) => {
    const [result, inJson] = await Promise.all([run(args), run([...args, '--json'])])
    expect(result).toMatchObject({ code: 2, out: '' })
    expect(result.err).toMatch(/(^|\n)blindcopy: .+ \[[a-z-]+\]\n {2}\S.+\n$/)
    expect(JSON.parse(inJson.err)).toHaveProperty('error.remedy')
    expect(existsSync(at('x'))).toBe(false)
  })

  it('is told apart from a record that is not there, and a vault in use or read-only', async () => {
    await init('busy')
    const vault = ['--vault', at('busy'), '--json']
    for (const command of ['get', 'delete']) {
      const missing = await run([command, 'notes', 'nothing', ...vault])
      expect(errorOf(missing)).toEqual({ code: 2, error: 'not-found' })
    }
    const watcher = start(['sync', '--watch', ...vault])
    const lines = createInterface({ input: watcher.stdout as NodeJS.ReadableStream })
    for await (const line of lines) if (JSON.parse(line).phase === 'live') break
    const second = await run(['status', ...vault])
    expect(errorOf(second)).toEqual({ code: 1, error: 'vault-in-use' })
    watcher.kill('SIGINT')
    expect(await once(watcher, 'exit')).toEqual([0, null])
    if (process.getuid?.() === 0) return
    await chmod(at('busy', 'records'), 0o500)
    expect(errorOf(await run(['status', ...vault]))).toMatchObject({ code: 1 })
  })
})
