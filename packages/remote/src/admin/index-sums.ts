/**
 * Index sums: whether the indexes of a vault have exactly the rows that its log, its envelopes and
 * its history ask for, without looking one of them up.
 *
 * Both sides are added up, each in the order in which it stands: as many rows, of the same sum of
 * hashes, are the same rows.
 */
import { concat, encodeUint32, encodeUint64, Fingerprint, formatHex } from '@blindcopy/protocol'
import { type KeyRange, type RemoteKeyspace, recordVersion, type Store } from '@blindcopy/secondary'
import type { SoundPart } from './image-check.ts'
import { sections } from './store-scan.ts'

export class IndexSums {
  readonly #keys: RemoteKeyspace
  readonly #wanted = { records: new RowSum(), transactions: new RowSum(), expiries: new RowSum() }

  constructor(keys: RemoteKeyspace) {
    this.#keys = keys
  }

  /** What a part asks for. */
  take(part: SoundPart): void {
    const keys = this.#keys
    const { records, transactions, expiries } = this.#wanted
    if (part.type === 'log') {
      for (const { seq, entry, live } of part.items) {
        if (entry.type === 'transaction' && entry.id !== null) {
          transactions.add(keys.transaction(entry.id), encodeUint64(seq))
        }
        for (const { opIndex, envelope, recordId, timestamp } of live) {
          const place = { seq, opIndex, sizeBytes: envelope.length }
          records.add(keys.record(recordId), recordVersion(timestamp, place))
        }
      }
    } else if (part.type === 'history') {
      for (const version of part.versions) {
        expiries.add(keys.expiry(version), encodeUint32(version.envelope.length))
      }
    }
  }

  async match(store: Store): Promise<boolean> {
    const keys = this.#keys
    const { records, transactions, expiries } = this.#wanted
    return (
      (await sumOf(store, sections.records(keys))) === records.text &&
      (await sumOf(store, sections.transactions(keys))) === transactions.text &&
      (await sumOf(store, keys.expiries(undefined))) === expiries.text
    )
  }
}

class RowSum {
  readonly #sum = new Fingerprint()
  #count = 0

  get text(): string {
    return `${this.#count}:${formatHex(this.#sum.toBytes())}`
  }

  add(key: Uint8Array, value: Uint8Array): void {
    this.#count++
    this.#sum.add(concat(key, value))
  }
}

async function sumOf(store: Store, range: KeyRange): Promise<string> {
  const sum = new RowSum()
  for await (const page of store.pages(range)) {
    for (const [key, value] of page) sum.add(key, value)
  }
  return sum.text
}
