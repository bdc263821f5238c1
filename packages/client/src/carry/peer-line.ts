/**
 * Peer line: messages over a byte stream, one way and the other. Whatever ends the stream before
 * both ends are done is `network`: what was taken until then is whole, and running the exchange
 * again goes on from there.
 */
import {
  decodePeerMessage,
  encodeFrame,
  encodePeerMessage,
  FrameReader,
  PEER_MESSAGE_BYTES_MAX,
  type PeerContent,
  type PeerKind,
  type PeerMessage,
  ProtocolError,
  type ProtocolErrorCode,
} from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'

/** A duplex stream of bytes: a socket, a pipe, a data channel. */
export type PeerStream = {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}

/** What the other device may say it has failed with; anything else is its own affair. */
const TOLD_PROTOCOL: readonly ProtocolErrorCode[] = [
  'keychain-forked',
  'not-a-member',
  'unsupported-version',
  'malformed',
  'too-large',
]

export type PeerLineOptions = {
  readonly signal: AbortSignal
  readonly setTimer: (callback: () => void, delayMs: number) => () => void
}

/** Between two pieces of what is waited for; storing a batch takes the other end less. */
const SILENCE_MS_MAX = 60_000

export class PeerLine {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  readonly #frames = new FrameReader(PEER_MESSAGE_BYTES_MAX)
  readonly #items: Uint8Array[] = []
  readonly #stopListening: () => void
  readonly #setTimer: PeerLineOptions['setTimer']

  /** Takes both ways over. Ends when `signal` aborts, or when the other end is silent for long. */
  constructor({ readable, writable }: PeerStream, { signal, setTimer }: PeerLineOptions) {
    this.#setTimer = setTimer
    this.#reader = readable.getReader()
    this.#writer = writable.getWriter()
    this.#writer.closed.catch(() => undefined)
    const stop = (): void => this.#drop(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    this.#stopListening = () => signal.removeEventListener('abort', stop)
  }

  async send<Kind extends PeerKind>(kind: Kind, ...content: PeerContent<Kind>): Promise<void> {
    const frame = encodeFrame(encodePeerMessage(kind, ...content))
    try {
      await this.#writer.write(frame)
    } catch (cause) {
      throw lost(cause)
    }
  }

  /** The next message. Throws what the other device says it has failed with. */
  async receive(bytesMax: number = PEER_MESSAGE_BYTES_MAX): Promise<PeerMessage> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) return this.#decode(item, bytesMax)
      const { done, value } = await this.#read()
      if (done) throw lost(undefined)
      this.#items.push(...this.#frames.push(value))
    }
  }

  /** The content of the next message, which must be of this kind. */
  async expect<Kind extends PeerKind>(kind: Kind, bytesMax?: number): Promise<PeerContent<Kind>> {
    const message = await this.receive(bytesMax)
    if (message.kind !== kind) {
      throw new ProtocolError('malformed', `the other device sent ${message.kind}, not ${kind}`)
    }
    return message.content as unknown as PeerContent<Kind>
  }

  /** Both are done. */
  async end(): Promise<void> {
    this.#stopListening()
    await this.#writer.close().catch(() => undefined)
    await this.#reader.cancel().catch(() => undefined)
  }

  /** Tells the other device why, if it listens, and lets go of the stream. */
  fail(error: unknown): void {
    this.#stopListening()
    const code = codeOf(error) ?? 'internal'
    const frame = encodeFrame(encodePeerMessage('failed', code.slice(0, 64)))
    // Not waited for: the other end may have stopped reading.
    this.#writer.write(frame).catch(() => undefined)
    this.#writer.close().catch(() => undefined)
    this.#reader.cancel(error).catch(() => undefined)
  }

  #decode(item: Uint8Array, bytesMax: number): PeerMessage {
    if (item.length > bytesMax) {
      throw new ProtocolError('too-large', 'the other device sent too much for a greeting')
    }
    const message = decodePeerMessage(item)
    if (message.kind !== 'failed') return message
    throw toldError(message.content[0])
  }

  async #read(): Promise<{ done: boolean; value: Uint8Array }> {
    const stopTimer = this.#setTimer(() => this.#drop(silent()), SILENCE_MS_MAX)
    try {
      const { done, value } = await this.#reader.read()
      return { done, value: value ?? new Uint8Array(0) }
    } catch (cause) {
      throw lost(cause)
    } finally {
      stopTimer()
    }
  }

  #drop(reason: unknown): void {
    this.#writer.abort(reason).catch(() => undefined)
    this.#reader.cancel(reason).catch(() => undefined)
  }
}

function toldError(code: string): Error {
  const message = `the other device has ended the exchange: ${code.replace(/[^a-z-]/g, '?')}`
  if (code === 'wrong-vault') return new ClientError('wrong-vault', message)
  const told = TOLD_PROTOCOL.find((known) => known === code)
  return told === undefined ? new ClientError('network', message) : new ProtocolError(told, message)
}

const silent = (): ClientError =>
  new ClientError('network', 'the other device has been silent for a minute')

function lost(cause: unknown): ClientError {
  return new ClientError(
    'network',
    'the stream to the other device has ended before both were done: what came is kept; run it again',
    { cause },
  )
}
