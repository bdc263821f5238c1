/**
 * Problem: the one place where whatever was thrown becomes an answer (RFC 9457).
 *
 * A refusal says its code, its sentence and its details. Anything else is `internal` and says
 * nothing of what went on inside.
 */
import {
  CONTENT_TYPE_PROBLEM,
  formatBase64Url,
  ProtocolError,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { StoreError } from '@blindcopy/secondary'

/** The refusal that a thrown thing amounts to. */
export function toRefusal(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error
  if (error instanceof StoreError && error.code === 'store-full') {
    return new ProtocolError('storage-full', 'the disk of the remote is full: nothing was stored')
  }
  if (error instanceof StoreError && error.code === 'store-read-only') {
    return new ProtocolError(
      'storage-full',
      'the disk of the remote takes no writes: nothing was stored',
    )
  }
  return new ProtocolError('internal', 'the remote failed; nothing was lost: try again later')
}

/** Whether it is a failure of ours that whoever runs the remote should see. */
export const isFault = (error: unknown): boolean => !(error instanceof ProtocolError)

/** What is told to whoever asks for something while the remote goes down. */
export const goingDown = (): ProtocolError =>
  new ProtocolError('busy', 'the remote is going down: come back in a moment', {
    details: { retryAfterSeconds: 5 },
  })

/** For the log: the code of an answer that is a refusal. */
export function refusalCodeOf(error: unknown, status: number): string | undefined {
  if (error !== undefined) return toRefusal(error).code
  return status === 404 ? 'not-found' : undefined
}

export function problemResponse(error: unknown): Response {
  const { code, message, details } = toRefusal(error)
  const status = STATUS_BY_CODE[code]
  const problem = {
    ...plainDetails(details),
    type: `urn:blindcopy:problem:${code}`,
    title: code.replaceAll('-', ' '),
    status,
    code,
    detail: message,
  }
  const headers = new Headers({ 'Content-Type': CONTENT_TYPE_PROBLEM })
  const retryAfter = details.retryAfterSeconds
  if (typeof retryAfter === 'number') headers.set('Retry-After', String(retryAfter))
  return new Response(JSON.stringify(problem), { status, headers })
}

/** Bytes as base64url; what is neither number nor text stays here. */
export function plainDetails(
  details: Readonly<Record<string, unknown>>,
): Record<string, number | string> {
  const plain: Record<string, number | string> = {}
  for (const [name, value] of Object.entries(details)) {
    if (typeof value === 'number' || typeof value === 'string') plain[name] = value
    if (value instanceof Uint8Array) plain[name] = formatBase64Url(value)
  }
  return plain
}
