/**
 * Line: the live socket of one device, both of its ends, in virtual time. Frames keep their order
 * but for the mishaps; once a frame of it was swallowed nothing more comes through, as on a TCP
 * connection whose packets are lost: it falls silent, or is cut.
 */
import type { WebSocketLike } from '@blindcopy/client'
import type { Fault, Tally } from './faults.ts'
import type { RemoteHost } from './host.ts'
import type { Trace } from './trace.ts'
import type { Weather } from './wire.ts'

export type LineParts = {
  readonly who: string
  readonly host: RemoteHost
  readonly trace: Trace
  readonly tally: Tally
  readonly isAlive: () => boolean
  readonly isMishap: (fault: Fault) => boolean
  readonly onBytes: (bytes: Uint8Array) => void
  /** After the time that a message takes. */
  readonly after: (run: () => void) => void
  readonly afterMs: (delayMs: number, run: () => void) => void
  readonly partition: () => Weather['partition']
  readonly cutters: Set<() => void>
}

type Listener = (event: { data: unknown }) => void

export function openLine(parts: LineParts): WebSocketLike {
  return new Line(parts)
}

class Line implements WebSocketLike {
  binaryType = 'blob'
  readonly #parts: LineParts
  readonly #listeners = new Map<string, Listener[]>()
  #state: 'opening' | 'open' | 'silent' | 'closed' = 'opening'
  #remoteEnd: { receive(frame: Uint8Array): Promise<void>; closed(): void } | undefined
  /** Frames on their way to the device, in their order. */
  readonly #queue: Uint8Array[] = []
  readonly #cut = (): void => this.cut()

  constructor(parts: LineParts) {
    this.#parts = parts
    parts.cutters.add(this.#cut)
    parts.after(() => this.#open())
  }

  addEventListener(type: string, listener: unknown): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener as Listener])
  }

  /** From the device. */
  send(data: Uint8Array): void {
    const frame = data.slice()
    this.#parts.onBytes(frame)
    this.#parts.after(() => {
      if (this.#state !== 'open') return
      if (this.#parts.partition() !== 'none') this.#fallSilent()
      else void this.#remoteEnd?.receive(frame)
    })
  }

  /** By the device. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#parts.cutters.delete(this.#cut)
    this.#parts.after(() => this.#remoteEnd?.closed())
  }

  /** By the network: both ends learn it. */
  cut(): void {
    if (this.#state === 'closed') return
    this.close()
    this.#parts.after(() => this.#tell('close'))
  }

  #open(): void {
    const { host, partition, trace, who } = this.#parts
    if (this.#state === 'closed') return
    if (partition() === 'silent') {
      this.#fallSilent()
      return
    }
    const isRefused = partition() === 'refused'
    this.#remoteEnd = isRefused
      ? undefined
      : host.openLine({
          send: (frame) => this.#push(frame.slice()),
          close: () => this.#parts.after(() => this.cut()),
          bufferedBytes: 0,
          terminate: () => this.cut(),
          reset: () => this.cut(),
        })
    if (this.#remoteEnd === undefined) {
      this.cut()
      return
    }
    this.#state = 'open'
    trace.note(who, '← the live line is open')
    this.#tell('open')
  }

  /** From the remote. */
  #push(frame: Uint8Array): void {
    const { isMishap, after } = this.#parts
    if (this.#state !== 'open' || this.#isLost()) return
    const previous = this.#queue.length - 1
    this.#queue.push(frame)
    if (previous >= 0 && isMishap('frame overtaken')) {
      this.#queue.splice(previous, 2, frame, this.#queue[previous] as Uint8Array)
    } else if (isMishap('frame duplicated')) {
      this.#queue.push(frame)
      after(() => this.#deliver())
    }
    after(() => this.#deliver())
  }

  /** Whether a frame is lost, and the line with it. */
  #isLost(): boolean {
    const { isMishap, tally, trace, who } = this.#parts
    const partition = this.#parts.partition()
    if (partition !== 'none') {
      tally.count(partition === 'silent' ? 'partition, silent' : 'partition, refused')
      trace.note(who, '← a live frame is lost')
      this.#fallSilent()
    } else if (isMishap('line cut')) {
      this.cut()
    } else if (isMishap('line silent')) {
      this.#fallSilent()
    }
    return this.#state !== 'open'
  }

  #deliver(): void {
    const frame = this.#queue.shift()
    if (frame === undefined || this.#state !== 'open') return
    this.#parts.onBytes(frame)
    this.#parts.trace.note(this.#parts.who, `← frame ${frame.length} B`, frame)
    this.#tell('message', frame.slice().buffer)
  }

  #fallSilent(): void {
    this.#state = 'silent'
    this.#queue.length = 0
  }

  #tell(type: string, data?: unknown): void {
    if (!this.#parts.isAlive()) return
    for (const listener of this.#listeners.get(type) ?? []) listener({ data })
  }
}
