/**
 * For tests of backups: files in memory, written as a disk would take them, and cut into frames.
 */
import { concat, decodeUint32 } from '@blindcopy/protocol'
import { sourceOf, type TestDevice } from '../carry/peer.fixture.ts'
import type { BackupSink, CreatedBackup } from './backup.ts'

/** A file that takes writes at any place; `limit` bytes of writing, and the disk is full. */
export class MemoryFile {
  bytes: Uint8Array
  written = 0
  readonly #limit: number

  constructor(bytes: Uint8Array = new Uint8Array(0), limit: number = Number.POSITIVE_INFINITY) {
    this.bytes = bytes
    this.#limit = limit
  }

  get sink(): BackupSink {
    return {
      kept: this.bytes.length === 0 ? undefined : sourceOf(this.bytes, 1_000),
      write: async (bytes, offset) => {
        const room = Math.max(0, this.#limit - this.written)
        this.bytes = concat(this.bytes.subarray(0, offset), bytes.subarray(0, room))
        this.written += Math.min(room, bytes.length)
        if (bytes.length > room) throw new Error('the disk is full')
      },
    }
  }
}

export async function backupOfDevice(
  { vault }: TestDevice,
  file: MemoryFile = new MemoryFile(),
): Promise<{ bytes: Uint8Array; created: CreatedBackup }> {
  const created = await vault.backup.create(file.sink)
  return { bytes: file.bytes, created }
}

/** The magic, then each frame with its length. */
export function framesOf(bytes: Uint8Array): Uint8Array[] {
  const frames = [bytes.subarray(0, 8)]
  for (let at = 8; at < bytes.length; ) {
    const end = at + 4 + decodeUint32(bytes, at)
    frames.push(bytes.subarray(at, end))
    at = end
  }
  return frames
}
