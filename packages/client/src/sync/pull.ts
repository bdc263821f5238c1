/**
 * Pull: what the remote has after the cursor, applied as it streams in.
 *
 * Steps are gathered into batches of about 256 KiB: small enough that the objects of one are gone
 * before the collector takes them for lasting (1 MiB doubled a device's memory). What is not whole
 * yet is stored and shown later (parking.ts), at the latest when the head is reached.
 */
import { type ChangesFrame, equalBytes } from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { LogStep } from '../local/arrival.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { SyncIdentity } from './identity.ts'
import type { DataRequest, Transport } from './transport.ts'

export type PullContext = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly data: () => DataRequest
  readonly onProgress: (seq: number, headSeq: number) => void
  /** Steps that were checked and applied. */
  readonly onApplied?: (steps: readonly LogStep[]) => void
}

/** The remote's live set at its head, as it states it. */
export type RemoteSet = {
  readonly seq: number
  readonly count: number
  readonly fingerprint: Uint8Array
}

const BATCH_BYTES = 262_144
/** The objects of a step, beside its bytes. */
const STEP_BYTES = 256

/** Pulls until the cursor is at the head that the last answer stated. */
export async function pullChanges(context: PullContext): Promise<RemoteSet> {
  const { local } = context
  for (;;) {
    const before = local.cursor.position
    const head = await pullPage(context)
    const { position } = local.cursor
    if (position.seq === head.seq && !equalBytes(position.chain, head.chain)) {
      throw new ClientError('integrity', 'the remote states another history than it served')
    }
    if (position.seq > head.seq) {
      // An honest remote that has lost this position says so with another SyncId.
      throw new ClientError('integrity', 'the remote states less than it has served before')
    }
    if (position.seq === head.seq) {
      await local.showParked()
      return head
    }
    if (position.seq === before.seq) {
      throw new ClientError('integrity', 'the remote states more than it serves')
    }
  }
}

type Head = RemoteSet & { readonly chain: Uint8Array }

async function pullPage(context: PullContext): Promise<Head> {
  const { local, identity } = context
  const gathered = new Gathered()
  let head: Head | undefined
  const apply = async (): Promise<void> => {
    const steps = gathered.take()
    if (steps.length === 0) return
    const last = steps[steps.length - 1] as LogStep
    await local.applyLog(steps, identity)
    context.onApplied?.(steps)
    context.onProgress(last.seq, head?.seq ?? last.seq)
  }
  for await (const frame of context.transport.changes(context.data())) {
    if (frame[0] === 2) {
      const [, seq, chain, count, fingerprint] = frame
      head = { seq, chain, count, fingerprint }
      continue
    }
    gathered.add(stepOf(frame))
    if (gathered.isDue) await apply()
  }
  await apply()
  if (head === undefined) throw new ClientError('network', 'the answer of the remote was cut')
  return head
}

export function stepOf(frame: Exclude<ChangesFrame, readonly [2, ...unknown[]]>): LogStep {
  if (frame[0] === 0) {
    const [, seq, chain, id, envelopes, others] = frame
    return { type: 'transaction', seq, chain, id, envelopes, others }
  }
  if (frame[0] === 1) {
    const [, seq, chain, entries] = frame
    return { type: 'keychain', seq, chain, entries }
  }
  throw new ClientError('integrity', 'the remote sent an end in the middle')
}

/** What a step takes in memory, about; one whose envelopes are superseded is not for nothing. */
export function weightOf(step: LogStep): number {
  const parts = step.type === 'keychain' ? step.entries : [...step.envelopes, step.others]
  return parts.reduce((sum, part) => sum + part.length, STEP_BYTES)
}

/** Steps that wait to be applied together. */
class Gathered {
  #steps: LogStep[] = []
  #sizeBytes = 0

  add(step: LogStep): void {
    this.#steps.push(step)
    this.#sizeBytes += weightOf(step)
  }

  get isDue(): boolean {
    return this.#sizeBytes >= BATCH_BYTES
  }

  take(): readonly LogStep[] {
    const steps = this.#steps
    this.#steps = []
    this.#sizeBytes = 0
    return steps
  }
}
