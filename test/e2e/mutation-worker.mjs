/**
 * Runs a custom mutation on the vault of a folder: what an app does, and the command line cannot.
 * Arguments: the folder, the record's key.
 */
import { openVault } from '@blindcopy/client'

const [path, key] = process.argv.slice(2)
const vault = await openVault({ path })
const notes = vault.collection('notes')
vault.mutations({
  async count(transaction, by) {
    const { n } = await transaction.collection(notes).get(key)
    await transaction.collection(notes).put(key, { n: n + by })
  },
})
await vault.mutate('count', 1)
await vault.close()
