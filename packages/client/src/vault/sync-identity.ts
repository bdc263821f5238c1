/**
 * Sync identity: what the engine is given of a vault, as functions over its membership, so that it
 * signs, opens and follows the keychain without ever holding a key.
 */
import { newestEpoch } from '@blindcopy/protocol'
import type { DamagedRecords } from '../local/repair.ts'
import type { WriteContext } from '../records/transaction.ts'
import type { SyncIdentity } from '../sync/identity.ts'
import type { Membership } from './membership.ts'
import { readRegistrationToken } from './registration.ts'
import { checkpointIdentityOf } from './vault-checkpoints.ts'

export function syncIdentityOf(parts: {
  readonly membership: Membership
  readonly context: WriteContext
  readonly damaged: DamagedRecords
  readonly retryAside: () => Promise<void>
}): SyncIdentity {
  const { membership, context, damaged, retryAside } = parts
  const { sealer } = context
  return {
    vaultId: membership.keychain.vaultId,
    memberId: membership.memberId,
    sign: (message) => membership.device.sign(message),
    open: sealer.openArrival,
    damaged,
    reseal: (envelope) => sealer.reseal(envelope),
    ...membership.follower,
    keychainEntries: () => membership.keychain.entries,
    newestEpoch: () => newestEpoch(membership.keychain)?.epoch ?? 0,
    membershipTrouble: () => membership.trouble,
    registrationToken: () => readRegistrationToken(context),
    retryAside,
    checkpoints: checkpointIdentityOf(membership, context.local),
  }
}
