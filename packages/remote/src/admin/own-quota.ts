/**
 * Own quota: what one vault may hold, where that differs from what is configured for all.
 */
import { ProtocolError, type VaultId } from '@blindcopy/protocol'
import type { Quota } from '../quota.ts'
import type { AdminParts } from './admin-parts.ts'
import { noSuchVault, readVault } from './read-vault.ts'

/** What a state can hold of it. */
const DEVICES_MAX = 0xffff

/** Undefined for null. Throws `malformed`. */
export function parseQuota(value: unknown): Quota | undefined {
  if (value === null) return undefined
  const fields = typeof value === 'object' ? (value as Record<string, unknown>) : {}
  const { bytesMax, recordsMax, devicesMax, ...others } = fields
  if (
    isAmount(bytesMax) &&
    isAmount(recordsMax) &&
    isAmount(devicesMax) &&
    devicesMax <= DEVICES_MAX &&
    Object.keys(others).length === 0
  ) {
    return { bytesMax, recordsMax, devicesMax }
  }
  throw new ProtocolError(
    'malformed',
    'a quota has bytesMax, recordsMax and devicesMax, each 1 or more',
  )
}

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1

/** Undefined: as configured. Throws `no-such-vault`. */
export async function setQuota(
  parts: Pick<AdminParts, 'vaults'>,
  vaultId: VaultId,
  quota: Quota | undefined,
): Promise<void> {
  await readVault(parts, vaultId)
  await parts.vaults.exclusively(vaultId, async (vault) => {
    if (vault === undefined) throw noSuchVault()
    await parts.vaults.commit({ ...vault, state: { ...vault.state, quota } }, [])
  })
}
