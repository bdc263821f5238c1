/**
 * Platform: everything a vault needs from where it runs. No code; `node.ts` is one, a test may make
 * its own with another clock, another network or a disk that fails.
 */
import type { Store } from '@blindcopy/secondary'
import type { Tabs } from './browser/tabs.ts'
import type { WebSocketLike } from './transport/http-transport.ts'

export type Platform = {
  readonly nowMs: () => number
  /** Bytes of a cryptographic generator. */
  readonly random: (size: number) => Uint8Array
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
  readonly fetch: typeof fetch
  readonly openSocket: (url: string) => WebSocketLike
  readonly openFolder: (path: string) => VaultFolder
  /** What a device is called when the person gives it no name. */
  readonly deviceName: () => string
  /** Calls back when the network returns; returns how to end that. */
  readonly onOnline: (listener: () => void) => () => void
}

/** What a folder holds before anything is done with it. */
export type FolderContent =
  | 'nothing'
  /** A vault. */
  | 'vault'
  /** Files of a vault whose creation did not finish: nobody has its phrase, it may be cleared. */
  | 'unfinished'
  /** Other files. */
  | 'foreign'

/**
 * Where one vault lives: its configuration, its device keys, and the store of its local secondary.
 * The configuration is written last, in one step: a folder without it is not a vault.
 */
export interface VaultFolder {
  content(): Promise<FolderContent>
  /** Clears what an unfinished creation left, never anything else, and marks the folder as one. */
  begin(): Promise<void>
  readConfig(): Promise<Uint8Array>
  /** Writes the configuration: from then on the folder is a vault. */
  finish(config: Uint8Array): Promise<void>
  /** The file of the device's keys, in a copy, which the caller wipes. */
  readKeys(): Promise<Uint8Array>
  /**
   * Puts it in place of the one before, in one step and on the disk when it returns: whatever ends
   * the process meanwhile leaves the old one or the new one, whole. Only the owner may read it, and
   * nothing of the old one stays. Keeps no reference to `bytes`.
   */
  writeKeys(bytes: Uint8Array): Promise<void>
  openStore(): Promise<Store>
  /** How those that have the vault open at the same time act as one, where several may. */
  readonly tabs?: () => Tabs
}
