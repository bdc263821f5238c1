/**
 * Login of the engine: a session, after registering the vault where the remote does not have it
 * yet.
 *
 * The first SyncId a vault meets is adopted; any other later stops sync, because the remote is then
 * not the one this device has exchanged with (design 11).
 */
import { equalBytes, formatSyncId, ProtocolError, type SyncId } from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import type { LocalSecondary } from '../local-secondary.ts'
import type { SyncIdentity } from './identity.ts'
import { type LoggedIn, logIn, registerVault } from './session.ts'
import type { Transport } from './transport.ts'

export async function openSession(
  local: LocalSecondary,
  transport: Transport,
  identity: SyncIdentity,
): Promise<LoggedIn> {
  const session = await logInOrRegister(local, transport, identity)
  await checkSyncId(local, session.syncId)
  return session
}

async function logInOrRegister(
  local: LocalSecondary,
  transport: Transport,
  identity: SyncIdentity,
): Promise<LoggedIn> {
  try {
    return await logIn(transport, identity)
  } catch (error) {
    const isFirst = local.cursor.syncId === null
    if (codeOf(error) !== 'unknown-vault' || !isFirst) throw error
  }
  await registerVault(transport, identity, {
    entries: await identity.keychainEntries(),
    greatestMs: 0,
    registrationToken: await identity.registrationToken(),
  })
  return logIn(transport, identity)
}

async function checkSyncId(local: LocalSecondary, stated: SyncId): Promise<void> {
  const { syncId } = local.cursor
  if (syncId === null) return local.adoptSyncId(stated)
  if (equalBytes(syncId, stated)) return
  throw new ProtocolError('sync-id-mismatch', 'the remote is another than this device has met', {
    details: { syncId: formatSyncId(stated) },
  })
}
