/**
 * History sweep: goes round all vaults, a few at a beat, and drops what their histories keep beyond
 * the retention time. A remote of ten thousand vaults is gone round in a quarter of an hour, and no
 * beat holds up more than a few sections for a moment.
 */
import type { VaultId } from '@blindcopy/protocol'
import { expireHistory } from './history.ts'
import type { Parts } from './parts.ts'
import { listVaults } from './vault-list.ts'

export type HistorySweep = {
  /** Resolves when the beat's share is done; a beat while one is under way does nothing. */
  beat(): Promise<void>
}

const VAULTS_A_BEAT = 16
/** Of one vault in one beat: what is more waits for the next round. */
const DROPS_A_BEAT = 8

export function createHistorySweep(parts: Parts): HistorySweep {
  let after: VaultId | undefined
  let isBusy = false

  async function sweepSome(): Promise<void> {
    const { vaults, next } = await listVaults(parts.store, { after, limit: VAULTS_A_BEAT })
    after = next
    for (const { vaultId, state } of vaults) {
      if (state === undefined || state.historyCount === 0) continue
      let drops = 0
      while (drops < DROPS_A_BEAT && (await expireHistory(parts, vaultId))) drops++
    }
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
