/**
 * The smallest app that does what an app does: what scripts/bundle-size.mjs measures, and the page
 * that shows what is loaded when.
 */
import { createVault, joinVault, openVault, restoreBackup, restoreVault } from '@blindcopy/client'

const app = {
  async create(path: string, remote: string, passphrase?: string) {
    const { vault, recoveryPhrase } = await createVault({ path, remote, passphrase })
    await vault.collection('notes').put('first', { text: 'hello' })
    await vault.close()
    return recoveryPhrase
  },
  async restore(path: string, remote: string, recoveryPhrase: string) {
    const vault = await restoreVault({ path, remote, recoveryPhrase })
    vault.sync.start()
    return vault
  },
  async list(path: string, passphrase?: string) {
    const vault = await openVault({ path, passphrase })
    const notes = await vault.collection('notes').list()
    await vault.close()
    return notes
  },
}

const rarely = { openVault, joinVault, restoreVault, restoreBackup }

export type App = typeof app
export type Rarely = typeof rarely

Object.assign(globalThis, { app, rarely, isReady: true })
