/**
 * export: records as lines of JSON, sorted by collection and key, byte for byte the same on devices
 * that are in sync. Only keys are held while they are sorted: a vault of any size can be exported.
 */
import type { ExportedRecord, Fields, Vault } from '@blindcopy/client'
import { formatJson } from './json-form.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

/** The line of one record: what `export`, `list --json` and `get --json` write, `import` reads. */
export function formatLine({
  collection,
  key,
  fields,
}: Pick<ExportedRecord, 'collection' | 'key'> & { readonly fields: Fields | null }): string {
  const names = `"collection":${JSON.stringify(collection)},"key":${JSON.stringify(key)}`
  return `{${names},"fields":${formatJson(fields)}}`
}

export async function exportRecords(
  collection: string | undefined,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    if (collection !== undefined) return exportCollection(vault, collection, terminal)
    const keysByCollection = new Map<string, string[]>()
    for await (const record of vault.records()) {
      const keys = keysByCollection.get(record.collection)
      if (keys === undefined) keysByCollection.set(record.collection, [record.key])
      else keys.push(record.key)
    }
    for (const name of [...keysByCollection.keys()].sort(byCodeUnits)) {
      await printRecords(vault, name, keysByCollection.get(name) ?? [], terminal)
    }
  })
}

export async function exportCollection(
  vault: Vault,
  collection: string,
  terminal: Terminal,
): Promise<void> {
  const keys: string[] = []
  for await (const { key } of vault.collection(collection)) keys.push(key)
  await printRecords(vault, collection, keys, terminal)
}

const TOGETHER = 64

async function printRecords(
  vault: Vault,
  collection: string,
  keys: string[],
  terminal: Terminal,
): Promise<void> {
  const records = vault.collection<Fields>(collection)
  keys.sort(byCodeUnits)
  for (let start = 0; start < keys.length; start += TOGETHER) {
    const chunk = keys.slice(start, start + TOGETHER)
    const found = await Promise.all(chunk.map((key) => records.get(key)))
    const lines = chunk.flatMap((key, i) => {
      const fields = found[i]
      return fields === undefined ? [] : [formatLine({ collection, key, fields })]
    })
    await terminal.print(lines.join('\n'))
  }
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
