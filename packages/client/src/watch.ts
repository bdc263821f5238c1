/**
 * Watch: a live query. The matching records are held; a change reads and tests the changed records
 * only, never the collection again.
 */
import { equalBytes, type RecordId } from '@blindcopy/protocol'
import type { LocalSecondary } from './local-secondary.ts'
import { arrange, type CompiledQuery, compileQuery, type Item, type Query } from './query.ts'
import { idText, type RecordChange } from './row-batch.ts'
import type { Sealer } from './sealer.ts'

export type WatchOptions<T> = {
  readonly local: LocalSecondary
  readonly sealer: Sealer
  readonly tag: Uint8Array
  readonly query: Query<T>
  readonly signal?: AbortSignal | undefined
}

export async function* watchQuery<T>(options: WatchOptions<T>): AsyncGenerator<Item<T>[]> {
  const { local, sealer, tag, signal } = options
  const query = compileQuery(options.query)
  const changed = new Map<string, RecordId>()
  let wake: () => void = () => undefined
  const listener = (changes: readonly RecordChange[]): void => {
    for (const change of changes) {
      if (equalBytes(change.tag, tag)) changed.set(idText(change.recordId), change.recordId)
    }
    if (changed.size > 0) wake()
  }
  const aborted = (): void => wake()
  // Before the first read: what changes while it reads is tested again afterwards.
  const endListening = local.onChange(listener)
  signal?.addEventListener('abort', aborted)
  try {
    const held = await readAll(options, query)
    if (signal?.aborted) return
    yield arrange(held.values(), query)
    while (!signal?.aborted) {
      if (changed.size === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      const ids = [...changed.values()]
      changed.clear()
      if (await takeChanges({ local, sealer, held, query }, ids)) {
        yield arrange(held.values(), query)
      }
    }
  } finally {
    endListening()
    signal?.removeEventListener('abort', aborted)
  }
}

async function readAll<T>(
  { local, sealer, tag }: WatchOptions<T>,
  query: CompiledQuery<T>,
): Promise<Map<string, Item<T>>> {
  const held = new Map<string, Item<T>>()
  for await (const page of local.pages(tag)) {
    for (const version of page) {
      const { key, fields } = sealer.open(version)
      const item = { key, fields: fields as T }
      if (fields !== null && query.matches(item)) held.set(idText(version.recordId), item)
    }
  }
  return held
}

/** Returns whether the result may have changed. */
async function takeChanges<T>(
  watched: {
    local: LocalSecondary
    sealer: Sealer
    held: Map<string, Item<T>>
    query: CompiledQuery<T>
  },
  ids: readonly RecordId[],
): Promise<boolean> {
  const { local, sealer, held, query } = watched
  let hasChanged = false
  for (const recordId of ids) {
    const version = await local.read(recordId)
    const record = version === undefined ? undefined : sealer.open(version)
    const id = idText(recordId)
    const item = { key: record?.key ?? '', fields: record?.fields as T }
    if (record !== undefined && record.fields !== null && query.matches(item)) {
      held.set(id, item)
      hasChanged = true
    } else {
      hasChanged = held.delete(id) || hasChanged
    }
  }
  return hasChanged
}
