/**
 * Live: the socket of one engine, and the frames that have arrived on it and wait to be applied.
 *
 * Frames are only gathered here; the engine applies them in its own turn. Too many at once, or a
 * refusal by the remote, and they are dropped: the next pull brings the same.
 */
import {
  type LiveFrame,
  type LogPosition,
  PROTOCOL_VERSION,
  ProtocolError,
  type ProtocolErrorCode,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { LogStep } from '../local/arrival.ts'
import type { Timers } from './identity.ts'
import { stepOf, weightOf } from './pull.ts'
import type { DataRequest, LiveSocket, Transport } from './transport.ts'

export type LiveEvents = {
  /** The remote took the hello; `head` is where its log ended then. */
  onReady(head: LogPosition): void
  onFrames(): void
  onCheckpoint(checkpoint: Uint8Array): void
  onClosed(error: Error): void
}

const BUFFER_BYTES_MAX = 8 * 1_048_576
/** The remote sends a heartbeat every 25 s; silence for longer than two is a dead connection. */
const SILENCE_MS_MAX = 60_000

export class LiveConnection {
  readonly #events: LiveEvents
  readonly #timers: Timers
  readonly #socket: LiveSocket
  #steps: LogStep[] = []
  #bufferedBytes = 0
  #overflowed = false
  #cancelSilence: () => void = () => undefined
  #isClosed = false

  constructor(
    transport: Transport,
    data: DataRequest,
    options: { events: LiveEvents; timers: Timers },
  ) {
    this.#events = options.events
    this.#timers = options.timers
    this.#socket = transport.live({
      onFrame: (frame) => this.#onFrame(frame),
      onClose: (error) => this.#end(error),
    })
    const { token, syncId, position } = data
    const cursor: [number, typeof position.chain] = [position.seq, position.chain]
    this.#socket.hello({ protocol: PROTOCOL_VERSION, token, syncId, cursor })
    this.#awaitFrame()
  }

  get hasFrames(): boolean {
    return this.#steps.length > 0 || this.#overflowed
  }

  /**
   * The frames that follow `position`, or `gap` when something is missing before them. Frames that
   * the device has already (its own writes, mostly) are dropped.
   */
  take(position: LogPosition): readonly LogStep[] | 'gap' {
    const steps = this.#steps.filter((step) => step.seq > position.seq)
    const hasGap = this.#overflowed || (steps[0] !== undefined && steps[0].seq !== position.seq + 1)
    this.#steps = []
    this.#bufferedBytes = 0
    this.#overflowed = false
    return hasGap ? 'gap' : steps
  }

  close(): void {
    this.#isClosed = true
    this.#cancelSilence()
    this.#socket.close()
  }

  #onFrame(frame: LiveFrame): void {
    if (this.#isClosed) return
    this.#awaitFrame()
    switch (frame[0]) {
      case 0:
      case 1: {
        this.#buffer(stepOf(frame))
        this.#events.onFrames()
        break
      }
      case 3:
        break
      case 4: {
        this.#events.onReady({ seq: frame[1], chain: frame[2] })
        break
      }
      case 6: {
        this.#events.onCheckpoint(frame[1])
        break
      }
      case 5: {
        const [, code, message, details] = frame
        const known = Object.hasOwn(STATUS_BY_CODE, code) ? (code as ProtocolErrorCode) : 'internal'
        this.#end(new ProtocolError(known, message, { details }))
      }
    }
  }

  #buffer(step: LogStep): void {
    this.#bufferedBytes += weightOf(step)
    this.#steps.push(step)
    if (this.#bufferedBytes <= BUFFER_BYTES_MAX) return
    this.#steps = []
    this.#bufferedBytes = 0
    this.#overflowed = true
  }

  #awaitFrame(): void {
    this.#cancelSilence()
    this.#cancelSilence = this.#timers.setTimer(() => {
      this.#end(new ClientError('network', 'the live connection has fallen silent'))
    }, SILENCE_MS_MAX)
  }

  #end(error?: Error): void {
    if (this.#isClosed) return
    this.close()
    this.#events.onClosed(error ?? new ClientError('network', 'the live connection was lost'))
  }
}
