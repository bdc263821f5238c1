/**
 * Whether a browser keeps what it stores for this site. Unless asked, and unless it agrees, it may
 * delete all of it when space runs short: then only what was synced comes back.
 */
export type StorageState = {
  /** False: the browser may delete every vault of this site. A status should say so. */
  readonly persisted: boolean
  /** For all that this site stores; 0 where the browser does not say. */
  readonly usageBytes: number
  readonly quotaBytes: number
  /** What to tell the person, or null. */
  readonly warning: string | null
}

const WARNING =
  'this browser may delete the vault when space runs short: keep it synced, and keep the recovery phrase'

/**
 * Asks for storage that stays. Some browsers ask the person, so nothing waits for the answer;
 * `storageState` has it.
 */
export function askForPersistence(): void {
  navigator.storage?.persist?.().catch(() => undefined)
}

export async function storageState(): Promise<StorageState> {
  const { storage } = navigator
  const persisted = (await storage?.persisted?.()) ?? false
  const { usage = 0, quota = 0 } = (await storage?.estimate?.()) ?? {}
  return {
    persisted,
    usageBytes: usage,
    quotaBytes: quota,
    warning: persisted ? null : WARNING,
  }
}
