/**
 * Own checkpoint: when this device signs what it holds, and what it signs (design 16).
 *
 * Only at a head whose count and fingerprint the remote has just stated and that are those of the
 * set here, so that two honest devices at one place of the log sign one set. At most once a minute,
 * and only when something has changed since, or a day has passed.
 */
import {
  type Checkpoint,
  type CheckpointStatement,
  checkpointSignedBytes,
  encodeCheckpoint,
  encodeCheckpointBody,
  equalBytes,
  keychainHead,
  parseCheckpoint,
  type SyncId,
} from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import { type OwnCheckpoint, putOwn } from '../local/checkpoint-store.ts'
import { keyedSetOf } from '../local/keyed-count.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { Unopened } from '../local/unopened.ts'
import { provenanceOf } from './checkpoint-judge.ts'
import type { CheckpointIdentity, SyncIdentity } from './identity.ts'
import type { RemoteSet } from './pull.ts'
import type { DataRequest, Transport } from './transport.ts'

export const CHECKPOINT_PAUSE_MS = 60_000
export const CHECKPOINT_AGE_MS_MAX: number = 24 * 60 * 60_000

/** Whether the last checkpoint no longer says what there is to say. */
export function isOutdated(
  last: Checkpoint | null,
  now: {
    readonly local: LocalSecondary
    readonly identity: CheckpointIdentity
    readonly lists: Unopened
    readonly nowMs: number
  },
): boolean {
  const { syncId, position } = now.local.cursor
  if (syncId === null || position.seq === 0) return false
  if (last === null) return true
  return (
    !equalBytes(last.syncId, syncId) ||
    last.position.seq !== position.seq ||
    !equalBytes(last.position.chain, position.chain) ||
    !equalBytes(last.keychainHead, keychainHead(now.identity.keychain())) ||
    !samePairs(last.unopened, now.lists.unopened) ||
    !samePairs(last.late, now.lists.late) ||
    Math.abs(now.nowMs - last.timeMs) >= CHECKPOINT_AGE_MS_MAX
  )
}

/** Both are of records in the order of their ids. */
const samePairs = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((pair, i) => equalBytes(pair, b[i] as Uint8Array))

/** Whether what the remote stated of its head is what is held here now. */
export function agrees(local: LocalSecondary, stated: RemoteSet | null): stated is RemoteSet {
  if (stated === null || local.cursor.position.seq !== stated.seq) return false
  const { count, fingerprint } = local.confirmedSet
  return count === stated.count && equalBytes(fingerprint, stated.fingerprint)
}

export type SignContext = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity & { readonly checkpoints: CheckpointIdentity }
  readonly data: DataRequest
  readonly agreed: RemoteSet
  readonly lists: Unopened
  readonly nowMs: number
}

const ATTEMPTS_MAX = 3

/**
 * Signs and sends a checkpoint. Returns what was used of the numbers, and the checkpoint that the
 * remote took; the same as before when something has changed meanwhile.
 */
export async function sendCheckpoint(
  context: SignContext,
  before: OwnCheckpoint,
): Promise<OwnCheckpoint> {
  const { local, transport, data } = context
  let own = before
  for (let attempt = 1; ; attempt++) {
    const checkpoint = await sign(context, own)
    if (checkpoint === null) return own
    own = { ...own, number: checkpoint.number }
    try {
      await transport.putCheckpoint(data, checkpoint.bytes)
    } catch (error) {
      if (codeOf(error) !== 'checkpoint-old' || attempt >= ATTEMPTS_MAX) throw error
      const stored = await storedNumber(context)
      if (stored === undefined) throw error
      // A copy of this folder, or this folder before it was put back, has counted further.
      own = { ...own, number: Math.max(own.number, stored) }
      continue
    }
    own = { number: checkpoint.number, checkpoint }
    const taken = own
    await local.state.run(() => local.state.writeOps([putOwn(taken)]))
    return own
  }
}

/**
 * The number of the checkpoint that the remote has of this device, by its own signature: what the
 * remote says of it could be the last number there is, and this device would sign none any more.
 */
async function storedNumber(context: SignContext): Promise<number | undefined> {
  const { transport, identity, data } = context
  const served = (await transport.checkpoints(data)).map(parseCheckpoint)
  return served.find(
    (one) =>
      equalBytes(one.memberId, identity.memberId) &&
      provenanceOf(one, identity.checkpoints) === 'signed',
  )?.number
}

/** Null when what is held is no longer what the remote stated. The number is used up first. */
async function sign(context: SignContext, own: OwnCheckpoint): Promise<Checkpoint | null> {
  const { local, identity, agreed, lists, nowMs } = context
  const { state } = local
  await keyedSetOf(state)
  const number = own.number + 1
  const statement = await state.run(async (): Promise<CheckpointStatement | null> => {
    const { keyedSet, pairHash } = state
    const isCounted = keyedSet !== null && keyedSet.epoch === pairHash?.()?.epoch
    if (!isCounted || !agrees(local, agreed)) return null
    await state.writeOps([putOwn({ ...own, number })])
    const keychain = identity.checkpoints.keychain()
    return {
      vaultId: identity.vaultId,
      memberId: identity.memberId,
      number,
      timeMs: Math.max(0, Math.floor(nowMs)),
      syncId: local.cursor.syncId as SyncId,
      position: local.cursor.position,
      count: local.confirmedSet.count,
      epoch: keyedSet.epoch,
      fingerprint: keyedSet.sum,
      keychainLength: keychain.hashes.length,
      keychainHead: keychainHead(keychain),
      ...lists,
    }
  })
  if (statement === null) return null
  const body = encodeCheckpointBody(statement)
  const signature = identity.sign(checkpointSignedBytes(statement.vaultId, body))
  return parseCheckpoint(encodeCheckpoint(body, signature))
}
