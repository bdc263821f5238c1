/** Live fixture: a live socket made up here, and the hello of a device. Only tests import it. */
import {
  encodeCbor,
  type LiveFrame,
  LiveFrame as LiveFrameSchema,
  PROTOCOL_VERSION,
  parseMessage,
} from '@blindcopy/protocol'
import type { LiveConnection, LiveSocket } from './live.ts'
import type { Bench, Device } from './remote.fixture.ts'

export class FakeSocket implements LiveSocket {
  readonly frames: LiveFrame[] = []
  closed: { code: number; reason: string } | undefined
  bufferedBytes = 0
  /** Called before a frame is kept. */
  onSend: () => void = () => {}
  readonly connection: LiveConnection

  constructor(bench: Bench) {
    this.connection = bench.remote.live.open(this)
  }

  send(frame: Uint8Array): void {
    if (this.closed !== undefined) throw new Error('sent after it was closed')
    this.onSend()
    this.frames.push(parseMessage(LiveFrameSchema, frame))
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason }
    this.connection.closed()
  }

  terminate(): void {
    this.close(1006, '')
  }

  take(): LiveFrame[] {
    return this.frames.splice(0)
  }
}

export const helloOf = (device: Device, changes: Record<string, unknown> = {}): Uint8Array =>
  encodeCbor({
    protocol: PROTOCOL_VERSION,
    token: device.token,
    syncId: device.syncId,
    cursor: [device.cursor.seq, device.cursor.chain],
    ...changes,
  })

export async function joinSocket(device: Device): Promise<FakeSocket> {
  const socket = new FakeSocket(device.bench)
  await socket.connection.receive(helloOf(device))
  return socket
}
