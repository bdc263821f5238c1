/**
 * Checkpoint link: whether a place in the log leads to the place where this device stands.
 *
 *   chain of the checkpoint ── digest ──▶ … ── digest ──▶ the cursor's chain, or another
 *
 * The digests are made of the pairs that the remote states, which need no keys and no envelopes. It
 * cannot make up pairs that lead to a chain that is given: the hash would have to have a collision.
 */
import {
  type ChangesFrame,
  chainNext,
  equalBytes,
  type Hash,
  keychainDigest,
  type LogPosition,
  parseKeychainEntry,
  transactionDigest,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { pairsOf } from '../local/arrival.ts'
import type { DataRequest, Transport } from './transport.ts'

/** Chains by seq that are known to lead to the cursor. */
export type KnownChains = Map<number, Hash>

type Step = Exclude<ChangesFrame, readonly [2, ...unknown[]]>

function digestOf(frame: Step): Hash {
  if (frame[0] === 1) return keychainDigest(frame[3].map((bytes) => parseKeychainEntry(bytes).hash))
  const [, , , , envelopes, others] = frame
  return transactionDigest(pairsOf(envelopes, others))
}

/**
 * Walks from a place to the device's own. When it leads there, the chains on the way are added to
 * `known` where `wanted` names them. Throws `integrity` when the remote skips a number or serves
 * less than it has.
 */
export async function leadsTo(
  transport: Transport,
  data: DataRequest,
  walk: {
    readonly from: LogPosition
    readonly to: LogPosition
    readonly wanted: ReadonlySet<number>
    readonly known: KnownChains
  },
): Promise<boolean> {
  const { from, to, wanted, known } = walk
  let { seq, chain } = from
  const passed: [number, Hash][] = [[seq, chain]]
  while (seq < to.seq) {
    const before = seq
    for await (const frame of transport.digests(data, seq)) {
      if (frame[0] === 2) continue
      if (frame[1] !== seq + 1) {
        throw new ClientError('integrity', `the remote served ${frame[1]} after ${seq}`)
      }
      seq++
      chain = chainNext(chain, digestOf(frame as Step))
      if (wanted.has(seq)) passed.push([seq, chain])
      if (seq === to.seq) break
    }
    if (seq === before) {
      throw new ClientError('integrity', 'the remote serves less of its log than it states')
    }
  }
  if (!equalBytes(chain, to.chain)) return false
  for (const [at, there] of passed) known.set(at, there)
  return true
}
