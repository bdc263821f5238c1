/**
 * Checkpoints: keeps the newest signed statement of each device, and passes it on (design 16).
 *
 * The remote can make none and gains nothing by keeping them honestly; it checks what it can, so
 * that no member fills its disk or sends others what they must refuse. What stands in a checkpoint
 * under another SyncId stays until its device makes the next: it tells when the device was last
 * here.
 */
import {
  type Checkpoint,
  type CheckpointAnswer,
  type CheckpointsAnswer,
  checkpointSignedBytes,
  checkSignature,
  DEVICES_ACTIVE_MAX,
  equalBytes,
  findMember,
  ProtocolError,
  parseCheckpoint,
} from '@blindcopy/protocol'
import type { Parts } from './parts.ts'
import { beginSyncId, checkSyncId, isInLog, type Position } from './position.ts'
import { mustMember } from './session.ts'
import type { Session } from './token.ts'
import { mustVault, type Vault } from './vaults.ts'

export type PutCheckpoint = {
  readonly session: Session
  readonly position: Position
  readonly body: Uint8Array
}

/**
 * Stores a checkpoint of the session's device in place of an older one. The stored bytes again are
 * a success. Throws `checkpoint-refused`, or `checkpoint-old` with the number that is stored.
 */
export async function putCheckpoint(
  parts: Parts,
  { session, position, body }: PutCheckpoint,
): Promise<CheckpointAnswer> {
  const checkpoint = parseCheckpoint(body)
  return parts.vaults.exclusively(session.vaultId, async (found) => {
    const vault = mustVault(found)
    mustMember(vault, session.memberId)
    checkSyncId(vault, position.syncId)
    if (!(await isInLog(parts, vault, position.cursor))) await beginSyncId(parts, vault, session)
    await checkCheckpoint(parts, vault, { session, checkpoint })
    const key = vault.keys.checkpoint(checkpoint.memberId)
    const stored = await parts.store.get(key)
    if (stored !== undefined) {
      if (equalBytes(stored, checkpoint.bytes)) return { number: checkpoint.number }
      const { number } = parseCheckpoint(stored)
      if (number >= checkpoint.number) throw old(number)
    }
    await parts.vaults.commit(vault, [{ type: 'put', key, value: checkpoint.bytes }])
    parts.live.tellCheckpoint(vault, checkpoint.bytes, session)
    return { number: checkpoint.number }
  })
}

/** Those of active devices, as they were signed. */
export async function readCheckpoints(
  { store }: Pick<Parts, 'store'>,
  { keychain, keys }: Vault,
): Promise<CheckpointsAnswer> {
  const devices = [...keychain.membersById.values()].filter(({ kind }) => kind === 'device')
  const stored = await store.getMany(devices.map(({ memberId }) => keys.checkpoint(memberId)))
  const checkpoints = stored.filter((bytes) => bytes !== undefined)
  return { checkpoints: checkpoints.slice(0, DEVICES_ACTIVE_MAX) }
}

async function checkCheckpoint(
  parts: Parts,
  vault: Vault,
  { session, checkpoint }: { session: Session; checkpoint: Checkpoint },
): Promise<void> {
  const { vaultId, memberId, syncId, position, body, signature } = checkpoint
  if (!equalBytes(vaultId, vault.vaultId)) refused('it is of another vault')
  const member = findMember(vault.keychain, memberId)
  if (member?.kind !== 'device') refused('it is of no active device')
  if (!equalBytes(memberId, session.memberId)) refused('it is of another device')
  const signed = checkpointSignedBytes(vaultId, body)
  if (!checkSignature(parts.verify, signed, signature, member.signingKey)) {
    refused('its signature is wrong')
  }
  if (!equalBytes(syncId, vault.state.syncId)) refused('it is of another SyncId')
  if (!(await isInLog(parts, vault, position))) refused('its position is not in the log')
}

function refused(why: string): never {
  throw new ProtocolError('checkpoint-refused', `checkpoint refused: ${why}`)
}

function old(number: number): ProtocolError {
  return new ProtocolError(
    'checkpoint-old',
    'a newer checkpoint of this device is stored: count on from its number',
    { details: { number } },
  )
}
