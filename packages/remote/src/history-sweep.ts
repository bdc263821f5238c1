/**
 * History sweep: goes round all vaults, a few at a beat, and drops what their histories keep beyond
 * the retention time. A remote of ten thousand vaults is gone round in a quarter of an hour, and no
 * beat holds up more than a few sections for a moment.
 *
 * What is dropped stays on the disk until its place is written again. Whoever keeps less history
 * because the disk is full needs it sooner: when more has been dropped of a vault than is left, its
 * room is given back.
 */
import { formatHex, type VaultId } from '@blindcopy/protocol'
import { remoteKeyspace } from '@blindcopy/secondary'
import { type Expired, expireHistory } from './history.ts'
import type { Parts } from './parts.ts'
import { listVaults } from './vault-list.ts'

export type HistorySweep = {
  /** Resolves when the beat's share is done; a beat while one is under way does nothing. */
  beat(): Promise<void>
}

const VAULTS_A_BEAT = 16
/** Of one vault in one beat: what is more waits for the next round. */
const DROPS_A_BEAT = 8
/** Less is not worth the work. */
const GIVEN_BACK_BYTES_MIN = 16 * 1024 * 1024
/** Vaults of which it is remembered how much was dropped. */
const REMEMBERED_MAX = 10_000

export function createHistorySweep(parts: Parts): HistorySweep {
  let after: VaultId | undefined
  let isBusy = false

  /** Since its room was given back. */
  const droppedBytesById = new Map<string, number>()

  async function sweepSome(): Promise<void> {
    const { vaults, next } = await listVaults(parts.store, { after, limit: VAULTS_A_BEAT })
    after = next
    for (const { vaultId, state } of vaults) {
      if (state !== undefined && state.historyCount > 0) await sweepOne(vaultId)
    }
  }

  async function sweepOne(vaultId: VaultId): Promise<void> {
    for (let drops = 0; drops < DROPS_A_BEAT; drops++) {
      const expired = await expireHistory(parts, vaultId)
      if (expired === undefined) return
      if (isMostGone(formatHex(vaultId), expired)) {
        const { gte, lt } = remoteKeyspace(vaultId).histories
        await parts.store.compact?.(gte, lt)
      }
    }
  }

  function isMostGone(id: string, { droppedBytes, leftBytes }: Expired): boolean {
    const bytes = (droppedBytesById.get(id) ?? 0) + droppedBytes
    droppedBytesById.delete(id)
    if (bytes >= Math.max(GIVEN_BACK_BYTES_MIN, leftBytes)) return true
    if (droppedBytesById.size < REMEMBERED_MAX) droppedBytesById.set(id, bytes)
    return false
  }

  return {
    async beat() {
      if (isBusy) return
      isBusy = true
      try {
        await sweepSome()
      } finally {
        isBusy = false
      }
    },
  }
}
