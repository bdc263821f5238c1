/**
 * Watch: a live query. It is answered once; a change then reads and tests the changed records only,
 * never the collection again.
 */
import { equalBytes } from '@blindcopy/protocol'
import { codeOf } from '../error.ts'
import { idText, type RecordChange } from '../local/row-batch.ts'
import { findRecords } from './find-records.ts'
import type { IndexFields } from './index-plan.ts'
import { LiveResult } from './live-result.ts'
import { type CompiledQuery, compileQuery, type Item, type Query } from './query.ts'
import type { RecordReader } from './record-reader.ts'

export type WatchOptions<T> = {
  readonly reader: RecordReader<T>
  readonly indexes: readonly IndexFields[]
  readonly query: Query<T>
  readonly signal?: AbortSignal | undefined
}

/** Bounds what is opened at once when very many records have changed. */
const CHANGES_MAX = 500

export async function* watchQuery<T>(options: WatchOptions<T>): AsyncGenerator<Item<T>[]> {
  const { reader, signal } = options
  const query = compileQuery(options.query)
  const changed = new Set<string>()
  let wake: () => void = () => undefined
  const listener = (changes: readonly RecordChange[]): void => {
    for (const { recordId, tag } of changes) {
      if (equalBytes(tag, reader.tag)) changed.add(idText(recordId))
    }
    if (changed.size > 0) wake()
  }
  const result = new LiveResult(query)
  let shown: Item<T>[] = []
  const aborted = (): void => {
    // Also when nobody asks for the next result any more: a locked vault keeps no plaintext.
    result.fill([])
    shown = []
    wake()
  }
  const wasOver = signal?.aborted === true
  // Before the first read: what changes while it reads is tested again afterwards.
  const endListening = reader.context.local.onChange(listener)
  signal?.addEventListener('abort', aborted)
  try {
    await fill(options, query, result)
    if (signal?.aborted) return
    shown = result.shown()
    yield [...shown]
    while (!signal?.aborted) {
      if (changed.size === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      await takeChanges(reader, result, changed)
      if (result.isShort) await fill(options, query, result)
      const before = shown
      shown = result.shown()
      if (!isSame(before, shown)) yield [...shown]
    }
  } catch (error) {
    // The vault was locked or closed while it was read: that ends it like any other time.
    const isEnd = codeOf(error) === 'locked' || codeOf(error) === 'closed'
    if (wasOver || !signal?.aborted || !isEnd) throw error
  } finally {
    endListening()
    signal?.removeEventListener('abort', aborted)
  }
}

async function fill<T>(
  { reader, indexes }: WatchOptions<T>,
  query: CompiledQuery<T>,
  result: LiveResult<T>,
): Promise<void> {
  const { found } = await findRecords(reader, indexes, { ...query, limit: result.size })
  result.fill(found)
}

async function takeChanges<T>(
  reader: RecordReader<T>,
  result: LiveResult<T>,
  changed: Set<string>,
): Promise<void> {
  const ids = [...changed]
  changed.clear()
  for (let first = 0; first < ids.length; first += CHANGES_MAX) {
    const part = ids.slice(first, first + CHANGES_MAX)
    const read = await reader.read(part)
    for (const [i, id] of part.entries()) result.take(id, read[i])
  }
}

const isSame = <T>(before: readonly Item<T>[], after: readonly Item<T>[]): boolean =>
  before.length === after.length && before.every((item, i) => item === after[i])
