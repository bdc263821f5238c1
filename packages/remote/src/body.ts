/**
 * Body: reads a request's body within a bound, and all bodies together within another.
 *
 * A body that is too large is refused as soon as that is known, by its declared length or while it
 * arrives, and never held beyond the bound. The common bound keeps many large bodies at once from
 * taking all memory; those of strangers have a bound of their own, so that they cannot crowd out
 * members.
 */
import { concat, ProtocolError } from '@blindcopy/protocol'

export type BodyBudget = {
  /** Throws `busy` when there is no room; give back what was taken. */
  take(sizeBytes: number): void
  give(sizeBytes: number): void
  /** What is held now. */
  held(): number
}

export function createBodyBudget(bytesMax: number): BodyBudget {
  let bytesHeld = 0
  return {
    take(sizeBytes) {
      if (bytesHeld + sizeBytes > bytesMax) {
        throw new ProtocolError('busy', 'the remote has too much under way: try again', {
          details: { retryAfterSeconds: 1 },
        })
      }
      bytesHeld += sizeBytes
    },
    give(sizeBytes) {
      bytesHeld -= sizeBytes
    },
    held: () => bytesHeld,
  }
}

export type BodyBounds = { readonly bytesMax: number; readonly budget: BodyBudget }

/** Reads the body, then does the job while the body counts as held. */
export async function withBody<T>(
  request: Request,
  { bytesMax, budget }: BodyBounds,
  job: (body: Uint8Array) => Promise<T>,
): Promise<T> {
  const declared = Number(request.headers.get('Content-Length') ?? 0)
  if (declared > bytesMax) return tooLarge(bytesMax)
  let bytesHeld = 0
  const hold = (sizeBytes: number): void => {
    if (bytesHeld + sizeBytes > bytesMax) tooLarge(bytesMax)
    budget.take(sizeBytes)
    bytesHeld += sizeBytes
  }
  try {
    return await job(await readChunks(request, hold))
  } finally {
    budget.give(bytesHeld)
  }
}

async function readChunks(
  request: Request,
  hold: (sizeBytes: number) => void,
): Promise<Uint8Array> {
  const reader = request.body?.getReader()
  if (reader === undefined) return new Uint8Array(0)
  const chunks: Uint8Array[] = []
  try {
    for (;;) {
      const { done, value } = await readChunk(reader)
      if (done) break
      hold(value.length)
      chunks.push(value)
    }
  } catch (error) {
    await reader.cancel().catch(() => {})
    throw error
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : concat(...chunks)
}

/** A sender that goes away in the middle is no failure of ours. */
async function readChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read()
  } catch (cause) {
    throw new ProtocolError('malformed', 'the body broke off', { cause })
  }
}

function tooLarge(bytesMax: number): never {
  throw new ProtocolError('too-large', `the body has more than ${bytesMax} bytes`, {
    details: { bytesMax },
  })
}
