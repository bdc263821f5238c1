/**
 * The registration token of a vault: a sealed record like any other, in a collection that apps
 * cannot name, so that every device has it and can offer it again to a remote that has lost the
 * vault.
 */
import type { Fields } from '@blindcopy/protocol'
import type { WriteContext } from '../records/transaction.ts'

/** Collections whose names begin so are the system's own. */
export const RESERVED_PREFIX = '$'
const COLLECTION = '$blindcopy'
const KEY = 'registration'

export async function readRegistrationToken(context: WriteContext): Promise<string | undefined> {
  const { recordId } = context.sealer.placeOf(COLLECTION, KEY)
  const version = await context.local.read(recordId)
  if (version === undefined) return undefined
  const token = context.sealer.open(version).fields?.token
  return typeof token === 'string' ? token : undefined
}

export async function writeRegistrationToken(context: WriteContext, token: string): Promise<void> {
  const fields: Fields = { token }
  const place = context.sealer.placeOf(COLLECTION, KEY)
  await context.local.commit([context.sealer.draft(place, fields)])
}
