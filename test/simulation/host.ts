/**
 * Host: the machine that the remote runs on. Its processes come and go; its disk and its clock
 * stay, unless a fault replaces what is on the disk.
 */
import type { LiveConnection, LiveSocket, Remote } from '@blindcopy/remote'
import { createRemote } from '@blindcopy/remote'
import { verifySignature } from '@blindcopy/remote/node'
import type { Chance } from './chance.ts'
import { CrashDisk } from './crash-disk.ts'
import { RemoteLens } from './lens.ts'
import { MachineClock } from './machine-clock.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

export const REMOTE = 'http://remote.test'
const BEAT_MS = 4_000
/** What a connection to a process that died takes to notice. */
const RESET_MS = 300

export type Message = {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: Uint8Array | undefined
}

/** The remote's end of a line, and what tells the other end that the process is gone. */
export type HostSocket = LiveSocket & { reset(): void }

type Process = { readonly remote: Remote; isAlive: boolean; readonly resets: Set<() => void> }

export class RemoteHost {
  readonly disk: CrashDisk
  readonly lens: RemoteLens = new RemoteLens()
  readonly clock: MachineClock
  /** What the remote calls a fault of its own. */
  readonly complaints: unknown[] = []
  readonly #parts: { scheduler: Scheduler; chance: Chance; trace: Trace }
  #process: Process | undefined
  #startCount = 0

  constructor(parts: { scheduler: Scheduler; chance: Chance; trace: Trace }) {
    this.#parts = parts
    this.clock = new MachineClock(parts.scheduler)
    this.disk = new CrashDisk(parts.scheduler, parts.chance.fork('disk').below)
    this.disk.observer = this.lens
    this.#beat()
  }

  get isUp(): boolean {
    return this.#process !== undefined
  }

  start(): void {
    if (this.isUp) return
    const { chance, trace } = this.#parts
    trace.note('remote', 'starts')
    const remote = createRemote({
      store: this.disk.open(),
      verify: verifySignature,
      origins: [REMOTE],
      registration: { mode: 'open' },
      nowMs: () => this.clock.nowMs(),
      random: chance.fork(`start ${this.#startCount++}`).bytes,
      // A real timer would end at another moment each time.
      nextTurn: () => Promise.resolve(),
      onFault: (error) => {
        trace.note('remote', `complains: ${String(error)}`)
        this.complaints.push(error)
      },
    })
    this.#process = { remote, isAlive: true, resets: new Set() }
  }

  /** Ends the process as it is; whoever is connected learns it a little later. */
  kill(): void {
    const process = this.#process
    if (process === undefined) return
    this.#process = undefined
    process.isAlive = false
    this.disk.kill()
    this.#parts.scheduler.after(RESET_MS, () => {
      for (const reset of process.resets) reset()
    })
  }

  /** A request has arrived. `reset` when no process answers it. */
  async take(message: Message, signal: AbortSignal | undefined): Promise<Response | 'reset'> {
    const process = this.#process
    if (process === undefined) return 'reset'
    const { method, url, headers, body } = message
    const request = new Request(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body: body.slice() as Uint8Array<ArrayBuffer> }),
      ...(signal === undefined || signal.aborted ? {} : { signal }),
    })
    let reset: () => void = () => undefined
    const died = new Promise<'reset'>((resolve) => {
      reset = () => resolve('reset')
    })
    process.resets.add(reset)
    const response = await Promise.race([process.remote.app.fetch(request), died])
    process.resets.delete(reset)
    return process.isAlive ? response : 'reset'
  }

  /** A live socket has reached this machine. Undefined when nothing listens. */
  openLine(socket: HostSocket): LiveConnection | undefined {
    const process = this.#process
    if (process === undefined) return undefined
    const reset = (): void => socket.reset()
    process.resets.add(reset)
    const connection = process.remote.live.open({
      send: (frame) => {
        if (process.isAlive) socket.send(frame)
      },
      close: (code, reason) => socket.close(code, reason),
      terminate: () => socket.reset(),
      get bufferedBytes() {
        return socket.bufferedBytes
      },
    })
    return {
      receive: (frame) => connection.receive(frame),
      closed: () => {
        process.resets.delete(reset)
        connection.closed()
      },
    }
  }

  #beat(): void {
    this.#parts.scheduler.after(BEAT_MS, () => {
      this.#process?.remote.live.beat()
      this.#beat()
    })
  }
}
