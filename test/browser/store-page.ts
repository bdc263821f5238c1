/**
 * What runs inside the page of store.test.ts: the conformance suite of stores, on IndexedDB, as it
 * is and as a vault has it.
 */
import { browserPlatform } from '@blindcopy/client/browser'
import { openLevelStore } from '@blindcopy/secondary'
import { describeStore } from '@blindcopy/secondary/suite'
import { runTests } from './vitest-in-page.ts'

let count = 0

describeStore('IndexedDB', async () => {
  const path = `suite-${count++}`
  const store = await openLevelStore({ path })
  let current = store
  return {
    store,
    async reopen() {
      await current.close()
      current = await openLevelStore({ path })
      return current
    },
  }
})

const platform = browserPlatform()

describeStore('the records of a vault', async () => {
  const path = `suite-${count++}`
  const folder = platform.openFolder(path)
  await folder.begin()
  const store = await folder.openStore()
  let current = store
  return {
    store,
    async reopen() {
      await current.close()
      current = await platform.openFolder(path).openStore()
      return current
    },
  }
})

Object.assign(globalThis, { runTests, isReady: true })
