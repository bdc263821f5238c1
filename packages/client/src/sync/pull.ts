/**
 * Pull: what the remote has after the cursor, applied as it streams in.
 *
 * Steps are gathered into batches of about 256 KiB: small enough that the objects of one are gone
 * before the collector takes them for lasting (1 MiB doubled a device's memory). Once a vault is
 * complete, a batch also ends only where every transaction in it is whole (each of its records is
 * there in that version or a newer one), so that readers never see half of one; the exception is a
 * gap wider than 8 MiB. The first pull of a device shows what it has as it comes.
 */
import { type ChangesFrame, equalBytes, type LogPosition, PAIR_BYTES } from '@blindcopy/protocol'
import { followLog, type LogStep } from '../arrival.ts'
import { ClientError } from '../error.ts'
import type { LocalSecondary } from '../local-secondary.ts'
import type { SyncIdentity } from './identity.ts'
import type { DataRequest, Transport } from './transport.ts'

export type PullContext = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  readonly data: () => DataRequest
  readonly onProgress: (seq: number, headSeq: number) => void
}

/** The remote's live set at its head, as it states it. */
export type RemoteSet = {
  readonly seq: number
  readonly count: number
  readonly fingerprint: Uint8Array
}

const BATCH_BYTES = 262_144
const WHOLE_BYTES_MAX = 8 * 1_048_576
/** The objects of a step, beside its bytes. */
const STEP_BYTES = 256

/** Pulls until the cursor is at the head that the last answer stated. */
export async function pullChanges(context: PullContext): Promise<RemoteSet> {
  const gathered = new Gathered()
  for (;;) {
    const before = gathered.after(context.local.cursor.position)
    const head = await pullPage(context, gathered, before)
    const position = gathered.after(context.local.cursor.position)
    if (position.seq === head.seq && !equalBytes(position.chain, head.chain)) {
      throw new ClientError('integrity', 'the remote states another history than it served')
    }
    if (position.seq > head.seq) {
      // An honest remote that has lost this position says so with another SyncId.
      throw new ClientError('integrity', 'the remote states less than it has served before')
    }
    if (position.seq === head.seq) return head
    if (position.seq === before.seq) {
      throw new ClientError('integrity', 'the remote states more than it serves')
    }
  }
}

type Head = RemoteSet & { readonly chain: Uint8Array }

/**
 * Steps that are not whole at the end of the page stay gathered: the next page begins after them.
 */
async function pullPage(
  context: PullContext,
  gathered: Gathered,
  position: LogPosition,
): Promise<Head> {
  const { local, identity } = context
  let head: Head | undefined
  const apply = async (): Promise<void> => {
    const steps = gathered.take()
    if (steps.length === 0) return
    const last = steps[steps.length - 1] as LogStep
    await local.applyLog(steps, identity)
    context.onProgress(last.seq, head?.seq ?? last.seq)
  }
  for await (const frame of context.transport.changes({ ...context.data(), position })) {
    if (frame[0] === 2) {
      const [, seq, chain, count, fingerprint] = frame
      head = { seq, chain, count, fingerprint }
      continue
    }
    gathered.add(stepOf(frame))
    if (gathered.isDue && (await gathered.mayApply(local))) await apply()
  }
  const isAtHead = head !== undefined && gathered.after(local.cursor.position).seq >= head.seq
  if (isAtHead || (await gathered.mayApply(local))) await apply()
  if (head === undefined) throw new ClientError('network', 'the answer of the remote was cut')
  return head
}

export function stepOf(frame: Exclude<ChangesFrame, readonly [2, ...unknown[]]>): LogStep {
  if (frame[0] === 0) {
    const [, seq, chain, , envelopes, others] = frame
    return { type: 'transaction', seq, chain, envelopes, others }
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
  #dueBytes = BATCH_BYTES

  add(step: LogStep): void {
    this.#steps.push(step)
    this.#sizeBytes += weightOf(step)
  }

  /** Whether it is worth asking if they may be applied: that looks at all of them. */
  get isDue(): boolean {
    return this.#sizeBytes >= this.#dueBytes
  }

  take(): readonly LogStep[] {
    const steps = this.#steps
    this.#steps = []
    this.#sizeBytes = 0
    this.#dueBytes = BATCH_BYTES
    return steps
  }

  /** Where the log stands after them. Throws `integrity` when they do not follow `position`. */
  after(position: LogPosition): LogPosition {
    return followLog(position, this.#steps)
  }

  async mayApply(local: LocalSecondary): Promise<boolean> {
    if (!local.initialSyncComplete || this.#sizeBytes >= WHOLE_BYTES_MAX) return true
    this.#dueBytes = this.#sizeBytes + BATCH_BYTES
    return this.isWhole(local)
  }

  /**
   * Whether every version that was not served is there in a newer one, here or among these steps.
   */
  async isWhole(local: LocalSecondary): Promise<boolean> {
    const missing: Uint8Array[] = []
    for (const step of this.#steps) {
      if (step.type === 'keychain') continue
      for (let offset = 0; offset < step.others.length; offset += PAIR_BYTES) {
        missing.push(step.others.subarray(offset, offset + PAIR_BYTES))
      }
    }
    if (missing.length === 0) return true
    const served = this.#steps.flatMap((step) => (step.type === 'keychain' ? [] : step.envelopes))
    return local.holdsAll(missing, served)
  }
}
