/**
 * Pulling long stretches of a log: what is gathered stays bounded, and so does the work on it.
 */
import {
  type ChangesFrame,
  chainNext,
  chainStart,
  concat,
  encodeBoundHeader,
  encodePair,
  encodeTimestamp,
  type Hash,
  type LogPosition,
  type MemberId,
  type RecordId,
  type SyncId,
  transactionDigest,
  type VaultId,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { followLog, type LogStep } from '../local/arrival.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { type PullContext, pullChanges } from './pull.ts'

const vaultId = new Uint8Array(32).fill(7) as VaultId
const syncId = new Uint8Array(16).fill(9) as SyncId
const author = { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) }
const timestampOf = (n: number) => encodeTimestamp({ milliseconds: n + 1, counter: 0 }, author)
const recordIdOf = (n: number) => concat(new Uint8Array(12), Uint8Array.of(0, n >> 16, n >> 8, n))

const MISSING = 0xff_ff_ff

/** A transaction of one record, served or superseded. */
function frameOf(chain: Hash, seq: number, isServed: boolean): ChangesFrame {
  const recordId = recordIdOf(isServed ? seq : MISSING) as RecordId
  const timestamp = timestampOf(seq)
  const pair = encodePair(recordId, timestamp)
  const next = chainNext(chain, transactionDigest([pair]))
  const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
  const envelope = concat(header, new Uint8Array(296))
  const [envelopes, others] = isServed ? [[envelope], new Uint8Array(0)] : [[], pair]
  return [0, seq, next, timestamp, envelopes, others]
}

/** Pulls a log of which `isServed` says what is there still; no version that is missing is held. */
async function pull(length: number, isServed: (seq: number) => boolean) {
  let position: LogPosition = { seq: 0, chain: chainStart(vaultId) }
  const seen = { shown: 0, stepsMax: 0, stepsTotal: 0 }
  const local = {
    initialSyncComplete: true,
    get cursor() {
      return { syncId, position }
    },
    showParked: async () => {
      seen.shown++
      return 0
    },
    applyLog: async (steps: readonly LogStep[]) => {
      position = followLog(position, steps)
      seen.stepsMax = Math.max(seen.stepsMax, steps.length)
      seen.stepsTotal += steps.length
    },
  } as unknown as LocalSecondary
  async function* changes(): AsyncGenerator<ChangesFrame> {
    let { chain } = position
    for (let seq = 1; seq <= length; seq++) {
      const frame = frameOf(chain, seq, isServed(seq))
      chain = frame[2]
      yield frame
    }
    yield [2, length, chain, length, new Uint8Array(16) as ChangesFrame[4] & Uint8Array] as never
  }
  const context = {
    local,
    transport: { changes },
    data: () => ({ token: 't', syncId, position }),
    onProgress: () => undefined,
  } as unknown as PullContext
  await pullChanges(context)
  return seen
}

describe('pullChanges', () => {
  it('shows what waited to be whole once, at the head', async () => {
    const { shown, stepsTotal } = await pull(10_000, (seq) => seq !== 1)
    expect(stepsTotal).toBe(10_000)
    expect(shown).toBe(1)
  })

  it('holds a bounded number of steps, also of versions that are long superseded', async () => {
    const { stepsMax, stepsTotal } = await pull(60_000, () => false)
    expect(stepsTotal).toBe(60_000)
    expect(stepsMax).toBeLessThan(40_000)
  })
})
