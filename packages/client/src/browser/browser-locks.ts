/**
 * Locks of the browser: the Web Locks of one vault, by its name.
 *
 *   …:folder   shared by every tab that has the vault open; alone while it is made or removed
 *   …:write    one tab at a time: whoever changes the local secondary
 *   …:sync     the tab that syncs, for as long as it does
 *
 * A tab that crashes or is closed lets go of all of them: that is why they are not records.
 */
export type LockMode = 'shared' | 'exclusive'

/** Lets go; resolved when others can have the lock. */
export type Release = () => Promise<void>

const lockName = (path: string, purpose: 'folder' | 'write' | 'sync'): string =>
  `blindcopy:${path}:${purpose}`

/** Holds the vault's folder if nobody stands in the way, and otherwise gives undefined. */
export function holdFolder(path: string, mode: LockMode): Promise<Release | undefined> {
  return hold(lockName(path, 'folder'), { mode, ifAvailable: true })
}

/** The same as soon as nobody stands in the way. */
export async function awaitFolder(path: string, mode: LockMode): Promise<Release> {
  return (await hold(lockName(path, 'folder'), { mode })) as Release
}

/** Runs a job that may write, alone among all tabs. */
export async function runAlone<T>(path: string, job: () => Promise<T>): Promise<T> {
  // The types of the DOM say that the callback's promise is wrapped once more: it is not.
  return (await navigator.locks.request(lockName(path, 'write'), job)) as T
}

/** Waits for its turn to be the tab that syncs; `shared` waits until no tab is. */
export async function holdSync(
  path: string,
  mode: LockMode,
  signal: AbortSignal,
): Promise<Release> {
  return (await hold(lockName(path, 'sync'), { mode, signal })) as Release
}

function hold(name: string, options: LockOptions): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    const ended: Promise<unknown> = navigator.locks.request(name, options, (lock) => {
      if (lock === null) {
        resolve(undefined)
        return undefined
      }
      return new Promise<void>((letGo) => {
        resolve(async () => {
          letGo()
          await ended
        })
      })
    })
    ended.catch(reject)
  })
}
