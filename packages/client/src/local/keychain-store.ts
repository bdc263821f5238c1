/**
 * Keychain store: entries that were taken are written in the order in which they came to this
 * device, one key each.
 *
 * They are followed in memory before they are on the disk, because what comes with them is sealed
 * under their keys. Where the write fails, they are written with the next ones: a list with a gap
 * could never be read again.
 */
import { keychainKey, type StoreOp } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'

/** Entries to be stored, each with its place. */
export type TakenEntries = readonly { readonly index: number; readonly entry: Uint8Array }[]

/**
 * Takes keychain entries as they come, so that what follows them opens, and returns them for
 * storing, with those whose storing failed before. Throws when they do not fit the pinned chain.
 */
export type TakeKeychain = (entries: readonly Uint8Array[]) => TakenEntries

export type KeychainFollower = {
  readonly takeKeychain: TakeKeychain
  /** What was taken is on the disk. */
  readonly keychainStored?: ((taken: TakenEntries) => void) | undefined
}

export const putEntries = (taken: TakenEntries): StoreOp[] =>
  taken.map(({ index, entry }) => ({ type: 'put', key: keychainKey(index), value: entry }))

/** Takes and stores entries that came by another way than the log. */
export async function storeKeychain(
  state: LocalState,
  { takeKeychain, keychainStored }: KeychainFollower,
  entries: readonly Uint8Array[],
): Promise<void> {
  const taken = takeKeychain(entries)
  if (taken.length === 0) return
  await state.run(() => state.writeOps(putEntries(taken)))
  keychainStored?.(taken)
}
