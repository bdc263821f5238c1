/**
 * Blindcopy for apps: vaults, collections, transactions, live queries and sync.
 */
export * from './core.ts'
export { backupFile, writeBackupFile } from './node/node-backup.ts'
export { makeFolder } from './node/node-folder.ts'
export { KEY_HELPER_ID, type KeyHelperOptions, keyHelper } from './node/node-key-helper.ts'
export {
  createVault,
  joinVault,
  nodePlatform,
  openVault,
  restoreBackup,
  restoreVault,
} from './node.ts'
