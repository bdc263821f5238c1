/**
 * A process that changes the passphrase of a vault's keys to and fro until it is killed, and says
 * before each change which one it begins.
 */
import { openVault } from '@blindcopy/client'

const [path, first, second] = process.argv.slice(2)
let [current, next] = [first, second]
const vault = await openVault({ path, passphrase: current })
for (;;) {
  process.stdout.write(`${current}\n`)
  await vault.protection.changePassphrase({ current, next })
  ;[current, next] = [next, current]
}
