/**
 * At the remote: changes to the list of devices need a remote that has the vault. Where it does not
 * yet, as right after `init`, the vault is registered first.
 */
import { codeOf, type Vault } from '@blindcopy/client'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'

export async function atRemote<T>(
  vault: Vault,
  terminal: Terminal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) !== 'unknown-vault') throw error
  }
  await syncPass(vault, terminal)
  return await work()
}
