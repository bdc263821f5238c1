/**
 * Overwrite: an older version is put on top of what is there, by the hand of a person who has seen
 * both: one that lost a conflict, or one of the history.
 */
import type { Fields } from '@blindcopy/protocol'
import type { VaultRecord } from '@blindcopy/vault'
import { upgradedRecord } from './declaration.ts'
import type { RecordPlace } from './sealer.ts'
import { checkVersion, declarationOf, runTransaction, type WriteContext } from './transaction.ts'

/** As the app knows the fields; as they are where it does not know their version. */
export function fieldsAsKnown(context: WriteContext, record: VaultRecord): Fields | null {
  try {
    return upgradedRecord(record, declarationOf(context, record.collection)).fields
  } catch {
    return record.fields
  }
}

/** Writes what a version held, and returns it. Throws `schema-newer`. */
export async function writeAgain(
  context: WriteContext,
  record: VaultRecord,
): Promise<Fields | null> {
  const declaration = declarationOf(context, record.collection)
  checkVersion(record, declaration)
  const { fields, schemaVersion } = upgradedRecord(record, declaration)
  const place = context.sealer.placeOf(record.collection, record.key)
  await overwrite(context, place, { fields, schemaVersion })
  return fields
}

/** On top of what is there now: the person has seen it. */
export function overwrite(
  context: WriteContext,
  place: RecordPlace,
  { fields, schemaVersion }: { readonly fields: Fields | null; readonly schemaVersion?: number },
): Promise<void> {
  return runTransaction(context, async (transaction) => {
    if (declarationOf(context, place.collection).policyCode === 0) await transaction.read(place)
    if (fields === null) await transaction.erase(place)
    else await transaction.write(place, fields, { schemaVersion })
  })
}
