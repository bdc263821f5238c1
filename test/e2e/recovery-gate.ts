/**
 * Gate: stands on loopback between a device and its remote, counts what passes, and can hold or
 * cut any request: before the remote has seen it, or after it has answered and before the device
 * knows. It understands HTTP as far as it must to know where a request ends, and live sockets only
 * as bytes.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'

/** `asked`: the remote has not seen it. `answered`: the device has not. */
export type Moment = 'asked' | 'answered'

export type Passing = {
  readonly moment: Moment
  /** Of all requests since `forget`, from 1. */
  readonly number: number
  /** Method and path. */
  readonly route: string
}

/** What becomes of it: `cut` closes the connection, and whoever waits sees a failed network. */
export type Toll = (passing: Passing) => Promise<'pass' | 'cut'>

export type Gate = {
  readonly url: string
  /** Where requests go from now on. */
  targetPort: number
  toll: Toll
  /** Since `forget`, both ways, without the heads of HTTP. */
  readonly bytes: { sent: number; received: number }
  readonly routes: string[]
  /** The bodies of pushes, all of them. */
  readonly pushes: Uint8Array[]
  forget(): void
}

const PUSH = 'POST /v1/push'

/** Everything passes. */
export const free: Toll = async () => 'pass'

export async function startGate(): Promise<Gate> {
  const sockets = new Set<Socket>()
  const server = createServer((incoming, outgoing) => {
    void pass(gate, incoming, outgoing).catch(() => outgoing.destroy())
  })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    tunnel(gate, incoming, { socket: socket as Socket, head })
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const gate: Gate = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targetPort: 0,
    toll: free,
    bytes: { sent: 0, received: 0 },
    routes: [],
    pushes: [],
    forget() {
      gate.bytes.sent = 0
      gate.bytes.received = 0
      gate.routes.length = 0
    },
  }
  return gate
}

async function pass(
  gate: Gate,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const route = `${incoming.method} ${(incoming.url ?? '').replace(/\?.*/, '')}`
  const number = gate.routes.push(route)
  const body = await bodyOf(incoming)
  gate.bytes.sent += body.length
  if (route === PUSH) gate.pushes.push(new Uint8Array(body))
  if ((await gate.toll({ moment: 'asked', number, route })) === 'cut') {
    outgoing.destroy()
    return
  }
  const { method, url: path, headers } = incoming
  const onward = request({ host: '127.0.0.1', port: gate.targetPort, method, path, headers })
  onward.end(body)
  const [answer] = (await once(onward, 'response')) as [IncomingMessage]
  const answered = await bodyOf(answer)
  gate.bytes.received += answered.length
  if ((await gate.toll({ moment: 'answered', number, route })) === 'cut') {
    outgoing.destroy()
    return
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  outgoing.end(answered)
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function tunnel(
  gate: Gate,
  { url, rawHeaders }: IncomingMessage,
  { socket, head }: { socket: Socket; head: Buffer },
): void {
  const onward = connect(gate.targetPort, '127.0.0.1', () => {
    const lines = [`GET ${url} HTTP/1.1`]
    for (let i = 0; i < rawHeaders.length; i += 2) {
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
    }
    onward.write(`${lines.join('\r\n')}\r\n\r\n`)
    onward.write(head)
    socket.pipe(onward)
    onward.pipe(socket)
  })
  socket.on('data', (chunk) => {
    gate.bytes.sent += chunk.length
  })
  onward.on('data', (chunk) => {
    gate.bytes.received += chunk.length
  })
  for (const [one, other] of [
    [socket, onward],
    [onward, socket],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
}
