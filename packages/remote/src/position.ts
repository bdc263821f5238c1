/**
 * Position: whether what a device says it has applied is what stands in the log.
 *
 * A request under another SyncId is told the right one. One under the right SyncId whose cursor is
 * not in the log comes from a device that applied what we have lost, so the host was put back from
 * an image: the log must not fork under one SyncId, and a new one begins here (design 11). The
 * device then reconciles and brings back what it has.
 */
import {
  chainStart,
  equalBytes,
  type LogPosition,
  ProtocolError,
  parseSyncId,
  type SyncId,
} from '@blindcopy/protocol'
import { spend } from './allowance.ts'
import { logEntryChain } from './log-entry.ts'
import type { Parts } from './parts.ts'
import { type Caller, mustMember } from './session.ts'
import type { Session } from './token.ts'
import { mustVault, type Vault } from './vaults.ts'

export type Position = { readonly syncId: SyncId; readonly cursor: LogPosition }

/** Throws `sync-id-mismatch` with the right one. */
export function checkSyncId(vault: Vault, syncId: SyncId): void {
  if (!equalBytes(vault.state.syncId, syncId)) throwMismatch(vault.state.syncId)
}

export async function isInLog(parts: Parts, vault: Vault, cursor: LogPosition): Promise<boolean> {
  const { head } = vault.state
  if (cursor.seq > head.seq) return false
  if (cursor.seq === head.seq) return equalBytes(cursor.chain, head.chain)
  if (cursor.seq === 0) return equalBytes(cursor.chain, chainStart(vault.vaultId))
  const entry = await parts.store.get(vault.keys.logEntry(cursor.seq))
  return entry !== undefined && equalBytes(cursor.chain, logEntryChain(entry))
}

/** The check of every data request that does not write; begins a new SyncId where one is due. */
export async function checkPosition(
  parts: Parts,
  { vault, session }: Caller,
  position: Position,
): Promise<void> {
  checkSyncId(vault, position.syncId)
  if (await isInLog(parts, vault, position.cursor)) return
  await parts.vaults.exclusively(vault.vaultId, async (found) => {
    const present = mustVault(found)
    mustMember(present, session.memberId)
    // Another request may have begun one while this one waited.
    checkSyncId(present, position.syncId)
    if (!(await isInLog(parts, present, position.cursor))) {
      await beginSyncId(parts, present, session)
    }
  })
}

/** Inside the vault's section. Throws `sync-id-mismatch` when done. */
export async function beginSyncId(parts: Parts, vault: Vault, session: Session): Promise<never> {
  const allowance = spend(vault.state.allowance, {
    memberId: session.memberId,
    what: 'syncIds',
    amount: 1,
    nowMs: parts.nowMs(),
  })
  const syncId = parseSyncId(parts.random(16))
  await parts.vaults.commit({ ...vault, state: { ...vault.state, syncId, allowance } }, [])
  parts.live.closeVault(vault.vaultId, mismatch(syncId))
  return throwMismatch(syncId)
}

function throwMismatch(syncId: SyncId): never {
  throw mismatch(syncId)
}

export function mismatch(syncId: SyncId): ProtocolError {
  return new ProtocolError(
    'sync-id-mismatch',
    'this remote secondary has another SyncId now: reconcile with it',
    { details: { syncId } },
  )
}
