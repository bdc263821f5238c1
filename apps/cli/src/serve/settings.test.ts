/**
 * The settings of a remote: read from flags, variables and files in that order, refused by name and
 * place, and the same in the printed file and in the documents.
 */
import { readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS_DEFAULT } from '@blindcopy/remote'
import { Command } from 'commander'
import { parse } from 'smol-toml'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addSettings } from './options.ts'
import { type Flags, readSettings } from './read-settings.ts'
import { limitsOf, SETTINGS, type Settings } from './settings.ts'
import { exampleFile, settingsTables } from './settings-text.ts'
import { warningsOf } from './warnings.ts'

const ROOT = new URL('../../../../', import.meta.url)
const documentOf = (name: string) => readFileSync(new URL(`docs/${name}`, ROOT), 'utf8')

let folder: string
let env: Record<string, string>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blindcopy-settings-'))
  env = { BLINDCOPY_DATA: folder }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const read = async (flags: Flags = {}): Promise<Settings> =>
  (await readSettings(flags, env)).settings

async function write(text: string, name = 'remote.toml'): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text, { mode: 0o600 })
  return path
}

const refusal = (flags: Flags = {}) =>
  readSettings(flags, env).then(
    () => expect.unreachable('nothing was refused'),
    (error: { code: string; message: string }) => [error.code, error.message] as const,
  )

const DEFAULTS: Partial<Settings> = {
  host: '127.0.0.1',
  port: 8787,
  origin: [],
  registration: 'token',
  trustProxy: [],
  logLevel: 'info',
  logAddresses: false,
  historyDays: 30 * 86_400_000,
}

describe('readSettings', () => {
  it('has a default for everything', async () => {
    const settings = await read()
    expect(settings).toMatchObject({ ...DEFAULTS, data: folder })
    expect(limitsOf(settings)).toEqual(LIMITS_DEFAULT)
  })

  it('takes a flag before a variable, a variable before the file, the file before a default', async () => {
    await write('quota-bytes = "1 GiB"\nport = 1\nhost = "::1"\n')
    env.BLINDCOPY_QUOTA_BYTES = '2 GiB'
    env.BLINDCOPY_PORT = '2'
    const { quotaBytes, port, host, registration } = await read({ quotaBytes: '3 GiB' })
    expect([quotaBytes, port, host, registration]).toEqual([3 * 2 ** 30, 2, '::1', 'token'])
  })

  it('takes an empty variable for none', async () => {
    env.BLINDCOPY_PORT = ''
    env.BLINDCOPY_REGISTRATION_TOKEN = ''
    env.BLINDCOPY_CONFIG = ''
    expect(await read()).toMatchObject({ port: 8787, registrationToken: undefined })
  })

  it('takes lists as repeated flags, as texts and as lists', async () => {
    const both = ['https://a.example', 'https://b.example']
    expect((await read({ origin: ['https://A.example/', 'https://b.example'] })).origin).toEqual(
      both,
    )
    env.BLINDCOPY_ORIGIN = 'https://a.example, https://b.example'
    expect((await read()).origin).toEqual(both)
    env.BLINDCOPY_ORIGIN = ''
    await write(`origin = ["https://a.example", "https://b.example"]\ntrust-proxy = "10.0.0.0/8"`)
    expect(await read()).toMatchObject({ origin: both, trustProxy: ['10.0.0.0/8'] })
  })

  it('takes numbers, sizes, times and switches as people write them', async () => {
    await write(`
      quota-records = 1_000_000
      quota-bytes = 1073741824
      history-days = 0
      drain-time = "1 min"
      metrics = false
      log-sizes = "on"
    `)
    expect(await read({ pushRate: '1,000', historyBytes: '1.5 GiB' })).toMatchObject({
      quotaRecords: 1_000_000,
      quotaBytes: 2 ** 30,
      historyDays: 0,
      drainTime: 60_000,
      metrics: false,
      logSizes: true,
      pushRate: 1000,
      historyBytes: 1.5 * 2 ** 30,
    })
  })

  it('reads the file that is named, by flag or variable, in place of that in the folder', async () => {
    await write('port = 1')
    const other = await write(`port = 2\ndata = "${folder}/elsewhere"`, 'other.toml')
    expect((await read({ config: other })).port).toBe(2)
    env.BLINDCOPY_CONFIG = other
    expect((await read()).port).toBe(2)
    env.BLINDCOPY_DATA = ''
    expect((await read()).data).toBe(`${folder}/elsewhere`)
  })
})

describe('a wrong setting', () => {
  it('names itself, where it stands, and what is allowed', async () => {
    expect(await refusal({ quotaBytes: 'ten' })).toEqual([
      'setting-refused',
      '--quota-bytes is "ten": it takes a size such as 10 GiB, from 1 MiB to 1024 TiB',
    ])
    env.BLINDCOPY_METRICS = 'maybe'
    expect(await refusal()).toEqual([
      'setting-refused',
      'BLINDCOPY_METRICS is "maybe": it takes on or off',
    ])
    env.BLINDCOPY_METRICS = ''
    const path = await write('port = "http"')
    expect(await refusal()).toEqual([
      'setting-refused',
      `port in ${path} is "http": it takes a whole number from 0 to 65535`,
    ])
  })

  it('is told with all others at once, and never by what is secret', async () => {
    const [, message] = await refusal({
      port: '70000',
      logLevel: 'loud',
      registrationToken: '  \t ',
    })
    expect(message.split('; ')).toHaveLength(3)
    const long = 'secret'.repeat(300)
    const [code, refused] = await refusal({ registrationToken: long })
    expect([code, refused.includes('secret')]).toEqual(['setting-refused', false])
  })

  it.each([
    ['port', ['-1', '65536', '1.5', '', 'x', '1e3', '0x1f']],
    ['host', ['', 'a b', 'http://a', 'a/b']],
    ['origin', ['a.example', 'ftp://a', 'https://a/path', 'https://u:p@a', '']],
    ['registration', ['', 'Open', 'any']],
    ['trustProxy', ['loopback', '10.0.0.0/33', '10.0.0.0/8 x', '']],
    ['logFormat', ['xml', '']],
    ['logAddresses', ['yes', '1', '']],
    ['quotaBytes', ['0', '1023 KiB', '2000 TiB', '-1', '10']],
    ['quotaDevices', ['0', '65']],
    ['historyDays', ['-1', '3651', '1 year', '1.5']],
    ['drainTime', ['10', '2 h', '-1 s']],
    ['silenceTime', ['0', '999 ms']],
    ['bodyMemory', ['31 MiB']],
  ] as const)('is refused: %s', async (key, values) => {
    for (const value of values) {
      const [code, message] = await refusal({ [key]: value })
      expect([code, message], value).toEqual(['setting-refused', expect.stringMatching(/ takes /)])
    }
  })

  it('is refused in a file of another type too', async () => {
    for (const line of ['port = true', 'port = [1]', 'port = 1.5', 'host = 1', 'metrics = 1']) {
      await write(line)
      expect((await refusal())[0], line).toBe('setting-refused')
    }
    for (const line of [
      'origin = [1]',
      'drain-time = 10',
      'origin = 3',
      'port = nan',
      'host = {}',
    ]) {
      expect((await refusal({ config: await write(line, 'b.toml') }))[0], line).toBe(
        'setting-refused',
      )
    }
  })

  it('is one that contradicts another', async () => {
    const token = { registrationToken: 'T' }
    expect((await refusal({ ...token, registration: 'open' }))[1]).toContain(
      'it goes with registration "token", not with "open"',
    )
    expect((await refusal({ ...token, registrationTokenFile: '/x' }))[1]).toContain(
      'one of the two',
    )
    expect((await refusal({ socketsMax: '100', connectionsMax: '100' }))[1]).toContain('below')
    expect((await refusal({ connectionsMax: '100' }))[1]).toContain('sockets-max')
  })
})

describe('a wrong file', () => {
  it('names what it says that is no setting, and what was likely meant', async () => {
    const path = await write('quota_bytes = "1 GiB"\nhots = "::1"\nnonsense = 1\n[log]\nlevel = 1')
    expect(await refusal()).toEqual([
      'setting-refused',
      `${path}: there is no setting "quota_bytes"; did you mean quota-bytes?; there is no setting "hots"; did you mean host?; there is no setting "nonsense"; there is no setting "log"`,
    ])
  })

  it('is told by line and column, and not by its text, when it is no TOML', async () => {
    const path = await write('port = 1\nregistration-token = "secret\n')
    const [code, message] = await refusal()
    expect(code).toBe('setting-refused')
    expect(message).toContain(`${path}: it is no TOML`)
    expect(message).toContain('line 2')
    expect(message).not.toContain('secret')
    for (const text of ['port = 1\nport = 2', '\0', 'a = {'.repeat(500), '__proto__ = 1']) {
      await write(text)
      expect((await refusal())[0]).toBe('setting-refused')
    }
  })

  it('must be there when it is named, and be a file of settings', async () => {
    expect((await refusal({ config: join(folder, 'no.toml') }))[0]).toBe('unreadable')
    await mkdir(join(folder, 'folder'))
    expect((await refusal({ config: join(folder, 'folder') }))[0]).toBe('unreadable')
    const large = await write(`#${'x'.repeat(2 ** 20)}`, 'large.toml')
    expect((await refusal({ config: large }))[0]).toBe('setting-refused')
    expect((await refusal({ config: '' }))[0]).toBe('setting-refused')
  })

  it('does not say in the data folder where the data folder is', async () => {
    await write('data = "/elsewhere"')
    expect((await refusal())[1]).toContain('data cannot be set in the data folder itself')
  })
})

describe('the printed file', () => {
  it('is the one in the documents', () => {
    expect(documentOf('remote.example.toml')).toBe(exampleFile())
  })

  it('changes nothing as it stands, and nothing when all of it counts', async () => {
    const text = exampleFile()
    expect(parse(text)).toEqual({})
    await write(text)
    const settings = await read()
    const optional = ['data', 'registration-token', 'registration-token-file']
    const lines = text.split('\n').filter((line) => /^#[a-z-]+ = /.test(line))
    expect(lines.map((line) => line.slice(1).split(' ')[0])).toEqual(
      SETTINGS.map(({ name }) => name),
    )
    const counted = lines.map((line) => line.slice(1))
    await write(counted.filter((line) => !optional.includes(line.split(' ')[0] ?? '')).join('\n'))
    expect(await read()).toEqual(settings)
    // The examples of those without a default are allowed too.
    for (const name of optional) {
      const line = counted.find((one) => one.startsWith(`${name} =`)) ?? ''
      await readSettings({ config: await write(line, 'optional.toml') }, env)
    }
  })

  it('holds what is given, but for what is secret', async () => {
    env.BLINDCOPY_REGISTRATION_TOKEN = 'canary'
    const { settings, given } = await readSettings({ quotaBytes: '3072 MiB', metrics: 'off' }, env)
    const text = exampleFile(settings, given)
    expect(parse(text)).toEqual({ data: folder, 'quota-bytes': '3 GiB', metrics: 'off' })
    expect(text).not.toContain('canary')
  })
})

describe('the flags and the documents', () => {
  it('are of the same settings', () => {
    const command = new Command('serve')
    addSettings(command)
    const flags = command.options.map(({ long }) => long)
    expect(flags).toEqual(['--config', '--print-config', ...SETTINGS.map(({ flag }) => flag)])
    expect(documentOf('remote-settings.md')).toContain(settingsTables())
  })

  it('say of each setting what it is, in sentences, and what is allowed', () => {
    for (const { about, name, kind } of SETTINGS) {
      expect(about, name).toMatch(/^[A-Z].*[^.]$|^[A-Z].*\.$/)
      expect(kind.allowed, name).not.toBe('')
    }
  })
})

describe('warningsOf', () => {
  const codes = async (flags: Flags) => {
    const given = await readSettings(flags, env)
    return warningsOf(given, env).map(({ code }) => code)
  }

  it('warns of what is exposed without TLS, and of nothing else', async () => {
    expect(await codes({})).toEqual([])
    expect(await codes({ host: '::1' })).toEqual([])
    expect(await codes({ host: '0.0.0.0' })).toEqual(['exposed'])
    expect(await codes({ host: '0.0.0.0', origin: ['https://a.example'] })).toEqual([])
    expect(await codes({ origin: ['http://a.example'] })).toEqual(['exposed'])
    expect(await codes({ origin: ['http://localhost:8787'] })).toEqual([])
  })

  it('warns of trust in everybody, of an open file with a token, and of a misspelt variable', async () => {
    expect(await codes({ trustProxy: ['10.0.0.0/8', '::/0'] })).toEqual(['trusts-everybody'])
    const path = await write('registration-token = "T"')
    expect(await codes({})).toEqual([])
    await chmod(path, 0o644)
    expect(await codes({})).toEqual(['open-file'])
    await rm(path)
    Object.assign(env, { BLINDCOPY_QUOTA_BYTE: '1', BLINDCOPY_VAULT: 'x', OTHER_PORT: '1' })
    const [warning] = warningsOf(await readSettings({}, env), env)
    expect(warning?.message).toContain('did you mean BLINDCOPY_QUOTA_BYTES?')
  })
})
