/**
 * Writes to a vault until its disk takes no more: `node full-disk-worker.mjs FOLDER`. Prints how many
 * writes were taken and the code of the one that was not.
 */
import { codeOf, openVault } from '@blindcopy/client'

const vault = await openVault({ path: process.argv[2] })
const WRITES_MAX = 5_000
let taken = 0
let code = null
while (code === null && taken < WRITES_MAX) {
  try {
    await vault.collection('bulk').put(`b${taken}`, { i: taken, text: 'x'.repeat(4_000) })
    taken++
  } catch (error) {
    code = codeOf(error) ?? `${error}`
  }
}
process.stdout.write(JSON.stringify({ taken, code }))
process.exit(0)
