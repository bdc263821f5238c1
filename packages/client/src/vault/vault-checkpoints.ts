/**
 * Checkpoints as an app sees them: who saw what of the vault, and when.
 *
 * `newestCheckpoint` and `expectCheckpoint` are for pairing. The device that invites gives the
 * newest checkpoint that links to its own log, opaque, beside the keychain head. The device that
 * joins hands it to `expectCheckpoint` once, before its first sync: the log that the remote then
 * serves must contain it, or sync stops (`history-forked`).
 */
import {
  type Checkpoint,
  equalBytes,
  formatBase64Url,
  formatMemberId,
  formatSyncId,
  keychainHead,
  parseCheckpoint,
} from '@blindcopy/protocol'
import { verifySignature } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import {
  type Heard,
  type OwnCheckpoint,
  putExpected,
  readHeard,
  readOwn,
} from '../local/checkpoint-store.ts'
import type { PairHash } from '../local/keyed-set.ts'
import { putLateAside } from '../local/late-named.ts'
import { restoreUnderLate } from '../local/late-over.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { rewriteNamed } from '../local/rewrite-named.ts'
import type { CheckpointIdentity } from '../sync/identity.ts'
import type { DeviceInfo, Membership } from './membership.ts'

export type SeenState =
  /** This device's log contains what it has signed. */
  | 'linked'
  /** It has signed more than this device has received. */
  | 'ahead'
  /** It has signed nothing that came here. */
  | 'not-heard'
  /** Its last checkpoint is of before the remote was reset, restored or replaced. */
  | 'before-reset'
  /** The remote had what it has signed, and no longer has. */
  | 'rolled-back'
  /** It has signed another history than the remote shows here. */
  | 'forked'
  /** It holds other records at the same place of the history. */
  | 'differs'
  /** The person let sync go on though it was `forked` or `differs`. */
  | 'settled'

export type SeenDevice = {
  readonly deviceId: string
  readonly name: string
  readonly isThis: boolean
  readonly state: SeenState
  /** Up to which number of the log; null when nothing was heard of it. */
  readonly seq: number | null
  /** When it signed, by its own clock, and not later than it was seen here. */
  readonly signedMs: number | null
  /** Not heard of for a week: a remote that shows this device an old view looks like that. */
  readonly isSilent: boolean
  /** How many versions it could not open; of each kind at most 100 are told. */
  readonly unopened: number
}

export type VerifyReport = {
  /** Nothing contradicts what this device holds. */
  readonly isSound: boolean
  readonly syncId: string | null
  readonly seq: number
  /** The beginning of the chain at that number: the same on every device that stands there. */
  readonly chain: string
  readonly keychain: { readonly length: number; readonly head: string }
  /** Versions that did not open here. */
  readonly quarantined: number
  /** This device first. */
  readonly devices: readonly SeenDevice[]
}

export type VaultCheckpoints = {
  verify(): Promise<VerifyReport>
  newestCheckpoint(): Promise<Uint8Array | null>
  expectCheckpoint(bytes: Uint8Array): Promise<void>
}

export const SILENT_MS_MIN: number = 7 * 24 * 60 * 60_000
const SHORT_BYTES = 6
const UNSOUND: ReadonlySet<SeenState> = new Set(['forked', 'differs'])

export function checkpointIdentityOf(
  membership: Membership,
  local: LocalSecondary,
): CheckpointIdentity {
  return {
    keychain: () => membership.keychain,
    verify: verifySignature,
    rewriteNamed: async () => {
      const { state, keys } = local
      const { keychain } = membership
      const named = await rewriteNamed(state, keys, keychain)
      return named + (await restoreUnderLate(state, keys, keychain))
    },
    putLateAside: () => putLateAside(local.state, local.keys, membership.keychain),
  }
}

/** Null while there are no keys at hand. */
export function pairHashOf(membership: Membership): () => PairHash | null {
  return () => {
    try {
      const { keyring } = membership
      return { epoch: keyring.newestEpoch, hash: (pair) => keyring.pairHash(pair) }
    } catch (error) {
      if (error instanceof ClientError) return null
      throw error
    }
  }
}

export function vaultCheckpointsOf(options: {
  readonly local: LocalSecondary
  readonly membership: Membership
  readonly checkOpen: () => void
  readonly nowMs: () => number
}): VaultCheckpoints {
  const { local, membership, checkOpen, nowMs } = options
  const { state } = local
  return {
    async verify() {
      checkOpen()
      const heard = await readHeard(state.store)
      const own = await readOwn(state.store)
      const known = { heard, own, local, nowMs: nowMs() }
      const members = membership.devices().filter(({ kind }) => kind === 'device')
      const devices = members.map((member) => seenDevice(member, known))
      devices.sort((a, b) => Number(b.isThis) - Number(a.isThis))
      const { syncId, position } = local.cursor
      const { keychain } = membership
      return {
        isSound: devices.every((device) => !UNSOUND.has(device.state)),
        syncId: syncId === null ? null : formatSyncId(syncId),
        seq: position.seq,
        chain: shortOf(position.chain),
        keychain: { length: keychain.hashes.length, head: shortOf(keychainHead(keychain)) },
        quarantined: (await local.quarantined()).length,
        devices,
      }
    },
    async newestCheckpoint() {
      checkOpen()
      const { checkpoint } = await readOwn(state.store)
      const linked = [...(await readHeard(state.store)).values()].map((one) => one.linked)
      const present = [checkpoint, ...linked].filter((one) => one !== null && isPresent(local, one))
      const seqOf = (one: Checkpoint | null): number => one?.position.seq ?? 0
      return present.sort((a, b) => seqOf(b) - seqOf(a))[0]?.bytes.slice() ?? null
    },
    async expectCheckpoint(bytes) {
      checkOpen()
      const checkpoint = parseCheckpoint(bytes)
      if (!equalBytes(checkpoint.vaultId, membership.keychain.vaultId)) {
        throw new ClientError('wrong-vault', 'the checkpoint is of another vault')
      }
      await state.run(() => state.writeOps([putExpected(checkpoint)], { sync: true }))
    },
  }
}

type Known = {
  readonly heard: ReadonlyMap<string, Heard>
  readonly own: OwnCheckpoint
  readonly local: LocalSecondary
  readonly nowMs: number
}

function seenDevice(member: DeviceInfo, known: Known): SeenDevice {
  const { nowMs, local, own } = known
  const { isThis, name, memberId } = member
  const found = [...known.heard.values()].find(({ checkpoint }) =>
    equalBytes(checkpoint.memberId, memberId),
  )
  const checkpoint = isThis ? own.checkpoint : (found?.checkpoint ?? null)
  const seenMs = isThis ? Number.POSITIVE_INFINITY : (found?.seenMs ?? 0)
  const signedMs = checkpoint === null ? null : Math.min(checkpoint.timeMs, seenMs)
  return {
    deviceId: formatMemberId(memberId as Checkpoint['memberId']),
    name,
    isThis,
    state: seenState(local, checkpoint, isThis ? undefined : found),
    seq: checkpoint?.position.seq ?? null,
    signedMs,
    isSilent: !isThis && nowMs - (signedMs ?? member.addedMs) >= SILENT_MS_MIN,
    unopened: (checkpoint?.unopened.length ?? 0) + (checkpoint?.late.length ?? 0),
  }
}

function seenState(
  local: LocalSecondary,
  checkpoint: Checkpoint | null,
  heard: Heard | undefined,
): SeenState {
  if (checkpoint === null) return 'not-heard'
  if (!isPresent(local, checkpoint)) return 'before-reset'
  if (heard === undefined) return 'linked'
  if (heard.state === 'parted') return 'forked'
  if (heard.state === 'void' || heard.isMissed) return 'rolled-back'
  return heard.state
}

const isPresent = ({ cursor }: LocalSecondary, { syncId }: Checkpoint): boolean =>
  cursor.syncId !== null && equalBytes(cursor.syncId, syncId)

/** Short enough to be read aloud. */
const shortOf = (hash: Uint8Array): string => formatBase64Url(hash.subarray(0, SHORT_BYTES))
