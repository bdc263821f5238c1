/**
 * Carrying as an app sees it: versions that go from one device of a vault to another without a
 * remote, over a stream or as a file. What does the work is loaded when it is used.
 */

import type { Access } from '../records/access.ts'
import { endWith } from '../records/collection.ts'
import type { BundleProgress, BundleReport, BundleSource } from './bundle.ts'
import type { CarriedReport, Carrier } from './carrier.ts'
import type { ExchangeProgress } from './peer-exchange.ts'
import type { PeerStream } from './peer-line.ts'

export type VaultCarrying = {
  /**
   * Brings this device and another one of the vault, at the other end of a byte stream, to the same
   * versions. Both call it. Rejects with `wrong-vault`, `not-a-member` or `keychain-forked` before
   * anything is taken; with `network` when the stream ends early: what came is kept, and the next
   * time goes on from there. Closes the stream.
   */
  exchange(
    stream: PeerStream,
    options?: {
      readonly signal?: AbortSignal | undefined
      readonly onProgress?: ((progress: ExchangeProgress) => void) | undefined
    },
  ): Promise<CarriedReport>
  /** All that this device may give away, sealed: for `importBundle` of another device. */
  exportBundle(onProgress?: (progress: BundleProgress) => void): AsyncIterable<Uint8Array>
  /**
   * Takes a bundle. `source` opens it from its beginning, twice: it is checked as a whole before
   * anything is taken. Rejects with `bundle-damaged`, `wrong-vault`, `not-a-member` or
   * `keychain-forked`, and then nothing has changed.
   */
  importBundle(
    source: BundleSource,
    onProgress?: (progress: BundleProgress) => void,
  ): Promise<BundleReport>
}

/** The same, and what sync calls. */
export type Carrying = VaultCarrying & {
  /** Tries again what was put aside. */
  retryAside(): Promise<void>
}

export function carryingOf(
  carrier: Carrier,
  options: {
    readonly checkOpen: () => void
    readonly access: Pick<Access, 'ended'>
    /** Something came, also where an error followed it: it is to be passed on to the remote. */
    readonly onTaken: () => void
  },
): Carrying {
  const { checkOpen, access, onTaken } = options
  return {
    async exchange(stream, { signal, onProgress } = {}) {
      checkOpen()
      const { exchangeWithPeer } = await import('./peer-exchange.ts')
      const exchanging = { signal: endWith(signal, access.ended), onProgress }
      return exchangeWithPeer(carrier, stream, exchanging).finally(onTaken)
    },
    exportBundle(onProgress) {
      checkOpen()
      return bundleOf(carrier, onProgress)
    },
    async retryAside() {
      // Nearly always nothing is aside: then nothing is loaded either.
      if (!(await hasAside(carrier))) return
      const { CarriedIntake } = await import('./carried.ts')
      const intake = new CarriedIntake(carrier)
      await intake.retryAside()
      if (intake.counts.news > 0) onTaken()
    },
    async importBundle(source, onProgress) {
      checkOpen()
      const { readBundle } = await import('./bundle.ts')
      return readBundle(carrier, source, onProgress).finally(onTaken)
    },
  }
}

async function* bundleOf(
  carrier: Carrier,
  onProgress?: (progress: BundleProgress) => void,
): AsyncGenerator<Uint8Array> {
  const { writeBundle } = await import('./bundle.ts')
  yield* writeBundle(carrier, onProgress)
}

async function hasAside({ local }: Carrier): Promise<boolean> {
  for await (const page of local.quarantinePages()) if (page.length > 0) return true
  return false
}
