/**
 * Socket: a WebSocket of which every bit can be set: frames are written by hand, over the plain TCP
 * of `wire.ts`, and what comes back is taken apart and judged.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { LiveFrame, parseMessage, STATUS_BY_CODE } from '@blindcopy/protocol'
import { Finding, must } from './judge.ts'

export type FrameParts = {
  readonly opcode: number
  readonly payload: Uint8Array
  readonly isFinal?: boolean
  /** The three bits that no extension was agreed for. */
  readonly reserved?: number
  readonly isMasked?: boolean
  /** Said in place of the true length. */
  readonly length?: bigint
  /** The width of the length: 1, 2 or 8 bytes, whatever is shortest. */
  readonly width?: 0 | 2 | 8
}

/** RFC 6455, section 5.2. */
export function encodeWebSocketFrame(parts: FrameParts): Buffer {
  const { opcode, payload, isFinal = true, reserved = 0, isMasked = true } = parts
  const length = parts.length ?? BigInt(payload.length)
  const width = parts.width ?? (length < 126n ? 0 : length < 65_536n ? 2 : 8)
  const head = Buffer.alloc(2 + width)
  head[0] = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode
  head[1] = (isMasked ? 0x80 : 0) | (width === 0 ? Number(length & 0x7fn) : width === 2 ? 126 : 127)
  if (width === 2) head.writeUInt16BE(Number(length & 0xffffn), 2)
  if (width === 8) head.writeBigUInt64BE(length, 2)
  if (!isMasked) return Buffer.concat([head, payload])
  const mask = randomBytes(4)
  const masked = payload.map((byte, i) => byte ^ (mask[i % 4] as number))
  return Buffer.concat([head, mask, masked])
}

export const HANDSHAKE: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

export function encodeHandshake(
  headers: Readonly<Record<string, string>> = HANDSHAKE,
  path = '/v1/live',
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const text = [`GET ${path} HTTP/1.1`, 'Host: remote.example', ...lines, '', ''].join('\r\n')
  return Buffer.from(text, 'latin1')
}

export type Received = { readonly opcode: number; readonly payload: Buffer }

/** What a server sends: unmasked, final, in its shortest form. Throws for anything else. */
export function readFrames(bytes: Buffer): { frames: Received[]; rest: Buffer } {
  const frames: Received[] = []
  let rest = bytes
  while (rest.length >= 2) {
    const [first, second] = [rest[0] as number, rest[1] as number]
    must((first & 0x70) === 0 && second < 128, 'a frame of the remote is of no known form')
    const width = second < 126 ? 0 : second === 126 ? 2 : 8
    if (rest.length < 2 + width) break
    const length =
      width === 0 ? second : width === 2 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2))
    const end = 2 + width + length
    if (rest.length < end) break
    frames.push({ opcode: first & 15, payload: rest.subarray(2 + width, end) })
    rest = rest.subarray(end)
  }
  return { frames, rest }
}

/** RFC 6455, section 7.4: what may stand in a close; one that was sent comes back as it is. */
const isCloseCode = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code < 5000)

/**
 * All that came after the handshake: pongs, frames that follow the schema, at most one refusal, and
 * then nothing but a close with a code. Gives the code of the refusal.
 */
export function judgeFrames(frames: readonly Received[]): {
  readonly refusal: string | undefined
  readonly closeCode: number | undefined
  readonly kinds: readonly number[]
} {
  let refusal: string | undefined
  let closeCode: number | undefined
  const kinds: number[] = []
  for (const { opcode, payload } of frames) {
    must(closeCode === undefined, 'a frame comes after the close')
    if (opcode === 8) {
      closeCode = payload.length < 2 ? 1000 : payload.readUInt16BE(0)
      continue
    }
    if (opcode === 10 || opcode === 9) continue
    must(opcode === 2, `a frame of opcode ${opcode}`)
    must(refusal === undefined, 'a frame comes after a refusal')
    const frame = parseMessage(LiveFrame, new Uint8Array(payload))
    kinds.push(frame[0])
    if (frame[0] === 5) refusal = frame[1]
  }
  const isKnown = refusal === undefined || refusal in STATUS_BY_CODE
  must(isKnown && refusal !== 'internal', `a refusal of code ${refusal}`)
  must(closeCode === undefined || isCloseCode(closeCode), `closed with ${closeCode}`)
  return { refusal, closeCode, kinds }
}

export type RawSocket = {
  readonly socket: Socket
  sendFrame(parts: FrameParts): void
  /** The next binary message; pings are answered on the way. */
  next(msMax: number): Promise<Uint8Array>
  destroy(): void
}

/** One that shakes hands as it should and answers pings. */
export async function openRawSocket(port: number, from: string): Promise<RawSocket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from })
  const messages: Uint8Array[] = []
  let rest = Buffer.alloc(0)
  let isOpen = false
  let wake = (): void => {}
  let isOver = false
  socket.on('error', () => {})
  socket.on('close', () => {
    isOver = true
    wake()
  })
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    if (!isOpen) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      isOpen = true
      rest = rest.subarray(end + 4)
    }
    const read = readFrames(rest)
    rest = Buffer.from(read.rest)
    for (const { opcode, payload } of read.frames) {
      if (opcode === 2) messages.push(new Uint8Array(payload))
      if (opcode === 9) socket.write(encodeWebSocketFrame({ opcode: 10, payload }))
    }
    wake()
  })
  socket.write(encodeHandshake())
  return {
    socket,
    sendFrame: (parts) => void socket.write(encodeWebSocketFrame(parts)),
    async next(msMax) {
      const untilMs = Date.now() + msMax
      for (;;) {
        const message = messages.shift()
        if (message !== undefined) return message
        if (isOver || Date.now() > untilMs) {
          throw new Finding(isOver ? 'an honest live socket is closed' : 'nothing is told live')
        }
        await new Promise<void>((resolve) => {
          const late = setTimeout(resolve, msMax)
          wake = () => {
            clearTimeout(late)
            resolve()
          }
        })
      }
    },
    destroy: () => void socket.destroy(),
  }
}
