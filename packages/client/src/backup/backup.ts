/**
 * Vault backup: all that a device holds of a vault, sealed, as one file (carry/sealed-file.ts) from
 * which any way to recover the vault makes it again, without a device and without a remote.
 *
 * Its header says what the device held and where it stood when the backup was begun. By that a
 * creation that was cut goes on: while the device is as it was, it comes to the same bytes again,
 * and those that are there already are left. Nothing in the file needs to be secret but what is
 * sealed: ids, sizes and the list of devices are what a remote sees as well.
 */
import {
  BACKUP_VERSION,
  backupSignedBytes,
  encodePair,
  encodePeerMessage,
  encodeUtf8,
  equalBytes,
  Fingerprint,
  keychainHead,
} from '@blindcopy/protocol'
import { FILE_BATCH_BYTES_MAX } from '../carry/bundle.ts'
import { heldEnvelopes, heldPages } from '../carry/carried-source.ts'
import type { Carrier } from '../carry/carrier.ts'
import { envelopeBatches } from '../carry/peer-exchange.ts'
import {
  type BackupState,
  type FileForm,
  type FileHeader,
  type FileProgress,
  FileReading,
  type FileSource,
  FileWriting,
} from '../carry/sealed-file.ts'
import { ClientError, codeOf } from '../error.ts'

/** Opens a backup from its beginning; called once for each pass over it. */
export type BackupSource = FileSource

export type BackupProgress = FileProgress

/** Where a backup is written. */
export type BackupSink = {
  /** What a creation that was cut has left; its good beginning is kept. */
  readonly kept?: BackupSource | undefined
  /** Called in order. Whatever stands at `offset` or behind it goes, and `bytes` take its place. */
  write(bytes: Uint8Array, offset: number): Promise<void>
}

export type CreatedBackup = {
  /** Versions in it, deletions included. */
  readonly count: number
  readonly sizeBytes: number
  readonly madeMs: number
  /** Bytes that an earlier creation had written already. */
  readonly keptBytes: number
  /** Whether there was something of another state, or no backup: nothing of it was kept. */
  readonly isAnew: boolean
}

export const BACKUP: FileForm = {
  noun: 'backup',
  magic: encodeUtf8('bcbackup'),
  header: 'backup',
  version: BACKUP_VERSION,
  isStrict: true,
  signedBytes: backupSignedBytes,
  damaged: (what, { cause, at }) =>
    new ClientError(
      'backup-damaged',
      `the backup is damaged: ${what}${at === undefined ? '' : ` (at byte ${at})`}`,
      { cause, details: at === undefined ? {} : { at } },
    ),
  cut: (at) =>
    new ClientError(
      'backup-cut',
      `the backup is incomplete: it ends at byte ${at}, before its end`,
      { details: { at } },
    ),
}

/** Writes a backup of all that this device may give away. */
export async function createBackup(
  carrier: Carrier,
  sink: BackupSink,
  onProgress: (progress: BackupProgress) => void = () => undefined,
): Promise<CreatedBackup> {
  const { local, membership, vaultId } = carrier
  const { state, total } = await stateOf(carrier)
  const before = await readHeader(sink.kept)
  const isSame = before !== undefined && isSameState(before, carrier, state)
  const madeMs = isSame ? before.madeMs : carrier.nowMs()
  const target = new Target(sink, isSame)
  try {
    const writing = new FileWriting(BACKUP)
    const header = [BACKUP_VERSION, vaultId, madeMs, total, state] as const
    await target.put(writing.begin(encodePeerMessage('backup', ...header)))
    for (const entry of membership.keychain.entries) {
      await target.put(writing.frame(encodePeerMessage('keychain', [entry], false)))
    }
    let count = 0
    const envelopes = heldEnvelopes(local.state.store)
    for await (const batch of envelopeBatches(envelopes, FILE_BATCH_BYTES_MAX)) {
      count += batch.length
      await target.put(writing.frame(encodePeerMessage('envelopes', batch, false)))
      onProgress({ done: count, total: Math.max(total, count) })
    }
    await target.put(writing.end(count, vaultId, membership.device))
    const { sizeBytes, keptBytes } = await target.finish()
    const isAnew = sink.kept !== undefined && !isSame
    return { count, sizeBytes, madeMs, keptBytes, isAnew }
  } finally {
    await target.close()
  }
}

async function stateOf({
  local,
  membership,
}: Carrier): Promise<{ state: BackupState; total: number }> {
  const held = new Fingerprint()
  let total = 0
  for await (const versions of heldPages(local.state.store)) {
    for (const { recordId, timestamp } of versions) held.add(encodePair(recordId, timestamp))
    total += versions.length
  }
  const { syncId, position } = local.cursor
  const { keychain } = membership
  const fingerprint = held.toBytes() as BackupState[0]
  const chain = [keychain.hashes.length, keychainHead(keychain)] as const
  return { state: [fingerprint, syncId, position.seq, position.chain, ...chain], total }
}

function isSameState({ vaultId, state }: FileHeader, carrier: Carrier, now: BackupState): boolean {
  if (state === undefined || !equalBytes(vaultId, carrier.vaultId)) return false
  return state.every((before, i) => {
    const after = now[i]
    const isBytes = before instanceof Uint8Array && after instanceof Uint8Array
    return isBytes ? equalBytes(before, after) : before === after
  })
}

/** The header of what is kept; undefined where that is of no use. */
async function readHeader(kept: BackupSource | undefined): Promise<FileHeader | undefined> {
  if (kept === undefined) return undefined
  const reading = new FileReading(BACKUP)
  try {
    for await (const _ of reading.messages(kept())) break
  } catch (error) {
    if (codeOf(error) === undefined) throw error
  }
  return reading.hasHeader ? reading.header : undefined
}

/** Passes bytes on from where they differ from what is kept. */
class Target {
  readonly #sink: BackupSink
  readonly #kept: AsyncIterator<Uint8Array> | undefined
  #held: Uint8Array = new Uint8Array(0)
  #isKeeping: boolean
  #offset = 0
  #keptBytes = 0

  constructor(sink: BackupSink, isKeeping: boolean) {
    this.#sink = sink
    this.#isKeeping = isKeeping
    this.#kept = isKeeping ? sink.kept?.()[Symbol.asyncIterator]() : undefined
  }

  async put(bytes: Uint8Array): Promise<void> {
    this.#isKeeping &&= await this.#isKept(bytes)
    if (!this.#isKeeping) await this.#sink.write(bytes, this.#offset)
    else this.#keptBytes += bytes.length
    this.#offset += bytes.length
  }

  /** Whatever was kept behind the end goes. */
  async finish(): Promise<{ sizeBytes: number; keptBytes: number }> {
    if (this.#isKeeping) await this.#sink.write(new Uint8Array(0), this.#offset)
    return { sizeBytes: this.#offset, keptBytes: this.#keptBytes }
  }

  async close(): Promise<void> {
    await this.#kept?.return?.()
  }

  /** In pieces as they come: a frame may be large, and what is kept may be read in small ones. */
  async #isKept(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#held.length === 0) {
        const next = await this.#kept?.next()
        if (next === undefined || next.done === true) return false
        this.#held = next.value
        continue
      }
      const size = Math.min(this.#held.length, bytes.length - at)
      if (!equalBytes(this.#held.subarray(0, size), bytes.subarray(at, at + size))) return false
      this.#held = this.#held.subarray(size)
      at += size
    }
    return true
  }
}
