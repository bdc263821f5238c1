/**
 * Request ids: a name for each request, in its answer and in the log, that says nothing of anybody.
 *
 *   8 characters of the process ‖ '-' ‖ how many requests came before it, from 1 on
 */
import { formatHex } from '@blindcopy/protocol'

export const HEADER_REQUEST_ID = 'Blindcopy-Request-Id'

const PROCESS_BYTES = 4

/** No two alike within a process, and none of two processes but by a rare chance. */
export function createRequestIds(random: (sizeBytes: number) => Uint8Array): () => string {
  const name = formatHex(random(PROCESS_BYTES))
  let count = 0
  return () => `${name}-${++count}`
}
