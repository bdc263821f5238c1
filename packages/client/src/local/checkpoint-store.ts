/**
 * Checkpoint store: what this device has signed, and the newest that it has seen of each other one.
 *
 *   m checkpoint-own             [greatest number used, the last that the remote took | null]
 *   m checkpoint-expected        one that was given by hand, and must link
 *   m checkpoint.<member id>     [state, first seen, is missed, newest, newest that linked | null]
 *
 * A few small values that are read when they are needed; nothing of them is in memory. What the
 * disk has spoiled counts as never seen: the remote serves it again.
 */
import {
  type Checkpoint,
  decodeCbor,
  encodeCbor,
  equalBytes,
  formatHex,
  type MemberId,
  parseCheckpoint,
} from '@blindcopy/protocol'
import { metaKey, type Store, type StoreOp } from '@blindcopy/secondary'
import type { LocalState } from './local-state.ts'

export type HeardState =
  /** Further than the log that was served; judged once the log has come there. */
  | 'ahead'
  /** The log that is applied here contains it. */
  | 'linked'
  /** Further than the log's head: the remote has less than it once had. */
  | 'void'
  /** The log that is served does not contain it, though the remote serves it. */
  | 'parted'
  /** One history, and another set of records. */
  | 'differs'
  /** The person let sync go on all the same. */
  | 'settled'

/** The newest checkpoint of a device. */
export type Heard = {
  readonly state: HeardState
  readonly checkpoint: Checkpoint
  /** When it was first seen here. */
  readonly seenMs: number
  /** The remote no longer serves it, which was told. */
  readonly isMissed: boolean
  /** The newest that linked, under whatever SyncId. */
  readonly linked: Checkpoint | null
}

export type OwnCheckpoint = {
  /** The greatest number that was used. */
  readonly number: number
  /** The last that the remote took. */
  readonly checkpoint: Checkpoint | null
}

const STATES: readonly HeardState[] = ['ahead', 'linked', 'void', 'parted', 'differs', 'settled']
const OWN = metaKey('checkpoint-own')
const EXPECTED = metaKey('checkpoint-expected')
const SETTLING = metaKey('checkpoint-settling')
const OWN_NONE: OwnCheckpoint = { number: 0, checkpoint: null }

const heardKey = (memberId: MemberId): Uint8Array => metaKey(`checkpoint.${formatHex(memberId)}`)
/** "/" is the character after ".". */
const HEARD_RANGE = { gte: metaKey('checkpoint.'), lt: metaKey('checkpoint/') }

export function putHeard({ state, checkpoint, seenMs, isMissed, linked }: Heard): StoreOp {
  const value = encodeCbor([
    STATES.indexOf(state),
    seenMs,
    isMissed,
    checkpoint.bytes,
    linked?.bytes ?? null,
  ])
  return { type: 'put', key: heardKey(checkpoint.memberId), value }
}

/** By the hex of the member id; of members that are no longer active too. */
export async function readHeard(store: Store): Promise<Map<string, Heard>> {
  const heardById = new Map<string, Heard>()
  for await (const page of store.pages(HEARD_RANGE)) {
    for (const [, value] of page) {
      const heard = readable(value, parseHeard)
      if (heard !== undefined) heardById.set(formatHex(heard.checkpoint.memberId), heard)
    }
  }
  return heardById
}

function parseHeard(value: unknown): Heard | undefined {
  if (!Array.isArray(value)) return undefined
  const [stateIndex, seenMs, isMissed, bytes, linked] = value
  const state = STATES[stateIndex as number]
  if (state === undefined || typeof seenMs !== 'number') return undefined
  return {
    state,
    seenMs,
    isMissed: isMissed === true,
    checkpoint: parseCheckpoint(bytes as Uint8Array),
    linked: linked === null ? null : parseCheckpoint(linked as Uint8Array),
  }
}

export const putOwn = ({ number, checkpoint }: OwnCheckpoint): StoreOp => ({
  type: 'put',
  key: OWN,
  value: encodeCbor([number, checkpoint?.bytes ?? null]),
})

export async function readOwn(store: Store): Promise<OwnCheckpoint> {
  const value = await store.get(OWN)
  if (value === undefined) return OWN_NONE
  return (
    readable(value, (parsed): OwnCheckpoint | undefined => {
      if (!Array.isArray(parsed) || typeof parsed[0] !== 'number') return undefined
      const bytes = parsed[1] as Uint8Array | null
      return { number: parsed[0], checkpoint: bytes === null ? null : parseCheckpoint(bytes) }
    }) ?? OWN_NONE
  )
}

export const putExpected = (checkpoint: Checkpoint): StoreOp => ({
  type: 'put',
  key: EXPECTED,
  value: checkpoint.bytes,
})
export const deleteExpected = (): StoreOp => ({ type: 'delete', key: EXPECTED })

export async function readExpected(store: Store): Promise<Checkpoint | undefined> {
  const value = await store.get(EXPECTED)
  if (value === undefined) return undefined
  try {
    return parseCheckpoint(value)
  } catch {
    return undefined
  }
}

/** While it is set, what would stop sync is settled instead: the person has asked for it. */
export function markSettling(state: LocalState, isOn: boolean): Promise<void> {
  const op: StoreOp = isOn
    ? { type: 'put', key: SETTLING, value: Uint8Array.of(1) }
    : { type: 'delete', key: SETTLING }
  return state.run(() => state.writeOps([op]))
}

export const isSettling = async (store: Store): Promise<boolean> =>
  (await store.get(SETTLING)) !== undefined

export const sameCheckpoint = (a: Checkpoint | null | undefined, b: Checkpoint): boolean =>
  a !== null && a !== undefined && equalBytes(a.bytes, b.bytes)

function readable<T>(value: Uint8Array, parse: (value: unknown) => T | undefined): T | undefined {
  try {
    return parse(decodeCbor(value))
  } catch {
    return undefined
  }
}
