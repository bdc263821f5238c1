/**
 * The door by which a new device enters a vault that another one invites it to. What does the work
 * is loaded when it is used.
 */
import type { Platform } from '../../platform.ts'
import type { Vault } from '../vault.ts'
import type { JoinOptions } from './pairing.ts'

/**
 * Makes this device one of a vault, by the code or the words that another device shows. Records
 * come with the first sync. What fails leaves nothing behind.
 *
 * Throws `pairing-code-malformed`, `pairing-expired`, `pairing-contested`, `pairing-denied`,
 * `pairing-failed`, `network`, and the reason of the signal.
 */
export async function joinVaultOn(platform: Platform, options: JoinOptions): Promise<Vault> {
  const { join } = await import('./join.ts')
  return join(platform, options)
}
