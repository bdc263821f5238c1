/**
 * Store writer: many changes, written in synced batches of bounded size as they come.
 *
 * LevelDB may keep a later write and lose an earlier one that was not synced when the power goes:
 * so each batch is, and what makes the others count is written last.
 */
import type { Store, StoreOp } from '@blindcopy/secondary'

const BATCH_BYTES_MAX = 1024 * 1024
const OP_BYTES = 64

export class StoreWriter {
  readonly #store: Store
  #batch: StoreOp[] = []
  #bytes = 0

  constructor(store: Store) {
    this.#store = store
  }

  async put(key: Uint8Array, value: Uint8Array): Promise<void> {
    this.#batch.push({ type: 'put', key, value })
    await this.#grow(value.length)
  }

  async delete(key: Uint8Array): Promise<void> {
    this.#batch.push({ type: 'delete', key })
    await this.#grow(0)
  }

  async flush(): Promise<void> {
    const batch = this.take()
    if (batch.length > 0) await this.#store.write(batch, { sync: true })
  }

  /** What is not written yet, to be written by the caller. */
  take(): StoreOp[] {
    const batch = this.#batch
    this.#batch = []
    this.#bytes = 0
    return batch
  }

  async #grow(bytes: number): Promise<void> {
    this.#bytes += OP_BYTES + bytes
    if (this.#bytes >= BATCH_BYTES_MAX) await this.flush()
  }
}
