/**
 * What runs inside a page of the browser tests: the package as an app of the web gets it, and the
 * few things that are easier said there.
 */
import * as blindcopy from '@blindcopy/client/browser'
import { keyStoreCases } from '../../packages/client/src/vault/key-store.suite.ts'

const VALUE = {
  zero: 0,
  minus: -0,
  big: 2n ** 70n,
  date: new Date(5),
  bytes: new Uint8Array([1, 2, 255]),
  nothing: undefined,
  text: '記録 😀',
}

function isValue(kept: typeof VALUE | undefined): boolean {
  if (kept === undefined) return false
  return (
    kept.zero === 0 &&
    Object.is(kept.minus, -0) &&
    kept.big === VALUE.big &&
    kept.date.getTime() === 5 &&
    kept.bytes.join() === '1,2,255' &&
    'nothing' in kept &&
    kept.text === VALUE.text
  )
}

/** The code of the error of a job, or undefined when there was none. */
const codeOf = (job: Promise<unknown>): Promise<string | undefined> =>
  job.then(
    () => undefined,
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )

async function untilStatus(
  vault: blindcopy.Vault,
  isWanted: (status: blindcopy.SyncStatus) => boolean,
): Promise<blindcopy.SyncStatus> {
  for await (const status of vault.sync.watch()) if (isWanted(status)) return status
  throw new Error('the vault was closed')
}

/** Waits until a collection has that many records. */
async function untilCount(vault: blindcopy.Vault, name: string, count: number): Promise<number> {
  for await (const found of vault.collection(name).watch()) {
    if (found.length === count) return found.length
  }
  return -1
}

/** The objects of a vault's folder, as they stand in IndexedDB. */
function folderObjects(
  path: string,
  change?: (objects: IDBObjectStore) => void,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(`blindcopy:${path}:folder`)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('objects', 'readwrite')
      const objects = transaction.objectStore('objects')
      change?.(objects)
      const [keys, values] = [objects.getAllKeys(), objects.getAll()]
      transaction.oncomplete = () => {
        opening.result.close()
        resolve(Object.fromEntries(keys.result.map((key, i) => [String(key), values.result[i]])))
      }
    }
  })
}

function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

const inPage = {
  ...blindcopy,
  VALUE,
  isValue,
  codeOf,
  untilStatus,
  untilCount,
  folderObjects,
  deleteDatabase,
  keyStoreCases,
}

export type InPage = typeof inPage

Object.assign(globalThis, { inPage, isReady: true })
