/**
 * The answer to an HTTP request, read with care: it may be endless, silent, cut, or from something
 * that is no remote at all. It never holds more of it than it may, and gives it up when nothing
 * comes for too long; while the reader is busy with a part of it, no time counts.
 */
import {
  CONTENT_TYPE_CBOR,
  CONTENT_TYPE_PROBLEM,
  concat,
  decodeUtf8,
  Problem,
  ProtocolError,
  type ProtocolErrorCode,
  PUSH_BYTES_MAX,
  REQUEST_BYTES_MAX,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'

/** A request under way. */
export type Answer = {
  readonly response: Response
  /** Counts silence from now on. */
  expect(): void
  /** Stops counting. */
  rest(): void
}

/** A conflict answers with envelopes, as many as were pushed. */
const ANSWER_BYTES_MAX = PUSH_BYTES_MAX + REQUEST_BYTES_MAX
const PROBLEM_BYTES_MAX = 64 * 1024

/** Throws what the remote refused with, `network`, or `not-a-remote`. */
export async function checkAnswer(answer: Answer): Promise<Answer> {
  const { response } = answer
  if (!response.ok) throw await refusalOf(answer)
  if (isType(response, CONTENT_TYPE_CBOR)) return answer
  await response.body?.cancel().catch(() => undefined)
  throw notARemote()
}

function isType(response: Response, type: string): boolean {
  return (response.headers.get('content-type') ?? '').split(';')[0]?.trim() === type
}

export function notARemote(cause?: unknown): ClientError {
  return new ClientError(
    'not-a-remote',
    'what answers at this address is not a Blindcopy remote: check the address',
    { cause },
  )
}

async function refusalOf(answer: Answer): Promise<Error> {
  const { response } = answer
  if (!isType(response, CONTENT_TYPE_PROBLEM)) {
    await response.body?.cancel().catch(() => undefined)
    if (response.status < 500) return notARemote()
    return new ClientError(
      'network',
      `the remote or a proxy answered ${response.status}: try later`,
    )
  }
  const problem = Problem.safeParse(await readProblem(answer))
  if (!problem.success || !Object.hasOwn(STATUS_BY_CODE, problem.data.code)) return notARemote()
  const { code, detail, type: _type, title: _title, status: _status, ...details } = problem.data
  const retryAfter = response.headers.get('retry-after')
  const retryAfterMs = retryAfter === null ? {} : { retryAfterMs: Number(retryAfter) * 1_000 }
  return new ProtocolError(code as ProtocolErrorCode, detail, {
    details: { ...details, ...retryAfterMs },
  })
}

async function readProblem(answer: Answer): Promise<unknown> {
  const body = await readBody(answer, PROBLEM_BYTES_MAX)
  try {
    return JSON.parse(decodeUtf8(body))
  } catch {
    return undefined
  }
}

/** The whole body. */
export async function readBody(
  answer: Answer,
  bytesMax: number = ANSWER_BYTES_MAX,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of chunksOf(answer)) {
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax) throw notARemote()
    chunks.push(chunk)
  }
  return concat(...chunks)
}

/** The body as it comes. */
export async function* chunksOf(answer: Answer): AsyncGenerator<Uint8Array> {
  const reader = answer.response.body?.getReader()
  if (reader === undefined) throw notARemote()
  try {
    for (;;) {
      answer.expect()
      const chunk = await reader.read().catch((cause: unknown) => {
        throw cutAnswer(cause)
      })
      answer.rest()
      if (chunk.done) return
      yield chunk.value
    }
  } finally {
    answer.rest()
    await reader.cancel().catch(() => undefined)
  }
}

export function cutAnswer(cause?: unknown): ClientError {
  return new ClientError('network', 'the answer of the remote was cut', { cause })
}
