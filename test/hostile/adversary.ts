/**
 * Adversary: a remote that speaks the real protocol and lies. It sits between a device and a real
 * remote and rewrites answers and live frames; where it changes what the chain covers it computes
 * the chain anew, as a hostile remote would: the chain is no signature.
 */
import { codeOf, type Vault } from '@blindcopy/client'
import {
  ChangesFrame,
  chainNext,
  concat,
  type Envelope,
  encodeFrame,
  encodeMessage,
  envelopePair,
  FrameReader,
  formatCursor,
  type Hash,
  HEADER_CURSOR,
  keychainDigest,
  LIVE_FRAME_BYTES_MAX,
  LiveFrame,
  type LogPosition,
  PAIR_BYTES,
  parseKeychainEntry,
  parseMessage,
  RecordsAnswer,
  transactionDigest,
} from '@blindcopy/protocol'
import { expect } from 'vitest'
import {
  type Carry,
  type Device,
  makeWorld,
  refusal,
  turn,
  type World,
} from '../simulation/world.ts'

export type Frame = ChangesFrame
export type TransactionFrame = Extract<Frame, [0, ...unknown[]]>
export type KeychainFrame = Extract<Frame, [1, ...unknown[]]>
export type EndFrame = Extract<Frame, [2, ...unknown[]]>

/** One vault with two devices in step, the second behind an adversary. */
export type Pair = {
  readonly world: World
  readonly writer: Device
  readonly writerVault: Vault
  readonly victim: Device
  readonly victimVault: Vault
  readonly recoveryPhrase: string
}

export async function makePair(seed: number, notes: Record<string, object> = {}): Promise<Pair> {
  const world = makeWorld(seed)
  const writer = world.makeDevice()
  const victim = world.makeDevice()
  const { vault: writerVault, recoveryPhrase } = await writer.create({ deviceName: 'writer' })
  await writerVault.sync.once()
  const victimVault = await victim.restore(recoveryPhrase, { deviceName: 'victim' })
  for (const [key, fields] of Object.entries(notes)) await put(writerVault, key, fields)
  await writerVault.sync.once()
  await victimVault.sync.once()
  await writerVault.sync.once()
  return { world, writer, writerVault, victim, victimVault, recoveryPhrase }
}

export const put = (vault: Vault, key: string, fields: object): Promise<void> =>
  vault.collection('notes').put(key, fields as Record<string, string>)

export const get = (vault: Vault, key: string): Promise<unknown> =>
  vault.collection('notes').get(key)

/** Answers of one route are made by `rewrite`; all others are honest. */
export function rewriteRoute(
  device: Device,
  route: string,
  rewrite: (request: Request, carry: Carry) => Promise<Response>,
): void {
  const before = device.network.fetch
  device.network.fetch = (request, carry) =>
    new URL(request.url).pathname === route
      ? rewrite(request, (passed) => before(passed, carry))
      : before(request, carry)
}

export function behaveHonestly(device: Device): void {
  device.network.fetch = (request, carry) => carry(request)
  device.network.onFrame = (frame, deliver) => deliver(frame)
}

export const cbor = (body: Uint8Array): Response =>
  new Response(body as Uint8Array<ArrayBuffer>, { headers: { 'content-type': 'application/cbor' } })

/** What the remote would serve, frame by frame, and what is served in its place. */
export function rewriteChanges(device: Device, rewrite: (frames: Frame[]) => Frame[]): void {
  rewriteRoute(device, '/v1/changes', async (request, carry) => {
    const response = await carry(request)
    if (!response.ok) return response
    const frames = await readChanges(response)
    return cbor(concat(...rewrite(frames).map(encodeChanges)))
  })
}

export async function readChanges(response: Response): Promise<Frame[]> {
  const reader = new FrameReader(LIVE_FRAME_BYTES_MAX)
  return reader
    .push(new Uint8Array(await response.arrayBuffer()))
    .map((item) => parseMessage(ChangesFrame, item))
}

export const encodeChanges = (frame: Frame): Uint8Array =>
  encodeFrame(encodeMessage(ChangesFrame, frame))

export function rewriteRecords(
  device: Device,
  rewrite: (envelopes: (Uint8Array | null)[]) => (Uint8Array | null)[],
): void {
  rewriteRoute(device, '/v1/records', async (request, carry) => {
    const response = await carry(request)
    if (!response.ok) return response
    const body = new Uint8Array(await response.arrayBuffer())
    const { envelopes } = parseMessage(RecordsAnswer, body)
    return cbor(encodeMessage(RecordsAnswer, { envelopes: rewrite(envelopes) }))
  })
}

export function rewriteLive(device: Device, rewrite: (frame: LiveFrame) => LiveFrame[]): void {
  device.network.onFrame = (bytes, deliver) => {
    for (const frame of rewrite(parseMessage(LiveFrame, bytes))) {
      deliver(encodeMessage(LiveFrame, frame))
    }
  }
}

/** Numbers and chains the frames anew after `position`, so that they fit whatever they now hold. */
export function relink(frames: readonly Frame[], position: LogPosition): Frame[] {
  let { seq, chain } = position
  return frames.map((frame): Frame => {
    if (frame[0] === 2) return [2, seq, chain, frame[3], frame[4]]
    seq++
    if (frame[0] === 1) {
      chain = chainNext(chain, keychainDigest(frame[3].map((e) => parseKeychainEntry(e).hash)))
      return [1, seq, chain, frame[3]]
    }
    const pairs: Uint8Array[] = frame[4].map((envelope) => envelopePair(envelope as Envelope))
    for (let at = 0; at < frame[5].length; at += PAIR_BYTES) {
      pairs.push(frame[5].subarray(at, at + PAIR_BYTES))
    }
    chain = chainNext(chain, transactionDigest(pairs))
    return [0, seq, chain, frame[3], frame[4], frame[5]]
  })
}

/** Where the device stands, as its requests say. */
export function positionOf(request: Request): LogPosition {
  const [seq = '', chain = ''] = (request.headers.get(HEADER_CURSOR) ?? '').split('.')
  return {
    seq: Number(seq),
    chain: new Uint8Array(Buffer.from(chain, 'base64url')) as never as Hash,
  }
}

/**
 * As `rewriteChanges`, with seqs and chains that fit. What the device says afterwards of where it
 * stands is translated, so that the honest remote behind plays along.
 */
export function rewriteHistory(device: Device, rewrite: (frames: Frame[]) => Frame[]): void {
  const honestByLie = new Map<string, string>()
  const before = device.network.fetch
  device.network.fetch = async (request, carry) => {
    const stated = request.headers.get(HEADER_CURSOR) ?? ''
    const honest = honestByLie.get(stated)
    const passed =
      honest === undefined ? request : withHeader(request.clone() as Request, HEADER_CURSOR, honest)
    const response = await before(passed, carry)
    if (new URL(request.url).pathname !== '/v1/changes' || !response.ok) return response
    const frames = await readChanges(response)
    const lies = relink(rewrite(frames), positionOf(request))
    const [end, lie] = [frames[frames.length - 1], lies[lies.length - 1]]
    if (end !== undefined && lie !== undefined) honestByLie.set(cursorOf(lie), cursorOf(end))
    return cbor(concat(...lies.map(encodeChanges)))
  }
}

const cursorOf = (frame: Frame): string => formatCursor({ seq: frame[1], chain: frame[2] })

function withHeader(request: Request, name: string, value: string): Request {
  const headers = new Headers(request.headers)
  headers.set(name, value)
  return new Request(request, { headers })
}

export const transactionsOf = (frames: readonly Frame[]): TransactionFrame[] =>
  frames.filter((frame): frame is TransactionFrame => frame[0] === 0)

export function flip(bytes: Uint8Array, offset: number): Uint8Array {
  const flipped = bytes.slice()
  flipped[offset] = (flipped[offset] as number) ^ (1 << (offset % 8))
  return flipped
}

/** Maps the envelopes of every transaction. */
export function mapEnvelopes(
  frames: readonly Frame[],
  map: (envelope: Uint8Array) => Uint8Array,
): Frame[] {
  return frames.map((frame): Frame => {
    if (frame[0] !== 0) return frame
    return [0, frame[1], frame[2], frame[3], frame[4].map(map), frame[5]]
  })
}

/** Exchanges once; a refusal must have a code, and is returned. */
export async function exchange(vault: Vault): Promise<string | undefined> {
  const error = await vault.sync.once().then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (error === undefined) return undefined
  const code = codeOf(error)
  expect(code, `an error without a code: ${error}`).toBeDefined()
  return code === 'sync-stopped' ? vault.sync.status.problem?.code : code
}

/** Lets the event loop turn until something holds; a bound, not a wait. */
export async function turnUntil(isSo: () => boolean, turnsMax = 5_000): Promise<void> {
  for (let turns = 0; turns < turnsMax && !isSo(); turns++) await turn()
  expect(isSo(), 'it never came to that').toBe(true)
}

export { refusal }
