/**
 * Honest device: a vault beside the attacker's. It writes, reads everything back and listens on a
 * live socket, and whatever else happens on that remote must not show here.
 */
import {
  type ChangesFrame,
  chainNext,
  chainStart,
  type Envelope,
  encodeCbor,
  envelopePair,
  envelopeRecordId,
  equalBytes,
  Fingerprint,
  formatHex,
  keychainDigest,
  LiveFrame,
  PROTOCOL_VERSION,
  parseKeychainEntry,
  parseMessage,
  SESSION_TOKEN_MS,
  transactionDigest,
} from '@blindcopy/protocol'
import {
  type Bench,
  Device,
  makeChain,
  makeEnvelope,
  record,
} from '../../packages/remote/src/remote.fixture.ts'
import { must } from './judge.ts'
import { openRawSocket, type RawSocket } from './socket.ts'
import { LATE_MS } from './wire.ts'

const RECORDS = 20

export class HonestDevice {
  readonly device: Device
  readonly #port: number
  /** Each record's newest envelope, by record id. */
  readonly #written = new Map<string, string>()
  #socket: RawSocket | undefined
  #loggedInMs = 0
  #seq = 0
  #writes = 0

  private constructor(device: Device, port: number) {
    this.device = device
    this.#port = port
  }

  static async open(bench: Bench, port: number): Promise<HonestDevice> {
    const { chain, device: signer } = makeChain()
    const device = new Device(bench, chain, signer)
    must((await device.create()).status === 200, 'the honest vault is made')
    const honest = new HonestDevice(device, port)
    await honest.#logIn()
    return honest
  }

  get vaultId(): string {
    return formatHex(this.device.chain.vaultId)
  }

  /** Pushes one record, which must be told live, and reads the whole vault back. */
  async work(): Promise<void> {
    const { device } = this
    if (device.bench.clock.ms - this.#loggedInMs > SESSION_TOKEN_MS / 2) await this.#logIn()
    const id = device.stamp()
    const recordId = record(1 + (this.#writes++ % RECORDS))
    const envelope = makeEnvelope({ recordId, timestamp: id })
    const [verdict] = await device.push([id, [[envelope]]])
    must(verdict?.type === 'applied', `an honest push is ${JSON.stringify(verdict)}`)
    must(verdict.seq === this.#seq + 1, `an honest push has seq ${verdict.seq}, not the next`)
    this.#seq = verdict.seq
    device.cursor = { seq: verdict.seq, chain: verdict.chain }
    this.#written.set(formatHex(recordId), formatHex(envelope))
    const [kind, seq] = await this.#nextFrame()
    must(kind === 0 && seq === this.#seq, `the live socket tells frame ${kind} of seq ${seq}`)
    const found = checkLog(device, await device.pull('?since=0'))
    must(found.size === this.#written.size, `${found.size} records of ${this.#written.size}`)
    for (const [name, bytes] of this.#written) {
      must(found.get(name) === bytes, 'an honest record is not as it was written')
    }
  }

  close(): void {
    this.#socket?.destroy()
  }

  async #logIn(): Promise<void> {
    const { device } = this
    const before = device.syncId
    await device.join()
    const isFirst = this.#seq === 0
    must(isFirst || equalBytes(before, device.syncId), 'the honest vault has another SyncId')
    must(isFirst || device.cursor.seq === this.#seq, 'the honest log has another length')
    this.#seq = device.cursor.seq
    this.#loggedInMs = device.bench.clock.ms
    this.close()
    this.#socket = await openRawSocket(this.#port, '127.0.0.2')
    this.#socket.sendFrame({ opcode: 2, payload: helloOf(device) })
    const [kind] = await this.#nextFrame()
    must(kind === 4, `an honest hello is answered by frame ${kind}`)
  }

  /** Heartbeats aside. */
  async #nextFrame(): Promise<LiveFrame> {
    for (;;) {
      const bytes = await (this.#socket as RawSocket).next(LATE_MS)
      const frame = parseMessage(LiveFrame, bytes)
      if (frame[0] !== 3) return frame
    }
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

/**
 * Reckons a whole log again: each chain is that of what stands in it, and the count and fingerprint
 * at its end are those of its live set. Gives the live envelopes by record.
 */
export function checkLog(
  { chain }: Pick<Device, 'chain'>,
  frames: readonly ChangesFrame[],
): Map<string, string> {
  let head = chainStart(chain.vaultId)
  let seq = 0
  const live = new Map<string, Uint8Array>()
  for (const frame of frames) {
    if (frame[0] === 2) {
      must(frame[1] === seq && equalBytes(frame[2], head), 'a log ends elsewhere than it says')
      const sum = new Fingerprint()
      for (const envelope of live.values()) sum.add(envelopePair(envelope as Envelope))
      must(frame[3] === live.size, `the count is ${frame[3]}, of ${live.size} live records`)
      must(equalBytes(frame[4], sum.toBytes()), 'the fingerprint is not that of the live set')
      continue
    }
    seq++
    must(frame[1] === seq, `a log skips from ${seq - 1} to ${frame[1]}`)
    const digest =
      frame[0] === 1
        ? keychainDigest(frame[3].map((entry) => parseKeychainEntry(entry).hash))
        : transactionDigest(pairsOf(frame))
    head = chainNext(head, digest)
    must(equalBytes(head, frame[2]), `the chain at seq ${seq} is not that of what stands there`)
    if (frame[0] === 1) continue
    for (const envelope of frame[4]) {
      live.set(formatHex(envelopeRecordId(envelope as Envelope)), envelope)
    }
  }
  return new Map([...live].map(([name, envelope]) => [name, formatHex(envelope)]))
}

function pairsOf(frame: Extract<ChangesFrame, { 0: 0 }>): Uint8Array[] {
  const pairs = frame[4].map((envelope) => envelopePair(envelope as Envelope))
  for (let at = 0; at < frame[5].length; at += 32) pairs.push(frame[5].subarray(at, at + 32))
  return pairs
}
