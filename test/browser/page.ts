/**
 * What runs inside the page of browser.test.ts: a whole vault in a browser, with its records in
 * IndexedDB, against a remote of another origin. Everything but the device's keys is the code that
 * apps get; the browser's own key store is a later part of the project, so here keys stay in
 * memory.
 */
import {
  createVaultOn,
  type FolderContent,
  openVaultOn,
  type Platform,
  restoreVaultOn,
  type Vault,
  type VaultFolder,
} from '@blindcopy/client/core'
import { openLevelStore } from '@blindcopy/secondary'

function memoryKeysFolder(path: string): VaultFolder {
  const files = new Map<string, Uint8Array>()
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = files.get(name)
    if (bytes === undefined) throw new Error(`${name} is missing`)
    return bytes
  }
  const content = (): FolderContent => (files.has('config') ? 'vault' : 'nothing')
  return {
    content: async () => content(),
    begin: async () => undefined,
    readConfig: () => read('config'),
    finish: async (bytes) => void files.set('config', bytes),
    readKeys: () => read('keys'),
    writeKeys: async (bytes) => void files.set('keys', bytes),
    openStore: () => openLevelStore({ path }),
  }
}

const folders = new Map<string, VaultFolder>()
const platform: Platform = {
  nowMs: Date.now,
  random: (size) => crypto.getRandomValues(new Uint8Array(size)),
  setTimer(callback, delayMs) {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
  fetch: (...request) => fetch(...request),
  openSocket: (url) => new WebSocket(url) as never,
  openFolder: (path) => {
    const folder = folders.get(path) ?? memoryKeysFolder(path)
    folders.set(path, folder)
    return folder
  },
  deviceName: () => 'browser',
  onOnline: (listener) => {
    addEventListener('online', listener)
    return () => removeEventListener('online', listener)
  },
}

const VALUE = {
  zero: 0,
  minus: -0,
  big: 2n ** 70n,
  date: new Date(5),
  bytes: new Uint8Array([1, 2, 255]),
  nothing: undefined,
  text: '記録 😀',
}

function isSame(kept: typeof VALUE | undefined): boolean {
  if (kept === undefined) return false
  return (
    kept.zero === 0 &&
    Object.is(kept.minus, -0) &&
    kept.big === VALUE.big &&
    kept.date.getTime() === 5 &&
    kept.bytes.join() === '1,2,255' &&
    'nothing' in kept &&
    kept.text === VALUE.text
  )
}

async function untilLive(vault: Vault): Promise<void> {
  vault.sync.start()
  for await (const { phase } of vault.sync.watch()) if (phase === 'live') return
}

const jobs = {
  /** Writes offline, closes, opens again from IndexedDB, and registers with the remote. */
  async create(remote: string) {
    const { vault, recoveryPhrase } = await createVaultOn(platform, { path: 'one', remote })
    const notes = vault.collection('notes')
    await notes.put('kept', VALUE)
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(notes)
      for (let i = 0; i < 300; i++) await target.put(`n${i}`, { i })
    })
    await vault.close()
    const again = await openVaultOn(platform, { path: 'one' })
    const kept = await again.collection<typeof VALUE>('notes').get('kept')
    const listed = (await again.collection('notes').list()).length
    await again.sync.once()
    const { pending, initialSyncComplete } = again.sync.status
    await again.close()
    const isExact = isSame(kept)
    return { recoveryPhrase, listed, isExact, pending, initialSyncComplete }
  },
  /** Restores from the phrase, goes live, and waits for a note of another device. */
  async follow(remote: string, recoveryPhrase: string) {
    const vault = await restoreVaultOn(platform, { path: 'two', remote, recoveryPhrase })
    await untilLive(vault)
    const notes = vault.collection<{ from: string }>('live')
    const results = notes.watch()
    await results.next()
    await notes.put('browser', { from: 'browser' })
    for await (const found of results) if (found.length === 2) break
    const seen = (await notes.list()).map(({ fields }) => fields.from)
    const count = (await vault.collection('notes').list()).length
    await vault.close()
    return { seen, count }
  },
  async refused(remote: string) {
    const { vault } = await createVaultOn(platform, { path: 'three', remote })
    const code = await vault.sync.once().catch((error: { code?: string }) => error.code)
    await vault.close()
    return code
  },
}

Object.assign(globalThis, { jobs })
