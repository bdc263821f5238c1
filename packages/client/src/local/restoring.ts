/**
 * Restoring: the backup that a vault is being restored from, by its digest. It was checked whole,
 * and its key tried, before the folder was made. So it is taken to its end whatever happens between
 * (the process killed, epochs that are over by then, its maker removed), and is forgotten with it.
 *
 *   m restoring   digest of the file
 */
import { equalBytes, type Hash } from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'

const RESTORING = metaKey('restoring')

export const putRestoring = (digest: Hash): StoreOp => ({
  type: 'put',
  key: RESTORING,
  value: digest,
})

/** Whether this is the file that the vault is being restored from. */
export async function isRestoring(store: Store, digest: Hash): Promise<boolean> {
  const held = await store.get(RESTORING)
  return held !== undefined && equalBytes(held, digest)
}

/** All of it was taken. */
export function endRestoring(state: LocalState): Promise<void> {
  return state.run(() => state.writeOps([{ type: 'delete', key: RESTORING }]))
}
