/**
 * UUID version 7 (RFC 9562, section 5.7): keys that sort by the time they were made.
 */
import { formatHex } from '@blindcopy/protocol'

export function uuidV7(nowMs: number, random: (size: number) => Uint8Array): string {
  const bytes = new Uint8Array(16)
  bytes.set(random(10), 6)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(nowMs / 0x1_0000))
  view.setUint16(4, nowMs % 0x1_0000)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  const hex = formatHex(bytes)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
