/**
 * Message check: bytes to a message and back, by its schema. What is wrong is said in a sentence
 * that names the place.
 */
import type * as z from 'zod/mini'
import { decodeCbor, encodeCbor } from './codec.ts'
import { ProtocolError } from './error.ts'

export const encodeMessage = <T>(_schema: z.ZodMiniType<T>, message: T): Uint8Array =>
  encodeCbor(message)

/** Decodes and checks a message. Throws `malformed` and names the first place that is wrong. */
export function parseMessage<T>(schema: z.ZodMiniType<T>, encoded: Uint8Array): T {
  return checkMessage(schema, decodeCbor(encoded))
}

/** Of what a refusal says of a message: it names what stands there, which may be of any length. */
const SENTENCE_LENGTH_MAX = 200

export function checkMessage<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  // Asked for its fields, a byte string would name each of its bytes.
  if (value instanceof Uint8Array) {
    throw new ProtocolError('malformed', 'the message: bytes stand in its place')
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const where = issue?.path.join('.') || 'the message'
  const sentence = `${where}: ${issue === undefined ? 'wrong form' : wrongIn(issue)}`
  throw new ProtocolError('malformed', sentence.slice(0, SENTENCE_LENGTH_MAX))
}

/** What zod says where it has no language: loading one would cost every page its sentences. */
const NO_SENTENCE = 'Invalid input'

function wrongIn(issue: z.core.$ZodIssue): string {
  if (issue.message !== NO_SENTENCE) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return `${issue.expected} expected`
    case 'unrecognized_keys':
      return `unknown field ${issue.keys.join(', ')}`
    case 'too_big':
      return `at most ${issue.maximum} expected`
    case 'too_small':
      return `at least ${issue.minimum} expected`
    default:
      return 'wrong form'
  }
}
