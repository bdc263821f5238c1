/**
 * Record reader: the records of one collection, opened, for everything that reads more than one.
 *
 * A record that the disk has spoiled is left out here, and told once: one bad block must not hide
 * all the others. Whoever asks for that very record (`get`) is told by an error.
 */
import { ProtocolError, type RecordId } from '@blindcopy/protocol'
import { VaultError } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import type { StoredVersion } from '../local/local-reading.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { idText } from '../local/row-batch.ts'
import { accessError } from '../records/access.ts'
import { isNewerThan, migratedFields } from '../records/declaration.ts'
import type { RecordPlace } from '../records/sealer.ts'
import { declarationOf, type WriteContext } from '../records/transaction.ts'
import type { Item } from './query.ts'

/** A record and its id as text: what finds it again when it changes. */
export type Found<T> = { readonly id: string; readonly item: Item<T> }

const READ_MAX = 500

/** The damaged versions of each vault that were told already. */
const toldByVault = new WeakMap<LocalSecondary, Set<string>>()

export class RecordReader<T> {
  readonly name: string
  readonly tag: Uint8Array
  readonly context: WriteContext

  constructor(name: string, context: WriteContext) {
    this.name = name
    this.context = context
    this.tag = context.sealer.tagOf(name)
  }

  /** Every record, in no particular order, a page of the disk at a time. */
  async *pages(): AsyncGenerator<readonly Found<T>[]> {
    this.checkOpen()
    for await (const page of this.context.local.pages(this.tag)) {
      yield page.map((version) => this.#open(version)).filter((found) => found !== undefined)
    }
  }

  /** The keys of records of a newer version than the app knows, a page at a time. */
  async *deferredPages(): AsyncGenerator<readonly string[]> {
    this.checkOpen()
    const { local, sealer } = this.context
    const declaration = declarationOf(this.context, this.name)
    for await (const page of local.pages(this.tag)) {
      const records = page.flatMap(({ envelope }) =>
        sealer.tagOfEnvelope(envelope) === undefined ? [] : [sealer.decode(envelope)],
      )
      yield records.filter((record) => isNewerThan(record, declaration)).map(({ key }) => key)
    }
  }

  /** The records of these ids in their order; undefined where there is none that can be read. */
  async read(ids: readonly string[]): Promise<(Found<T> | undefined)[]> {
    this.checkOpen()
    const found: (Found<T> | undefined)[] = []
    for (let first = 0; first < ids.length; first += READ_MAX) {
      const recordIds = ids.slice(first, first + READ_MAX).map(idOfText)
      for (const version of await this.context.local.readMany(recordIds)) {
        found.push(version === undefined ? undefined : this.#open(version))
      }
    }
    return found
  }

  /** Undefined for what cannot be the key of a record. */
  placeOf(key: unknown): RecordPlace | undefined {
    try {
      return this.context.sealer.placeOf(this.name, key as string)
    } catch (error) {
      if (codeOf(error) === 'invalid-argument') return undefined
      throw error
    }
  }

  #open(version: StoredVersion): Found<T> | undefined {
    try {
      const record = this.context.sealer.open(version)
      const declaration = declarationOf(this.context, this.name)
      if (record.fields === null || isNewerThan(record, declaration)) return undefined
      const { key } = record
      const fields = migratedFields(record, declaration)
      return { id: idText(version.recordId), item: { key, fields: fields as T } }
    } catch (error) {
      const isDamaged = error instanceof VaultError || error instanceof ProtocolError
      if (!isDamaged) throw error
      // Without its keys a closed vault opens nothing: that is no damage.
      this.checkOpen()
      this.#tell(version)
      return undefined
    }
  }

  /** Throws `locked` or `closed`. */
  checkOpen(): void {
    const { ended } = this.context
    if (ended.aborted) throw accessError(ended)
  }

  #tell({ recordId, timestamp }: StoredVersion): void {
    const { local, onDamaged } = this.context
    const told = toldByVault.get(local) ?? new Set()
    toldByVault.set(local, told)
    const version = idText(recordId) + idText(timestamp)
    if (told.has(version)) return
    told.add(version)
    onDamaged?.(recordId)
  }
}

/** The record id that `idText` wrote. */
const idOfText = (id: string): RecordId =>
  Uint8Array.from(id, (character) => character.charCodeAt(0)) as Uint8Array as RecordId
