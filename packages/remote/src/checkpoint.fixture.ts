/** Checkpoint fixture: what a device signs at its cursor. Only tests import it. */
import {
  type CheckpointStatement,
  checkpointSignedBytes,
  encodeCheckpoint,
  encodeCheckpointBody,
} from '@blindcopy/protocol'
import type { Device, Signer } from './remote.fixture.ts'

export function makeCheckpoint(
  device: Device,
  changes: Partial<CheckpointStatement> = {},
  signer: Signer = device.signer,
): Uint8Array {
  const statement: CheckpointStatement = {
    vaultId: device.chain.vaultId,
    memberId: device.signer.memberId,
    number: 1,
    timeMs: device.bench.clock.ms,
    syncId: device.syncId,
    position: device.cursor,
    count: 0,
    epoch: 1,
    fingerprint: new Uint8Array(32),
    keychainLength: device.chain.entries.length,
    keychainHead: device.chain.head,
    unopened: [],
    late: [],
    ...changes,
  }
  const body = encodeCheckpointBody(statement)
  const signature = signer.sign(checkpointSignedBytes(statement.vaultId, body))
  return encodeCheckpoint(body, signature)
}
