/**
 * The folder of a vault when something is wrong with it, or with who opens it: another phrase,
 * another process, a disk that is full or cannot be written, other people's files, a creation that
 * was killed half-way, damaged files, a passphrase. Always one error with a code, and nothing of it
 * lost.
 *
 * Lessons: A21 (of the key file), A23; C2, C12. Design 2.7.
 */
import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  codeOf,
  createVault,
  createVaultOn,
  nodePlatform,
  openVault,
  openVaultOn,
  type Platform,
  restoreVault,
  type Vault,
  type VaultFolder,
} from '@blindcopy/client'
import { StoreError } from '@blindcopy/secondary'
import { formatPhrase, generateRootSecret } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import {
  DeviceProcess,
  REGISTRATION_TOKEN,
  startProcess,
  startRemote,
  temporaryFolder,
} from './processes.ts'

/** Nothing listens there: folders need no remote. */
const NOWHERE = 'http://127.0.0.1:9'

async function codeWhen(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'it went well',
    (error: unknown) => codeOf(error),
  )
}

async function makeFolder(options: { passphrase?: string } = {}): Promise<string> {
  const path = join(temporaryFolder(), 'vault')
  const { vault } = await createVault({ path, remote: NOWHERE, ...options })
  await vault.collection('notes').put('kept', { text: 'kept' })
  await vault.close()
  return path
}

async function expectKept(path: string): Promise<void> {
  const vault = await openVault({ path })
  expect(await vault.collection('notes').get('kept')).toEqual({ text: 'kept' })
  await vault.collection('notes').put('later', { text: 'later' })
  await vault.close()
}

describe('a recovery phrase', () => {
  it('that is wrong restores nothing and leaves no folder behind', async () => {
    const root = temporaryFolder()
    const remote = await startRemote(join(root, 'remote'))
    const path = join(root, 'first')
    const registrationToken = REGISTRATION_TOKEN
    const made = await createVault({ path, remote: remote.url, registrationToken })
    await made.vault.sync.once()
    await made.vault.close()
    const words = made.recoveryPhrase.split(' ')
    const stranger = formatPhrase(generateRootSecret((size) => new Uint8Array(randomBytes(size))))
    for (const [recoveryPhrase, code] of [
      [stranger, 'wrong-phrase'],
      [words.slice(0, 23).join(' '), 'phrase-malformed'],
      [[...words.slice(0, 23), 'blindcopy'].join(' '), 'phrase-malformed'],
      ['', 'phrase-malformed'],
      ['abandon '.repeat(24), 'phrase-checksum'],
    ] as const) {
      const target = join(root, 'second')
      const restored = restoreVault({ path: target, remote: remote.url, recoveryPhrase })
      expect(await codeWhen(restored), recoveryPhrase).toBe(code)
      expect(existsSync(target)).toBe(false)
    }
    const spaced = `  ${made.recoveryPhrase.toUpperCase().replaceAll(' ', '\n')} `
    const again = await restoreVault({
      path: join(root, 'second'),
      remote: remote.url,
      recoveryPhrase: spaced,
    })
    expect(again.vaultId).toBe(made.vault.vaultId)
    await again.close()
  })
})

describe('a folder in use', () => {
  it('by another process is refused until that one ends, however it ends', async () => {
    const path = join(temporaryFolder(), 'vault')
    const holder = new DeviceProcess(path)
    await holder.create(NOWHERE)
    await holder.put('kept', { text: 'kept' })
    expect(await codeWhen(openVault({ path }))).toBe('vault-in-use')
    await holder.put('more', { text: 'the holder is not disturbed' })
    await holder.kill()
    await expectKept(path)
  })

  it('by this process is refused too', async () => {
    const path = await makeFolder()
    const vault = await openVault({ path })
    expect(await codeWhen(openVault({ path }))).toBe('vault-in-use')
    await vault.close()
    await expectKept(path)
  })
})

describe('a folder that is not a vault', () => {
  it('is not opened', async () => {
    const root = temporaryFolder()
    const file = join(root, 'a file')
    writeFileSync(file, 'not a folder')
    for (const path of [join(root, 'nothing'), root, file, join(file, 'below')]) {
      expect(await codeWhen(openVault({ path })), path).toBe('not-a-vault')
    }
    expect(readFileSync(file, 'utf8')).toBe('not a folder')
  })

  it('and holds other files takes no vault, and they stay', async () => {
    const root = temporaryFolder()
    for (const name of ['letter.txt', '.hidden']) {
      const path = join(root, name)
      mkdirSync(path)
      writeFileSync(join(path, name), 'mine')
      expect(await codeWhen(createVault({ path, remote: NOWHERE }))).toBe('not-a-vault')
      expect(readdirSync(path)).toEqual([name])
      expect(readFileSync(join(path, name), 'utf8')).toBe('mine')
    }
    const file = join(root, 'file')
    writeFileSync(file, 'mine')
    expect(await codeWhen(createVault({ path: file, remote: NOWHERE }))).toBe('not-a-vault')
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })

  it('but is one already takes no second', async () => {
    const path = await makeFolder()
    expect(await codeWhen(createVault({ path, remote: NOWHERE }))).toBe('vault-exists')
    await expectKept(path)
  })
})

describe('a creation that was killed half-way', () => {
  /** Ends the creation before the step named: as if the process were gone. */
  function killedAt(step: keyof VaultFolder, after: boolean): Platform {
    const platform = nodePlatform()
    return {
      ...platform,
      openFolder: (path) => {
        const folder = platform.openFolder(path)
        const stop = async (...args: never[]): Promise<never> => {
          if (after) {
            const done = await (folder[step] as (...all: never[]) => Promise<unknown>)(...args)
            if (step === 'openStore') await (done as { close(): Promise<void> }).close()
          }
          throw new Error('killed')
        }
        return { ...folder, [step]: stop }
      },
    }
  }

  for (const step of ['writeKeys', 'openStore', 'finish'] as const) {
    for (const after of [false, true]) {
      if (step === 'finish' && after) continue
      it(`${after ? 'after' : 'before'} ${step}, can be made again`, async () => {
        const path = join(temporaryFolder(), 'vault')
        const options = { path, remote: NOWHERE }
        await expect(createVaultOn(killedAt(step, after), options)).rejects.toThrow('killed')
        expect(await codeWhen(openVault({ path }))).toBe('not-a-vault')
        const { vault } = await createVault(options)
        await vault.collection('notes').put('kept', { text: 'kept' })
        await vault.close()
        await expectKept(path)
      })
    }
  }

  it('leaves alone a file that somebody put beside it', async () => {
    const path = join(temporaryFolder(), 'vault')
    const options = { path, remote: NOWHERE }
    await expect(createVaultOn(killedAt('finish', false), options)).rejects.toThrow('killed')
    writeFileSync(join(path, 'letter.txt'), 'mine')
    expect(await codeWhen(createVault(options))).toBe('not-a-vault')
    expect(readFileSync(join(path, 'letter.txt'), 'utf8')).toBe('mine')
    rmSync(join(path, 'letter.txt'))
    const { vault } = await createVault(options)
    await vault.close()
  })

  it('leaves alone a vault that is whole', async () => {
    const path = await makeFolder()
    const begun = nodePlatform().openFolder(path).begin()
    expect(await codeWhen(begun)).toBe('vault-exists')
    await expectKept(path)
  })
})

describe('a damaged folder', () => {
  const spoil: Record<string, [(path: string) => void, readonly string[]]> = {
    'without its configuration': [(path) => rmSync(join(path, 'vault.json')), ['not-a-vault']],
    'with an empty configuration': [
      (path) => truncateSync(join(path, 'vault.json')),
      ['vault-damaged'],
    ],
    'with a configuration that is no JSON': [
      (path) => writeFileSync(join(path, 'vault.json'), '{"format":1'),
      ['vault-damaged'],
    ],
    'with a configuration of null': [
      (path) => writeFileSync(join(path, 'vault.json'), 'null'),
      ['vault-damaged'],
    ],
    'with a configuration of a later format': [
      (path) => writeFileSync(join(path, 'vault.json'), '{"format":2}'),
      ['vault-damaged'],
    ],
    'with an address that is none': [
      (path) => rewriteConfig(path, { remote: 'nowhere at all' }),
      ['vault-damaged', 'invalid-argument'],
    ],
    'with the id of another vault': [
      (path) => rewriteConfig(path, { vaultId: 'A'.repeat(43) }),
      ['vault-damaged'],
    ],
    'without its keys': [(path) => rmSync(join(path, 'device.keys')), ['vault-damaged']],
    'with keys that are cut': [
      (path) => truncateSync(join(path, 'device.keys'), 40),
      ['key-file-damaged'],
    ],
    'with empty keys': [(path) => truncateSync(join(path, 'device.keys')), ['key-file-damaged']],
    'without its records': [
      (path) => rmSync(join(path, 'records'), { recursive: true }),
      ['vault-damaged'],
    ],
  }
  for (const [how, [damage, codes]] of Object.entries(spoil)) {
    it(`is refused with a code, and is good again once it is mended: ${how}`, async () => {
      const path = await makeFolder()
      const whole = join(temporaryFolder(), 'copy')
      cpSync(path, whole, { recursive: true })
      damage(path)
      expect(codes).toContain(await codeWhen(openVault({ path })))
      rmSync(path, { recursive: true })
      cpSync(whole, path, { recursive: true })
      await expectKept(path)
    })
  }

  it('is not made anew where its configuration is lost', async () => {
    const path = await makeFolder()
    const file = join(path, 'vault.json')
    const config = readFileSync(file)
    rmSync(file)
    const names = readdirSync(path)
    expect(await codeWhen(createVault({ path, remote: NOWHERE }))).toBe('not-a-vault')
    expect(readdirSync(path)).toEqual(names)
    writeFileSync(file, config)
    await expectKept(path)
  })

  it('loses nothing else where the list of its files is lost', async () => {
    const path = await makeFolder()
    const file = join(path, 'records', 'CURRENT')
    const current = readFileSync(file)
    const names = readdirSync(join(path, 'records')).filter((name) => name !== 'CURRENT')
    rmSync(file)
    expect(await codeWhen(openVault({ path }))).toBe('vault-damaged')
    expect(readdirSync(join(path, 'records'))).toEqual(names)
    writeFileSync(file, current)
    await expectKept(path)
  })

  it('is refused for any byte of its keys that is another', async () => {
    const path = await makeFolder()
    const file = join(path, 'device.keys')
    const whole = readFileSync(file)
    for (let offset = 0; offset < whole.length; offset++) {
      const spoiled = Buffer.from(whole)
      spoiled[offset] = (spoiled[offset] as number) ^ (1 << (offset % 8))
      writeFileSync(file, spoiled)
      expect(await codeWhen(openVault({ path })), `byte ${offset}`).toBe('key-file-damaged')
    }
    writeFileSync(file, whole)
    await expectKept(path)
  })

  it('is refused with the keys of another device', async () => {
    const [path, other] = [await makeFolder(), await makeFolder()]
    const keys = readFileSync(join(path, 'device.keys'))
    cpSync(join(other, 'device.keys'), join(path, 'device.keys'))
    expect(await codeWhen(openVault({ path }))).toBe('vault-damaged')
    writeFileSync(join(path, 'device.keys'), keys)
    await expectKept(path)
  })
})

function rewriteConfig(path: string, changes: object): void {
  const file = join(path, 'vault.json')
  const config = JSON.parse(readFileSync(file, 'utf8')) as object
  writeFileSync(file, JSON.stringify({ ...config, ...changes }))
}

describe('the keys of a device', () => {
  it('are readable by their owner only', async () => {
    const path = await makeFolder()
    expect(statSync(join(path, 'device.keys')).mode & 0o777).toBe(0o600)
  })

  it('under a passphrase open with it alone', async () => {
    const path = await makeFolder({ passphrase: 'correct horse' })
    expect(await codeWhen(openVault({ path }))).toBe('passphrase-required')
    expect(await codeWhen(openVault({ path, passphrase: '' }))).toBe('passphrase-required')
    expect(await codeWhen(openVault({ path, passphrase: 'wrong' }))).toBe('passphrase-wrong')
    const vault = await openVault({ path, passphrase: 'correct horse' })
    expect(await vault.collection('notes').get('kept')).toEqual({ text: 'kept' })
    await vault.close()
    expect(statSync(join(path, 'device.keys')).mode & 0o777).toBe(0o600)
  })
})

describe('a disk that cannot be written', () => {
  for (const code of ['EROFS', 'EACCES', 'EPERM']) {
    it(`says so, and what is there can still be read: ${code}`, async () => {
      const path = await makeFolder()
      const platform = nodePlatform()
      let isReadOnly = false
      const failing: Platform = {
        ...platform,
        openFolder: (at) => {
          const folder = platform.openFolder(at)
          return { ...folder, openStore: async () => readOnly(await folder.openStore()) }
        },
      }
      const cause = Object.assign(new Error(`${code}: refused`), { code })
      const readOnly = (store: Awaited<ReturnType<VaultFolder['openStore']>>) =>
        new Proxy(store, {
          get(target, name) {
            if (name === 'write' && isReadOnly) {
              return () =>
                Promise.reject(new StoreError('store-read-only', 'not writable', { cause }))
            }
            const value = Reflect.get(target, name)
            return typeof value === 'function' ? value.bind(target) : value
          },
        })
      const vault = await openVaultOn(failing, { path })
      isReadOnly = true
      const notes = vault.collection('notes')
      expect(await codeWhen(notes.put('kept', { text: 'lost' }))).toBe('store-read-only')
      expect(await notes.get('kept')).toEqual({ text: 'kept' })
      isReadOnly = false
      await notes.put('again', { text: 'again' })
      expect(vault.sync.status.pending).toBe(2)
      await vault.close()
      await expectKept(path)
    })
  }
})

describe('a disk that is full', () => {
  it('refuses the write with a code, and keeps every one that it took', async () => {
    const path = await makeFolder()
    // The shell bounds how large any file may become, in blocks of 512 bytes or of 1 KiB.
    const worker = join(import.meta.dirname, 'full-disk-worker.mjs')
    const command = `ulimit -f 600; exec "${process.execPath}" "${worker}" "${path}"`
    const { child, output } = startProcess('sh', ['-c', `trap '' XFSZ; ${command}`])
    await new Promise((resolve) => child.once('close', resolve))
    const { taken, code } = JSON.parse(output()) as { taken: number; code: string }
    expect(code).toBe('store-full')
    expect(taken).toBeGreaterThan(10)
    const vault: Vault = await openVault({ path })
    const bulk = await vault.collection<{ text: string }>('bulk').list()
    expect(bulk.length).toBeGreaterThanOrEqual(taken)
    for (let i = 0; i < taken; i++) {
      expect(await vault.collection('bulk').get(`b${i}`)).toMatchObject({ i })
    }
    await vault.close()
    await expectKept(path)
  })
})
