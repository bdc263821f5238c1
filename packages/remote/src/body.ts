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
  context: Asked,
  { bytesMax, budget }: BodyBounds,
  job: (body: Uint8Array) => Promise<T>,
): Promise<T> {
  const declared = Number(context.req.raw.headers.get('Content-Length') ?? 0)
  if (declared > bytesMax) return tooLarge(bytesMax)
  let bytesHeld = 0
  const hold = (sizeBytes: number): void => {
    if (bytesHeld + sizeBytes > bytesMax) tooLarge(bytesMax)
    budget.take(sizeBytes)
    bytesHeld += sizeBytes
  }
  try {
    return await job(await readChunks(chunksOf(context), hold))
  } finally {
    budget.give(bytesHeld)
  }
}

/** What is asked, and in `env.body` its body where the runtime has it at hand. */
export type Asked = { readonly req: { readonly raw: Request }; readonly env: unknown }

/**
 * Node's own stream of the body, where there is one: a web stream made of it would be work for
 * every small push that nothing needs.
 */
function chunksOf({ req, env }: Asked): AsyncIterator<Uint8Array> | undefined {
  const body: unknown = typeof env === 'object' && env !== null ? Reflect.get(env, 'body') : null
  if (isIterable(body)) return body[Symbol.asyncIterator]()
  return req.raw.body === null ? undefined : iterate(req.raw.body.getReader())
}

const isIterable = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body

const iterate = (reader: ReadableStreamDefaultReader<Uint8Array>): AsyncIterator<Uint8Array> => ({
  async next() {
    const { done, value } = await reader.read()
    return done ? { done, value: undefined } : { done, value }
  },
  async return() {
    await reader.cancel()
    return { done: true, value: undefined }
  },
})

async function readChunks(
  body: AsyncIterator<Uint8Array> | undefined,
  hold: (sizeBytes: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  try {
    for (let next = await readNext(body); next !== undefined; next = await readNext(body)) {
      hold(next.length)
      chunks.push(next)
    }
  } catch (error) {
    await body?.return?.().catch(() => {})
    throw error
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : concat(...chunks)
}

/** A sender that goes away in the middle is no failure of ours. */
async function readNext(
  body: AsyncIterator<Uint8Array> | undefined,
): Promise<Uint8Array | undefined> {
  try {
    const next = await body?.next()
    return next === undefined || next.done === true ? undefined : next.value
  } catch (cause) {
    throw new ProtocolError('malformed', 'the body broke off', { cause })
  }
}

function tooLarge(bytesMax: number): never {
  throw new ProtocolError('too-large', `the body has more than ${bytesMax} bytes`, {
    details: { bytesMax },
  })
}
