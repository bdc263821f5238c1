/**
 * Wire: what carries the messages of one device to the remote and back, in virtual time, and what
 * happens to them on the way. A message is bytes: what arrives is a new request, made of them.
 *
 * A request may be refused, lost, late or sent twice; its answer lost, late or cut. The device's
 * own patience (its timers) decides when it gives up; a request that was given up may still arrive.
 */
import type { WebSocketLike } from '@blindcopy/client'
import type { Chance } from './chance.ts'
import type { Fault, Tally } from './faults.ts'
import type { Message, RemoteHost } from './host.ts'
import { openLine } from './line.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** What the way to the remote is like; percentages. */
export type Weather = {
  partition: 'none' | 'silent' | 'refused'
  lossPercent: number
  refusalPercent: number
  duplicatePercent: number
  latePercent: number
  cutPercent: number
  framePercent: number
  latencyMs: number
}

export const FAIR: Weather = {
  partition: 'none',
  lossPercent: 0,
  refusalPercent: 0,
  duplicatePercent: 0,
  latePercent: 0,
  cutPercent: 0,
  framePercent: 0,
  latencyMs: 40,
}

/** Longer than anybody waits for an answer. */
const LATE_MS = 150_000

export type WireParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly tally: Tally
  readonly trace: Trace
  readonly host: RemoteHost
  /** Told of all that leaves a device or reaches it. */
  readonly onBytes: (bytes: Uint8Array) => void
}

export class Wire {
  readonly weather: Weather = { ...FAIR }
  /** Told when a request for changes has reached the remote. */
  onPull: () => void = () => undefined
  readonly #parts: WireParts
  readonly #who: string
  readonly #cutters = new Set<() => void>()
  #sent = 0
  #arrivedUpTo = 0
  #underWay = 0

  constructor(who: string, parts: WireParts) {
    this.#who = who
    this.#parts = parts
  }

  /** Whether a request is on the way, whether or not anybody waits for its answer. */
  get isBusy(): boolean {
    return this.#underWay > 0
  }

  /** Ends every live line at once, as when the network changes. */
  cutLines(): void {
    for (const cut of [...this.#cutters]) cut()
  }

  async fetch(url: string, init: RequestInit, isAlive: () => boolean): Promise<Response> {
    const request = new Request(url, init)
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
    const message: Message = { method: request.method, url, headers: request.headers, body }
    this.#show(message)
    return new Promise<Response>((resolve, reject) => {
      const fail = (): void => reject(new TypeError('fetch failed'))
      init.signal?.addEventListener('abort', fail)
      const answer = (response: Response): void => {
        if (isAlive()) resolve(response)
      }
      this.#send(message, { answer, fail, signal: init.signal ?? undefined, isAlive })
    })
  }

  openSocket(isAlive: () => boolean): WebSocketLike {
    const { scheduler, chance, tally, trace, host, onBytes } = this.#parts
    const isMishap = (fault: Fault): boolean => {
      const isSo = chance.percent(this.weather.framePercent)
      if (isSo) this.#note(fault, 'a live frame')
      return isSo
    }
    return openLine({
      host,
      isAlive,
      isMishap,
      who: this.#who,
      trace,
      tally,
      onBytes,
      after: (run) => scheduler.after(this.#latency(), run),
      afterMs: (delayMs, run) => scheduler.after(delayMs, run),
      partition: () => this.weather.partition,
      cutters: this.#cutters,
    })
  }

  #show(message: Message): void {
    const { trace, onBytes } = this.#parts
    const path = new URL(message.url).pathname
    trace.note(
      this.#who,
      `→ ${message.method} ${path} ${message.body?.length ?? 0} B`,
      message.body,
    )
    const headers = [...message.headers].map((pair) => pair.join(': ')).join('\n')
    onBytes(new TextEncoder().encode(`${message.url}\n${headers}`))
    if (message.body !== undefined) onBytes(message.body)
  }

  #send(message: Message, call: Call): void {
    const { chance, scheduler } = this.#parts
    const { weather } = this
    const { partition } = weather
    if (partition === 'refused' || chance.percent(weather.refusalPercent)) {
      this.#note(partition === 'refused' ? 'partition, refused' : 'request refused', '→ refused')
      scheduler.after(this.#latency(), call.fail)
      return
    }
    if (partition === 'silent' || chance.percent(weather.lossPercent)) {
      this.#note(partition === 'silent' ? 'partition, silent' : 'request lost', '→ lost')
      return
    }
    const isLate = chance.percent(weather.latePercent)
    if (isLate) this.#note('request late', '→ will be late')
    this.#carry(message, call, isLate ? chance.below(LATE_MS) : this.#latency())
    if (chance.percent(weather.duplicatePercent)) {
      this.#note('request duplicated', '→ will come twice')
      const deaf: Call = { ...call, answer: () => undefined, fail: () => undefined }
      this.#carry(message, deaf, chance.below(chance.oneIn(3) ? LATE_MS : 2_000))
    }
  }

  #carry(message: Message, call: Call, delayMs: number): void {
    const { scheduler, host } = this.#parts
    const number = this.#sent++
    this.#underWay++
    scheduler.after(delayMs, () => {
      this.#underWay--
      if (number < this.#arrivedUpTo) this.#note('request overtaken', '→ was overtaken')
      this.#arrivedUpTo = Math.max(number, this.#arrivedUpTo)
      if (new URL(message.url).pathname === '/v1/changes') this.onPull()
      void host.take(message, call.signal).then((response) => this.#answer(response, message, call))
    })
  }

  async #answer(response: Response | 'reset', message: Message, call: Call): Promise<void> {
    const { scheduler, chance, trace } = this.#parts
    const { weather } = this
    const path = new URL(message.url).pathname
    if (response === 'reset' || weather.partition === 'refused') {
      this.#deliver(call.fail)
      return
    }
    const isLost = chance.percent(weather.lossPercent)
    if (isLost) this.#note('answer lost', `← ${path} lost`)
    if (isLost || weather.partition === 'silent') {
      await response.body?.cancel().catch(() => undefined)
      return
    }
    if (chance.percent(weather.latePercent)) {
      this.#note('answer late', `← ${path} will be late`)
      await scheduler.sleep(chance.below(LATE_MS))
    }
    const cutAfter = chance.percent(weather.cutPercent) ? chance.below(4_000) : undefined
    const body = this.#bodyOf(response, call, cutAfter)
    this.#deliver(() => {
      trace.note(this.#who, `← ${response.status} ${path}`)
      call.answer(new Response(body, { status: response.status, headers: response.headers }))
    })
  }

  #deliver(run: () => void): void {
    this.#parts.scheduler.after(this.#latency(), run)
  }

  /** The body as it comes, a chunk after the other; cut after some bytes, if it is to be. */
  #bodyOf(
    response: Response,
    { signal }: Call,
    cutAfter: number | undefined,
  ): ReadableStream<Uint8Array> | null {
    const { scheduler, chance, onBytes, trace } = this.#parts
    const reader = response.body?.getReader()
    if (reader === undefined) return null
    let left = cutAfter ?? Number.POSITIVE_INFINITY
    let isOver = false
    const end = (): void => {
      isOver = true
      void reader.cancel().catch(() => undefined)
    }
    const pull = async (controller: ReadableStreamDefaultController): Promise<void> => {
      // Nothing more comes, until the device's own patience ends it.
      if (this.weather.partition === 'silent') return new Promise(() => undefined)
      const isCut = left <= 0
      const chunk = isCut ? undefined : await reader.read().catch(() => undefined)
      if (isOver) return
      if (chunk === undefined || this.weather.partition === 'refused') {
        if (isCut) this.#note('answer cut', '← the answer was cut')
        end()
        controller.error(new Error('cut'))
      } else if (chunk.done) {
        isOver = true
        controller.close()
      } else {
        onBytes(chunk.value)
        trace.note(this.#who, `← ${chunk.value.length} B`, chunk.value)
        controller.enqueue(chunk.value.subarray(0, left))
        left -= chunk.value.length
        if (chance.oneIn(3)) await scheduler.sleep(chance.below(50))
      }
    }
    const start = (controller: ReadableStreamDefaultController): void =>
      signal?.addEventListener('abort', () => {
        if (isOver) return
        end()
        controller.error(new Error('aborted'))
      })
    return new ReadableStream<Uint8Array>({ start, pull, cancel: end }, { highWaterMark: 0 })
  }

  #latency(): number {
    return 1 + this.#parts.chance.below(this.weather.latencyMs)
  }

  #note(fault: Fault, what: string): void {
    this.#parts.tally.count(fault)
    this.#parts.trace.note(this.#who, `${what} [${fault}]`)
  }
}

type Call = {
  readonly answer: (response: Response) => void
  readonly fail: () => void
  readonly signal: AbortSignal | undefined
  readonly isAlive: () => boolean
}
