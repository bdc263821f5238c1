/**
 * The WebSocket of Node, which has none of its own before version 22: the only import of `ws`.
 */
import { LIVE_FRAME_BYTES_MAX } from '@blindcopy/protocol'
import { WebSocket } from 'ws'
import type { WebSocketLike } from '../transport/http-transport.ts'

export function openNodeSocket(url: string): WebSocketLike {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: LIVE_FRAME_BYTES_MAX,
  })
  return socket as unknown as WebSocketLike
}
