/**
 * Repair: puts right what can be put right from what is there, and touches nothing that is sound.
 *
 *   rows of the index that lead nowhere         dropped: the record is brought back by a device
 *   envelopes at no place of the log            dropped
 *   envelopes that the index does not name      named, if there is no newer one; else dropped
 *   ids, expiries, ways of recovery keys        made anew from what they stand for
 *   everything that is counted                  counted again
 *
 * What was taken out may be on no device that this remote has told of it: so the vault gets a new
 * SyncId, and every device compares all it holds. Log and keychain prove what they say by hashes
 * and signatures; what is broken there cannot be put right here, and nothing at all is changed.
 * Killed in between, it is begun again: each step leaves what a check can read.
 */
import {
  compareBytes,
  concat,
  encodeUint32,
  encodeUint64,
  equalBytes,
  type VaultId,
} from '@blindcopy/protocol'
import {
  type Entry,
  type RecordVersion,
  type RemoteKeyspace,
  recordVersion,
  recordVersionTimestamp,
  remoteKeyspace,
  type Store,
} from '@blindcopy/secondary'
import { clearVaultKeys } from '../leftovers.ts'
import { mismatch } from '../position.ts'
import type { VaultState } from '../vault-state.ts'
import type { AdminParts } from './admin-parts.ts'
import { judgeInside } from './check-vault.ts'
import { DEFECTS, type Defect, Defects } from './defects.ts'
import { ImageCheck, type LiveVersion, type SoundItem, type SoundPart } from './image-check.ts'
import {
  envelopeKey,
  historyKey,
  isNamed,
  isOfTransaction,
  isOfVersion,
  leadsThere,
  logKey,
  rowsWith,
} from './index-rows.ts'
import { indexKeysOf, newSyncId } from './removal.ts'
import { sections } from './store-scan.ts'
import { StoreWriter } from './store-writer.ts'
import { beginImage } from './vault-image.ts'

export type RepairedVault = {
  readonly vaultId: VaultId
  /** What was found. */
  readonly defects: readonly Defect[]
  /** What is left of it. */
  readonly left: readonly Defect[]
  readonly hasNewSyncId: boolean
}

/** Undefined when nothing stands under the id. */
export function repairVault(
  parts: AdminParts,
  vaultId: VaultId,
): Promise<RepairedVault | undefined> {
  return parts.vaults.alone(vaultId, () => repairInside(parts, vaultId))
}

/** Inside the vault's section. */
export async function repairInside(
  parts: AdminParts,
  vaultId: VaultId,
): Promise<RepairedVault | undefined> {
  const judged = await judgeInside(parts, vaultId)
  if (judged === undefined) return undefined
  const { defects, state } = judged
  const report = { vaultId, defects: defects.list }
  if (defects.list.length === 0 || defects.fatal.length > 0) {
    return { ...report, left: defects.fatal, hasNewSyncId: false }
  }
  parts.vaults.forget(vaultId)
  parts.summaries.forget(vaultId)
  if (state === undefined) {
    await clearVaultKeys(parts.store, vaultId)
    return { ...report, left: [], hasNewSyncId: false }
  }
  const hasNewSyncId = defects.list.some(({ name }) => DEFECTS[name] === 'heal')
  await dropRows(parts.store, vaultId)
  await mendRows(parts, vaultId, state)
  await recount(parts, { vaultId, state, hasNewSyncId })
  const after = await judgeInside(parts, vaultId)
  return { ...report, left: after?.defects.list ?? [], hasNewSyncId }
}

/** Takes out every row that leads to nothing. */
async function dropRows(store: Store, vaultId: VaultId): Promise<void> {
  const keys = remoteKeyspace(vaultId)
  const writer = new StoreWriter(store)
  for await (const page of store.pages(sections.history(keys))) {
    // What stands under another name than its own, or is no envelope.
    for (const entry of page) if (!isNamed(entry)) await writer.delete(entry[0])
  }
  await writer.flush()
  for await (const [entry, target] of rowsWith(store, sections.records(keys), envelopeKey(keys))) {
    // A size alone is put right where the envelope is met.
    if (!leadsThere(withSizeOf(entry, target), target)) await writer.delete(entry[0])
  }
  for await (const [entry, target] of rowsWith(store, sections.transactions(keys), logKey(keys))) {
    if (!isOfTransaction(entry, target, keys)) await writer.delete(entry[0])
  }
  for await (const [entry, target] of rowsWith(store, keys.expiries(undefined), historyKey(keys))) {
    if (!isOfVersion(entry, target)) await writer.delete(entry[0])
  }
  await writer.flush()
}

function withSizeOf([key, row]: Entry, target: Uint8Array | undefined): Entry {
  if (target === undefined) return [key, row]
  const sized = row.slice()
  sized.set(encodeUint32(target.length), row.length - 4)
  return [key, sized]
}

/** Goes through the vault, and brings everything in step with what is sound of it. */
async function mendRows(parts: AdminParts, vaultId: VaultId, state: VaultState): Promise<void> {
  const mending = new VaultMending(parts.store, vaultId)
  const image = await beginImage(parts.store, vaultId, state, {
    onStray: ([key]) => mending.dropped.push(key),
  })
  const check = new ImageCheck(image.manifest, parts.verify, new Defects())
  try {
    for await (const part of image.parts()) {
      const sound = check.take(part)
      if (part.type === 'log' && sound?.type === 'log')
        mending.dropMisplaced(part.items, sound.items)
      if (part.type === 'checkpoints' && sound?.type === 'checkpoints') {
        await mending.dropCheckpoints(sound.checkpoints)
      }
      if (sound !== undefined) await mending.take(sound)
    }
  } finally {
    await image.close()
  }
  await mending.finish()
}

class VaultMending {
  /** Keys of envelopes at no place of the log. */
  readonly dropped: Uint8Array[] = []
  readonly #store: Store
  readonly #vaultId: VaultId
  readonly #keys: RemoteKeyspace
  readonly #writer: StoreWriter
  readonly #entries: { readonly seq: number; readonly entry: Uint8Array }[] = []

  constructor(store: Store, vaultId: VaultId) {
    this.#store = store
    this.#vaultId = vaultId
    this.#keys = remoteKeyspace(vaultId)
    this.#writer = new StoreWriter(store)
  }

  dropMisplaced(
    items: readonly { seq: number; live: readonly { opIndex: number }[] }[],
    sound: readonly SoundItem[],
  ): void {
    const soundBySeq = new Map(sound.map((item) => [item.seq, item]))
    for (const { seq, live } of items) {
      const kept = new Set(soundBySeq.get(seq)?.live.map(({ opIndex }) => opIndex))
      for (const { opIndex } of live) {
        if (!kept.has(opIndex)) this.dropped.push(this.#envelopeKey(seq, opIndex))
      }
    }
  }

  async take(part: SoundPart): Promise<void> {
    if (part.type === 'keychain') {
      for (const { seq, entry } of part.entries) this.#entries.push({ seq, entry: entry.slice() })
    } else if (part.type === 'log') {
      for (const item of part.items) await this.#takeItem(item)
    } else if (part.type === 'history') {
      for (const version of part.versions) {
        const key = this.#keys.expiry(version)
        const size = encodeUint32(version.envelope.length)
        const stored = await this.#store.get(key)
        if (stored === undefined || !equalBytes(stored, size)) await this.#writer.put(key, size)
      }
    }
  }

  async dropCheckpoints(sound: readonly Uint8Array[]): Promise<void> {
    for await (const page of this.#store.pages(sections.checkpoints(this.#keys))) {
      for (const [key, value] of page) {
        if (!sound.some((bytes) => equalBytes(bytes, value))) await this.#writer.delete(key)
      }
    }
  }

  async finish(): Promise<void> {
    for (const { entry } of this.#entries) {
      for (const key of indexKeysOf(entry)) await this.#writer.put(key, this.#vaultId)
    }
    for (const key of this.dropped) await this.#writer.delete(key)
    await this.#writer.flush()
  }

  async #takeItem({ seq, entry, live }: SoundItem): Promise<void> {
    const keys = this.#keys
    if (entry.type === 'append') {
      for (let i = entry.firstEntry; i < entry.endEntry; i++) {
        const own = this.#entries[i]
        if (own === undefined || own.seq === seq) continue
        await this.#writer.put(keys.keychainEntry(i), concat(encodeUint64(seq), own.entry))
      }
    } else if (
      entry.id !== null &&
      (await this.#store.get(keys.transaction(entry.id))) === undefined
    ) {
      await this.#writer.put(keys.transaction(entry.id), encodeUint64(seq))
    }
    for (const version of live) await this.#takeLive(seq, version)
  }

  /** One after the other: what the row says after this one is what the next is compared with. */
  async #takeLive(seq: number, { opIndex, envelope, recordId, timestamp }: LiveVersion) {
    const keys = this.#keys
    const own = recordVersion(timestamp, { seq, opIndex, sizeBytes: envelope.length })
    const row = (await this.#store.get(keys.record(recordId))) as RecordVersion | undefined
    if (row !== undefined && equalBytes(row, own)) return
    const place = row === undefined ? undefined : keys.envelope(row)
    const isHere = place !== undefined && equalBytes(place, keys.envelope(own))
    const order = row === undefined ? 1 : compareBytes(timestamp, recordVersionTimestamp(row))
    if (order < 0 || (order === 0 && !isHere)) {
      await this.#writer.delete(keys.envelope(own))
      return
    }
    await this.#writer.put(keys.record(recordId), own)
    if (place !== undefined && !isHere) await this.#writer.delete(place)
    await this.#writer.flush()
  }

  #envelopeKey(seq: number, opIndex: number): Uint8Array {
    const timestamp = new Uint8Array(16) as Parameters<typeof recordVersion>[0]
    return this.#keys.envelope(recordVersion(timestamp, { seq, opIndex, sizeBytes: 0 }))
  }
}

/** Counts again, and writes the state. */
async function recount(
  parts: AdminParts,
  of: { readonly vaultId: VaultId; readonly state: VaultState; readonly hasNewSyncId: boolean },
): Promise<void> {
  const { vaultId, state } = of
  const image = await beginImage(parts.store, vaultId, state)
  const check = new ImageCheck(image.manifest, parts.verify, new Defects())
  try {
    for await (const part of image.parts()) check.take(part)
  } finally {
    await image.close()
  }
  const { keychain, ...counted } = check.finish()
  if (keychain === undefined) return
  const syncId = of.hasNewSyncId ? newSyncId(parts) : state.syncId
  const greatestMs = Math.max(state.greatestMs, counted.greatestMs)
  const mended = { ...state, ...counted, greatestMs, syncId }
  const keys = remoteKeyspace(vaultId)
  await parts.vaults.commit({ vaultId, keys, keychain, state: mended }, [])
  if (of.hasNewSyncId) parts.live.closeVault(vaultId, mismatch(syncId))
}
