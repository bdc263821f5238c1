/**
 * Forward: passes versions on that came here by another way than the remote (forwarding.ts).
 */
import { opens } from '../local/arrival.ts'
import { readForwards, settleForwards } from '../local/forwarding.ts'
import { renewKeychain } from './keychain-fetch.ts'
import type { ReconcileContext } from './reconcile.ts'
import type { DataRequest } from './transport.ts'
import { followBatch, VersionPush } from './version-push.ts'

export type ForwardContext = Pick<
  ReconcileContext,
  'local' | 'transport' | 'identity' | 'bytesMax' | 'onProgress'
> & {
  readonly data: () => DataRequest
}

export type Forwarded = {
  /** The remote has something that this device lacks. */
  readonly isBehind: boolean
  /** Why one of them is not taken. */
  readonly refusal: string | null
}

export async function forwardVersions(context: ForwardContext): Promise<Forwarded> {
  const { local, transport, identity, bytesMax, data } = context
  let isBehind = false
  let refusal: string | null = null
  let done = 0
  const push = new VersionPush({
    transport,
    data,
    bytesMax,
    reseal: identity.reseal,
    renewKeychain: () => renewKeychain({ local, transport, identity, data: data() }),
    onStored: async (versions, { position: stated, newerByOp }) => {
      const { position } = local.cursor
      const next = followBatch(position, versions, stated)
      if (next === undefined || newerByOp.size > 0) isBehind = true
      await settleForwards(local.state, versions, { newerByOp, position: next ?? position })
      done += versions.length
      context.onProgress(done, done)
    },
    onRefused: async (_version, code) => {
      refusal = code
    },
  })
  for await (const page of readForwards(local.state.store)) {
    for (const version of page) {
      if (opens(version.envelope, identity.open)) await push.add(version)
    }
  }
  await push.flush()
  return { isBehind, refusal }
}
