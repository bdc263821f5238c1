/**
 * Upgrade: records that meet, each as the schema version that the app has declared wants it. What
 * is of different versions cannot be compared: it waits for the app that knows both.
 */
import type { Fields } from '@blindcopy/protocol'
import type { VaultRecord } from '@blindcopy/vault'
import { codeOf } from '../error.ts'
import { reasonOf } from '../records/conflict-policy.ts'
import type { RewriteKeys } from './rewrite.ts'

/** Records of one schema version, which alone can be compared. */
export type Upgraded =
  | { readonly mine: VaultRecord; readonly theirs: VaultRecord; readonly reason?: undefined }
  | { readonly reason: string }

export function upgradeBoth(
  keys: Pick<RewriteKeys, 'upgrade'>,
  a: VaultRecord,
  b: VaultRecord,
): Upgraded {
  try {
    const [mine, theirs] = [keys.upgrade(a), keys.upgrade(b)]
    // A deleted record is of no version.
    const isGone = mine.fields === null || theirs.fields === null
    if (isGone || mine.schemaVersion === theirs.schemaVersion) return { mine, theirs }
    return { reason: 'schema-newer' }
  } catch (error) {
    return { reason: codeOf(error) === 'schema-newer' ? 'schema-newer' : reasonOf(error) }
  }
}

/** A deleted record is of no version. */
export const versionOf = (fields: Fields | null, ...records: readonly VaultRecord[]): number =>
  fields === null ? 0 : Math.max(...records.map(({ schemaVersion }) => schemaVersion))
