/**
 * Parts that an app loads when they are first used. A simulation has them all at hand before it
 * begins: to load one takes real time, and the same seed would not be the same again.
 */
import '../../packages/client/src/carry/bundle.ts'
import '../../packages/client/src/carry/carried.ts'
import '../../packages/client/src/carry/peer-exchange.ts'
import '../../packages/client/src/vault/founding.ts'
import '../../packages/client/src/vault/key-changes.ts'
import '../../packages/client/src/vault/recovery-opening.ts'
import '../../packages/client/src/vault/restore.ts'
