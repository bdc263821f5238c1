/**
 * The file of a device's keys on a real disk while the passphrase changes: cut off at every step of
 * the writing, and by processes that are killed at any moment. The old file or the new one opens,
 * never none; and nothing else of them stays.
 *
 * Lessons: A21.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, createVault, openVault } from '@blindcopy/client'
import { afterEach, expect, it, vi } from 'vitest'
import { kill, startProcess, temporaryFolder } from './processes.ts'

const NOWHERE = 'http://127.0.0.1:9'

afterEach(() => vi.restoreAllMocks())

async function makeFolder(passphrase: string): Promise<string> {
  const path = join(temporaryFolder(), 'vault')
  const { vault } = await createVault({ path, remote: NOWHERE, passphrase })
  await vault.collection('notes').put('kept', { n: 1 })
  await vault.close()
  return path
}

const opens = async (path: string, passphrase?: string): Promise<unknown> => {
  try {
    const vault = await openVault({ path, ...(passphrase === undefined ? {} : { passphrase }) })
    const kept = await vault.collection('notes').get('kept')
    await vault.close()
    return kept
  } catch (error) {
    return codeOf(error)
  }
}

const NAMES = ['device.keys', 'records', 'vault.json']

/** `SLOW=1` kills it as often as there are moments worth trying. */
const ROUNDS = process.env.SLOW === '1' ? 24 : 6

it('is there whole, old or new, whenever the process is killed', async () => {
  const path = await makeFolder('one')
  for (let round = 0; round < ROUNDS; round++) {
    const isOne = (await opens(path, 'one')) !== 'passphrase-wrong'
    const words = isOne ? ['one', 'two'] : ['two', 'one']
    const script = join(import.meta.dirname, 'passphrase-worker.mjs')
    const { child, output } = startProcess(process.execPath, [script, path, ...words])
    await vi.waitFor(() => expect(output()).toMatch(/(one|two)\n(one|two)\n/), 30_000)
    // A change takes about a second, nearly all of it before the writing.
    await new Promise((resolve) => setTimeout(resolve, (round * 197) % 1_000))
    await kill(child)
    const found = [await opens(path, 'one'), await opens(path, 'two')]
    expect(found).toContainEqual({ n: 1 })
    expect(found).toContain('passphrase-wrong')
    expect(readdirSync(path).sort()).toEqual(NAMES)
    expect(statSync(join(path, 'device.keys')).mode & 0o777).toBe(0o600)
  }
}, 240_000)

it('that was left half-way, and in the open, is cleared away at the next opening', async () => {
  const path = await makeFolder('one')
  const left = join(path, 'device.keys.new')
  for (const bytes of [Buffer.from('half of a key file'), Buffer.alloc(0)]) {
    writeFileSync(left, bytes)
    expect(await opens(path, 'wrong')).toBe('passphrase-wrong')
    expect(await opens(path, 'one')).toEqual({ n: 1 })
    expect(existsSync(left)).toBe(false)
  }
  const vault = await openVault({ path, passphrase: 'one' })
  await vault.protection.changePassphrase({ current: 'one' })
  await vault.close()
  const plain = readFileSync(join(path, 'device.keys'))
  const again = await openVault({ path })
  await again.protection.changePassphrase({ next: 'two' })
  await again.close()
  writeFileSync(left, plain)
  expect(await opens(path, 'two')).toEqual({ n: 1 })
  expect(readdirSync(path).sort()).toEqual(NAMES)
})

it('stays the old one when a step of its writing fails', async () => {
  const path = await makeFolder('one')
  const vault = await openVault({ path, passphrase: 'one' })
  await fs.mkdir(join(path, 'device.keys.new'))
  const change = vault.protection.changePassphrase({ current: 'one', next: 'two' })
  await expect(change).rejects.toMatchObject({ code: expect.stringMatching(/^store-/) })
  await vault.close()
  await fs.rmdir(join(path, 'device.keys.new'))
  expect([await opens(path, 'one'), await opens(path, 'two')]).toEqual([
    { n: 1 },
    'passphrase-wrong',
  ])
})
