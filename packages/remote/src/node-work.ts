/**
 * Work on Node: the requests that are under way, so that a remote that goes down can wait for them,
 * and that none lasts for ever.
 *
 * Many requests of one connection may be under way, and when it breaks, Node tells only the answer
 * whose turn it is. The others are told here: what was read for them would be held for ever.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type Work = {
  /** Cuts off whoever has not fetched an answer in time. Called about once a second. */
  beat(): void
  /** Requests that begin from now on are not waited for; each ends its connection. */
  stopCounting(): void
  /** Resolves when nothing is under way, or after so long; with how many were left. */
  ended(msMax: number): Promise<number>
  readonly count: number
}

export type WorkOptions = {
  /** Monotonic. */
  readonly uptimeMs: () => number
  /** From the headers of a request to the end of its answer. */
  readonly msMax: number
}

/**
 * That one connection may have under way. Clients and proxies wait for an answer before they ask
 * again; whoever does not can have thousands of requests begun with one packet.
 */
export const REQUESTS_PER_CONNECTION_MAX = 32

export function countWork(server: Server, { uptimeMs, msMax }: WorkOptions): Work {
  const startMsByAnswer = new Map<ServerResponse, number>()
  const waiting = new Set<() => void>()
  let isStopping = false
  const answersBySocket = new WeakMap<Socket, Set<ServerResponse>>()
  const answersOf = (socket: Socket): Set<ServerResponse> => {
    const known = answersBySocket.get(socket)
    if (known !== undefined) return known
    const answers = new Set<ServerResponse>()
    answersBySocket.set(socket, answers)
    socket.once('close', () => {
      for (const answer of answers) answer.emit('close')
    })
    return answers
  }
  const begin = ({ socket }: IncomingMessage, answer: ServerResponse): void => {
    if (isStopping) answer.shouldKeepAlive = false
    else startMsByAnswer.set(answer, uptimeMs())
    const answers = answersOf(socket).add(answer)
    if (answers.size > REQUESTS_PER_CONNECTION_MAX) socket.destroy()
    answer.once('close', () => {
      answers.delete(answer)
      const wasCounted = startMsByAnswer.delete(answer)
      if (wasCounted && startMsByAnswer.size === 0) for (const resolve of waiting) resolve()
    })
  }
  // Before whoever answers it.
  server.prependListener('request', begin)
  return {
    beat() {
      const nowMs = uptimeMs()
      for (const [answer, startMs] of startMsByAnswer) {
        if (nowMs - startMs >= msMax) answer.socket?.destroy()
      }
    },
    stopCounting() {
      isStopping = true
      for (const answer of startMsByAnswer.keys()) answer.shouldKeepAlive = false
    },
    ended(waitMsMax) {
      if (startMsByAnswer.size === 0) return Promise.resolve(0)
      return new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(late)
          waiting.delete(done)
          resolve(startMsByAnswer.size)
        }
        const late = setTimeout(done, waitMsMax)
        waiting.add(done)
      })
    },
    get count() {
      return startMsByAnswer.size
    },
  }
}
