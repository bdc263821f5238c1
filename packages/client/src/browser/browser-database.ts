/**
 * Databases of the browser: IndexedDB with promises, for the few small things beside the records.
 *
 * Connections are opened for one job and closed after it, so none stands in the way when a database
 * is deleted. Every failure is a `StoreError`.
 */
import { StoreError } from '@blindcopy/secondary'

const OBJECTS = 'objects'

/** Whether there is a database; looking for one does not make it. */
export async function hasDatabase(name: string): Promise<boolean> {
  const database = await open(name, { mayCreate: false })
  database?.close()
  return database !== undefined
}

/** The named values of a database, undefined where there is none; all of them at one moment. */
export async function readObjects(name: string, keys: readonly string[]): Promise<unknown[]> {
  const database = await open(name, { mayCreate: false })
  if (database === undefined) return keys.map(() => undefined)
  try {
    const transaction = database.transaction(OBJECTS, 'readonly')
    const objects = transaction.objectStore(OBJECTS)
    const requests = keys.map((key) => objects.get(key))
    await finished(transaction)
    return requests.map((request) => request.result as unknown)
  } catch (error) {
    throw toStoreError(error)
  } finally {
    database.close()
  }
}

/**
 * Puts some values and deletes those that are given as undefined, all in one step that is on the
 * disk when it returns. Makes the database when there is none.
 */
export async function writeObjects(
  name: string,
  values: Readonly<Record<string, unknown>>,
): Promise<void> {
  const database = await open(name, { mayCreate: true })
  try {
    const transaction = database.transaction(OBJECTS, 'readwrite', { durability: 'strict' })
    const objects = transaction.objectStore(OBJECTS)
    for (const [key, value] of Object.entries(values)) {
      if (value === undefined) objects.delete(key)
      else objects.put(value, key)
    }
    await finished(transaction)
  } catch (error) {
    throw toStoreError(error)
  } finally {
    database.close()
  }
}

/** Deletes a database, if there is one. Waits for connections to it that are about to close. */
export function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(toStoreError(request.error))
  })
}

function open(name: string, options: { mayCreate: true }): Promise<IDBDatabase>
function open(name: string, options: { mayCreate: false }): Promise<IDBDatabase | undefined>
function open(
  name: string,
  { mayCreate }: { mayCreate: boolean },
): Promise<IDBDatabase | undefined> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name)
    request.onupgradeneeded = () => {
      // Taken back, what was about to be made is not there.
      if (mayCreate) request.result.createObjectStore(OBJECTS)
      else request.transaction?.abort()
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => {
      if (!mayCreate && request.error?.name === 'AbortError') resolve(undefined)
      else reject(toStoreError(request.error))
    }
  })
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('aborted'))
  })
}

export function toStoreError(cause: unknown): StoreError {
  if (cause instanceof Error && cause.name === 'QuotaExceededError') {
    return new StoreError(
      'store-full',
      'the browser has no room left for this site: free some space, then try again',
      { cause },
    )
  }
  return new StoreError('store-failed', "the browser's storage could not be read or written", {
    cause,
  })
}
