/**
 * Restore: takes the vaults of a remote file into this store, one after the other.
 *
 *   what is here                              what happens
 *     nothing                                 restored, under a new SyncId
 *     the same log, or one that goes on       kept: a restore that was cut goes on so
 *     anything else, and it may be replaced   taken away, then restored
 *     anything else                           refused; the others are restored
 *
 * Log, seqs and chain stay as they were; every index is made anew. The state is written last, once
 * all of the vault has been checked: until then the vault is not here, and what was written of one
 * that fails is cleared away. The new SyncId makes the devices compare, and bring what is newer.
 */
import {
  concat,
  encodeUint32,
  encodeUint64,
  equalBytes,
  formatHex,
  parseCheckpoint,
  type VaultId,
} from '@blindcopy/protocol'
import {
  encodeHistory,
  type RemoteKeyspace,
  recordVersion,
  remoteKeyspace,
} from '@blindcopy/secondary'
import { ALLOWANCE_NONE } from '../allowance.ts'
import { AdminError } from '../error.ts'
import { clearVaultKeys } from '../leftovers.ts'
import { logEntryChain } from '../log-entry.ts'
import { mismatch } from '../position.ts'
import { decodeVaultState, type VaultState } from '../vault-state.ts'
import type { AdminParts } from './admin-parts.ts'
import { type Defect, Defects } from './defects.ts'
import { type Found, ImageCheck, type SoundItem, type SoundPart } from './image-check.ts'
import type { Manifest } from './manifest.ts'
import { type FilePart, readRemoteFile } from './remote-file.ts'
import { indexKeysOf, newSyncId, removeInside } from './removal.ts'
import { repairInside } from './repair-vault.ts'
import { StoreWriter } from './store-writer.ts'

export type RestoreOptions = {
  /** Only these; all without it. */
  readonly only?: ReadonlySet<string> | undefined
  /** Those that may be taken away, by the hex of their id, with the seq that they were seen at. */
  readonly replace: ReadonlyMap<string, number | undefined>
}

export type RestoredVault = {
  readonly vaultId: VaultId
  readonly outcome: 'restored' | 'replaced' | 'kept' | 'refused' | 'left-out'
  readonly why: 'there' | 'damaged' | undefined
  readonly seq: number
  readonly count: number
  readonly defects: readonly Defect[]
}

/** Throws `backup-damaged` or `backup-cut`; what was whole before that is restored. */
export async function restoreVaults(
  parts: AdminParts,
  source: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<RestoredVault[]> {
  const restored: RestoredVault[] = []
  const file = readRemoteFile(source)
  try {
    for (;;) {
      const { done, value: part } = await file.next()
      if (done === true) return restored
      if (part.type !== 'vault') continue
      const { manifest } = part
      restored.push(
        await parts.vaults.alone(manifest.vaultId, () =>
          takeVault(parts, { manifest, file, options }),
        ),
      )
    }
  } catch (error) {
    throw withCount(error, restored)
  } finally {
    await file.return(undefined)
  }
}

function withCount(error: unknown, restored: readonly RestoredVault[]): unknown {
  if (!(error instanceof AdminError)) return error
  const count = restored.filter(({ outcome }) => /^re(stored|placed)$/.test(outcome)).length
  const what = count === 0 ? 'nothing was restored' : `vaults restored before that: ${count}`
  return new AdminError(error.code, `${error.message}; ${what}`, { cause: error })
}

type Taking = {
  readonly manifest: Manifest
  readonly file: AsyncGenerator<FilePart>
  readonly options: RestoreOptions
}

/** Inside the vault's section. */
async function takeVault(parts: AdminParts, taking: Taking): Promise<RestoredVault> {
  const { manifest, options } = taking
  const { vaultId, head, count } = manifest
  const report = { vaultId, seq: head.seq, count, defects: [], why: undefined }
  const skipped = async (outcome: RestoredVault['outcome'], why?: 'there') => {
    for await (const _ of partsOfVault(taking.file));
    return { ...report, outcome, why }
  }
  const id = formatHex(vaultId)
  if (options.only !== undefined && !options.only.has(id)) return skipped('left-out')
  const stateBytes = await parts.store.get(remoteKeyspace(vaultId).state)
  if (stateBytes === undefined) return writeVault(parts, taking, 'restored')
  const present = readState(stateBytes)
  if (present !== undefined && (await goesOn(parts, manifest, present))) return skipped('kept')
  const seenSeq = options.replace.get(id)
  const isMeant = seenSeq === undefined || seenSeq === present?.head.seq
  if (!options.replace.has(id) || !isMeant) return skipped('refused', 'there')
  return writeVault(parts, taking, 'replaced')
}

/** Whether what is here has the whole log of the file. */
async function goesOn(
  { store }: AdminParts,
  { vaultId, head }: Manifest,
  present: VaultState,
): Promise<boolean> {
  if (head.seq > present.head.seq) return false
  const entry = await store.get(remoteKeyspace(vaultId).logEntry(head.seq))
  return entry !== undefined && equalBytes(logEntryChain(entry), head.chain)
}

async function writeVault(
  parts: AdminParts,
  { manifest, file }: Taking,
  outcome: 'restored' | 'replaced',
): Promise<RestoredVault> {
  const { vaultId } = manifest
  const syncId = newSyncId(parts)
  if (outcome === 'replaced') await removeInside(parts, vaultId, mismatch(syncId))
  else await clearVaultKeys(parts.store, vaultId)
  const defects = new Defects()
  const check = new ImageCheck(manifest, parts.verify, defects)
  const writing = new VaultWriting(parts, vaultId)
  const report = { vaultId, seq: manifest.head.seq, defects: [] }
  try {
    for await (const part of partsOfVault(file)) {
      const sound = check.take(part)
      if (sound !== undefined) await writing.take(sound)
    }
    const found = check.finish()
    if (found.keychain === undefined || defects.fatal.length > 0) {
      await clearVaultKeys(parts.store, vaultId)
      const { count } = manifest
      return { ...report, count, outcome: 'refused', why: 'damaged', defects: defects.list }
    }
    await writing.finish(found, stateOf(manifest, found, syncId))
    // Two live versions of one record, say: nothing of that can be seen while it passes by.
    if (defects.list.length > 0) await repairInside(parts, vaultId)
    return { ...report, outcome, why: undefined, count: found.count, defects: defects.list }
  } catch (error) {
    await clearVaultKeys(parts.store, vaultId)
    throw error
  }
}

function stateOf(manifest: Manifest, found: Found, syncId: VaultState['syncId']): VaultState {
  const { vaultId: _, ...stated } = manifest
  const { keychain: _keychain, ...counted } = found
  const greatestMs = Math.max(stated.greatestMs, found.greatestMs)
  return { ...stated, ...counted, greatestMs, syncId, allowance: ALLOWANCE_NONE }
}

/** Writes what is sound of a vault, with the indexes that follow from it. */
class VaultWriting {
  readonly #parts: AdminParts
  readonly #vaultId: VaultId
  readonly #keys: RemoteKeyspace
  readonly #writer: StoreWriter
  readonly #entries: Uint8Array[] = []

  constructor(parts: AdminParts, vaultId: VaultId) {
    this.#parts = parts
    this.#vaultId = vaultId
    this.#keys = remoteKeyspace(vaultId)
    this.#writer = new StoreWriter(parts.store)
  }

  async take(part: SoundPart): Promise<void> {
    const keys = this.#keys
    const writer = this.#writer
    if (part.type === 'keychain') {
      for (const { entry } of part.entries) this.#entries.push(entry.slice())
    } else if (part.type === 'log') {
      for (const item of part.items) await this.#takeItem(item)
    } else if (part.type === 'checkpoints') {
      for (const bytes of part.checkpoints) {
        await writer.put(keys.checkpoint(parseCheckpoint(bytes).memberId), bytes)
      }
    } else {
      for (const version of part.versions) {
        const { recordId, timestamp, supersededMs, envelope } = version
        await writer.put(keys.history(recordId, timestamp), encodeHistory(supersededMs, envelope))
        await writer.put(keys.expiry(version), encodeUint32(envelope.length))
      }
    }
  }

  /** What makes it a vault of this remote, with all that is not written yet. */
  async finish({ keychain }: Found, state: VaultState): Promise<void> {
    if (keychain === undefined) return
    for (const entry of this.#entries) {
      for (const key of indexKeysOf(entry)) await this.#writer.put(key, this.#vaultId)
    }
    const vault = { vaultId: this.#vaultId, keys: this.#keys, keychain, state }
    await this.#parts.vaults.commit(vault, this.#writer.take())
    this.#parts.summaries.forget(this.#vaultId)
  }

  async #takeItem({ seq, bytes, entry, live }: SoundItem): Promise<void> {
    const keys = this.#keys
    const writer = this.#writer
    await writer.put(keys.logEntry(seq), bytes)
    if (entry.type === 'append') {
      for (let i = entry.firstEntry; i < entry.endEntry; i++) {
        const own = this.#entries[i]
        if (own !== undefined)
          await writer.put(keys.keychainEntry(i), concat(encodeUint64(seq), own))
      }
    } else if (entry.id !== null) {
      await writer.put(keys.transaction(entry.id), encodeUint64(seq))
    }
    for (const { opIndex, envelope, recordId, timestamp } of live) {
      const version = recordVersion(timestamp, { seq, opIndex, sizeBytes: envelope.length })
      await writer.put(keys.envelope(version), envelope)
      await writer.put(keys.record(recordId), version)
    }
  }
}

/** The parts of the vault that has begun, up to its end. */
export async function* partsOfVault(file: AsyncGenerator<FilePart>): AsyncGenerator<FilePart> {
  for (;;) {
    const { done, value } = await file.next()
    // The file itself says what is wrong with one that ends here.
    if (done === true || value.type === 'vault-end') return
    yield value
  }
}

function readState(bytes: Uint8Array): VaultState | undefined {
  try {
    return decodeVaultState(bytes)
  } catch {
    return undefined
  }
}
