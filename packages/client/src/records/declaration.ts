/**
 * Declaration: what an app has said of a collection, beside its schema. Kept by name for as long as
 * the vault is open: sync needs it too, when a conflict comes.
 */
import type { Fields } from '@blindcopy/protocol'
import { SCHEMA_VERSION_MAX, type VaultRecord } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { type ConflictPolicy, type PolicyCode, policyCode } from './conflict-policy.ts'

/** Makes fields of an older version into those of the version after it, or of the newest. */
export type Migrate = (fields: Fields, fromVersion: number) => Fields

export type Declaration = {
  readonly policy: ConflictPolicy<Fields>
  readonly policyCode: PolicyCode
  readonly isLocalOnly: boolean
  /** Undefined where the app has declared none: it takes records as they are. */
  readonly version: number | undefined
  readonly migrate: Migrate | undefined
}

export type DeclarationOptions = {
  /** `conflict` in the options of a collection. */
  readonly conflict?: unknown
  readonly localOnly?: boolean | undefined
  readonly version?: number | undefined
  readonly migrate?: Migrate | undefined
}

export const NOT_DECLARED: Declaration = {
  policy: 'lww',
  policyCode: 0,
  isLocalOnly: false,
  version: undefined,
  migrate: undefined,
}

/** Throws `invalid-argument`. */
export function readDeclaration(options: DeclarationOptions): Declaration {
  const { conflict = 'lww', localOnly = false, version, migrate } = options
  const code = policyCode(conflict)
  if (code === undefined) {
    throw refused("conflict must be 'lww', 'merge', 'manual' or { custom: function }")
  }
  const isVersion =
    version === undefined ||
    (Number.isInteger(version) && version >= 0 && version <= SCHEMA_VERSION_MAX)
  if (!isVersion) throw refused(`version must be a whole number from 0 to ${SCHEMA_VERSION_MAX}`)
  if (migrate !== undefined && typeof migrate !== 'function') {
    throw refused('migrate must be a function')
  }
  if (migrate !== undefined && version === undefined) throw refused('migrate needs a version')
  if (typeof localOnly !== 'boolean') throw refused('localOnly must be true or false')
  const policy = conflict as ConflictPolicy<Fields>
  return { policy, policyCode: code, isLocalOnly: localOnly, version, migrate }
}

/** Whether a record is of a version that this app does not know yet. */
export const isNewerThan = ({ schemaVersion }: VaultRecord, { version }: Declaration): boolean =>
  version !== undefined && schemaVersion > version

/** The fields as the declared version wants them. Throws what the app's migration throws. */
export function migratedFields(record: VaultRecord, declaration: Declaration): Fields | null {
  const { fields, schemaVersion } = record
  const { version, migrate } = declaration
  if (fields === null || version === undefined || schemaVersion >= version) return fields
  if (migrate === undefined) return fields
  return migrate(fields, schemaVersion)
}

/** The record as the declared version wants it. Throws what the app's migration throws. */
export function upgradedRecord(record: VaultRecord, declaration: Declaration): VaultRecord {
  const { fields, schemaVersion } = record
  const { version } = declaration
  if (fields === null || version === undefined || schemaVersion >= version) return record
  return { ...record, fields: migratedFields(record, declaration), schemaVersion: version }
}

function refused(message: string): ClientError {
  return new ClientError('invalid-argument', message)
}
