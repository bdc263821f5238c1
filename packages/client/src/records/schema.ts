/**
 * Schema: an app's own check of what it writes, by any library that speaks Standard Schema
 * (standardschema.dev): zod, valibot, arktype. What the schema gives back is what is stored.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ClientError } from '../error.ts'

export type Schema<T, Input = unknown> = StandardSchemaV1<Input, T>

/** What a schema takes: a field that has a default may be left out. */
export type InputOf<S extends StandardSchemaV1> = StandardSchemaV1.InferInput<S> & object
/** What it gives back, and so what is stored and read. */
export type OutputOf<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S> & object
export type AnySchema = StandardSchemaV1

/** Throws `schema-refused` with the path and the sentence of the first issue. */
export async function applySchema<T>(schema: Schema<T> | undefined, fields: unknown): Promise<T> {
  if (schema === undefined) return fields as T
  const pending = schema['~standard'].validate(fields)
  const result = pending instanceof Promise ? await pending : pending
  if (result.issues === undefined) return result.value
  const [issue] = result.issues
  const path = issue?.path
    ?.map((part) => String(typeof part === 'object' ? part.key : part))
    .join('.')
  throw new ClientError(
    'schema-refused',
    `the schema refused ${path ? `the field ${path}` : 'the record'}: ${issue?.message ?? 'no reason given'}`,
    { details: { path: path ?? '' } },
  )
}
