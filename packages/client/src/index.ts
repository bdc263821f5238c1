/**
 * Blindcopy for apps: vaults, collections, transactions, live queries and sync.
 */
export * from './core.ts'
export { makeFolder } from './node/node-folder.ts'
export { createVault, nodePlatform, openVault, restoreVault } from './node.ts'
