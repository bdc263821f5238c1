/**
 * Reconcile: brings the confirmed versions of both ends together, whatever either has lost
 * (design 11). What to ask is decided by `Reconciliation` of the protocol; here its differences are
 * worked off as they come, a bounded batch at a time:
 *
 *   mine never opened here    un-confirmed: the row falls back to what did
 *   theirs, newer or older    fetched, before mine is pushed
 *   mine, newer or alone      pushed, sealed under the newest epoch, if it opens
 *
 * Every step is idempotent. Cut anywhere, the next login finds the old SyncId (or the next head
 * check the same mismatch) and begins again, with less to do.
 */
import {
  compareTimestamps,
  type Difference,
  ENVELOPE_HEADER_BYTES,
  type Envelope,
  envelopeRecordId,
  equalBytes,
  findMember,
  type LogPosition,
  type MemberId,
  RECORDS_BY_ID_MAX,
  Reconciliation,
  type RecordId,
} from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import { opens } from '../local/arrival.ts'
import { readHeard } from '../local/checkpoint-store.ts'
import { type ConfirmedScan, confirmedSource } from '../local/confirmed-source.ts'
import {
  findUnopened,
  finishHealing,
  readConfirmed,
  recountConfirmed,
  unconfirmVersions,
} from '../local/healing.ts'
import { storeKeychain } from '../local/keychain-store.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import { nameOf } from './checkpoint-judge.ts'
import type { SyncIdentity } from './identity.ts'
import { renewKeychain } from './keychain-fetch.ts'
import { registerVault } from './session.ts'
import type { DataRequest, Transport } from './transport.ts'
import { followBatch, VersionPush } from './version-push.ts'

export type ReconcileContext = {
  readonly local: LocalSecondary
  readonly transport: Transport
  readonly identity: SyncIdentity
  /** Under the remote's SyncId: from the beginning of its log if that is new, else as ever. */
  readonly data: DataRequest
  readonly bytesMax: number
  readonly mayPush: boolean
  readonly onProgress: (done: number, total: number) => void
  /** Versions were taken; what they made together may wait to be sent. */
  readonly onTaken: () => void
}

export type Reconciled = {
  /** Up to where the log need not be read: the head of the beginning, and what was pushed to it. */
  readonly position: LogPosition
  readonly differenceCount: number
  /** The stored count of what is confirmed was wrong. */
  readonly wasMiscounted: boolean
  /** Why a version could not be brought to the remote; the last, if there are several. */
  readonly refusal: string | null
}

/** Worked off at once: their ids are asked for in one request. */
const BATCH = RECORDS_BY_ID_MAX
/** Read from the disk at once: each may have a megabyte. */
const READ_AT_ONCE = 32

/** Heals with a remote under a SyncId that is not the cursor's, and adopts it. */
export async function healWith(context: ReconcileContext): Promise<Reconciled> {
  const { local, data } = context
  const scan = await recountConfirmed(local.state)
  await offerKeychain(context, scan.greatestMs)
  const reconciled = await reconcileAll(context, scan)
  const cursor = { syncId: data.syncId, position: reconciled.position }
  const message = `${context.mayPush ? HEALED : HEALED_ONE_WAY}${await uncoveredBy(context)}`
  const { closedBelow } = reconciled
  await finishHealing(local.state, { cursor, notice: { code: 'healed', message }, closedBelow })
  return { ...reconciled, wasMiscounted: scan.wasWrong }
}

const ATTEMPTS_MAX = 5

/**
 * Compares everything. Also says which epochs are over at the position that is reached: those whose
 * end is known to stand before it. An epoch that begins meanwhile may stand on either side, so the
 * little that has changed since is compared again.
 */
async function reconcileAll(
  context: ReconcileContext,
  first: ConfirmedScan,
): Promise<Omit<Reconciled, 'wasMiscounted'> & { readonly closedBelow: number }> {
  const { data, identity, local } = context
  // With nothing to bring, all there is comes by the ordinary pull, and its epochs with it.
  if (first.count === 0) {
    await renewKeychain(context)
    return { position: data.position, differenceCount: 0, refusal: null, closedBelow: 0 }
  }
  for (let scan: ConfirmedScan = first, attempt = 1; ; attempt++) {
    const closedBelow = identity.newestEpoch()
    const reconciled = await reconcile(context, scan)
    await renewKeychain(context)
    if (identity.newestEpoch() === closedBelow || attempt === ATTEMPTS_MAX) {
      return { ...reconciled, closedBelow }
    }
    scan = await recountConfirmed(local.state)
  }
}

const HEALED =
  'the remote was reset, restored or replaced: this device has compared all it holds with it, and brought back what it lacked'

/** Who has signed more than this device has seen: what else they hold comes when they sync. */
async function uncoveredBy({ local, identity }: ReconcileContext): Promise<string> {
  const heard = [...(await readHeard(local.state.store)).values()]
  const names = heard
    .filter(({ state, checkpoint }) => {
      const isOwn = equalBytes(checkpoint.memberId, identity.memberId)
      return !isOwn && state !== 'linked' && isActive(identity, checkpoint.memberId)
    })
    .map(({ checkpoint }) => nameOf(checkpoint))
  if (names.length === 0) return ''
  return `; ${UNCOVERED}: ${names.join(', ')}`
}

const UNCOVERED =
  'what these devices have signed is not covered yet, and comes with their next sync'

const isActive = ({ checkpoints }: SyncIdentity, memberId: MemberId): boolean =>
  checkpoints !== undefined && findMember(checkpoints.keychain(), memberId) !== undefined

const HEALED_ONE_WAY =
  'the remote was reset, restored or replaced: this device has compared all it holds with it, and a sync both ways gives the remote what it lacks'

/** Heals under the cursor's SyncId, after count or fingerprint differed at the head. */
export async function healMismatch(context: ReconcileContext): Promise<Reconciled> {
  const { local } = context
  const scan = await recountConfirmed(local.state)
  const reconciled = await reconcile(context, scan)
  if (reconciled.differenceCount > 0) {
    await finishHealing(local.state, {
      cursor: null,
      notice: { code: 'mismatch-healed', message: context.mayPush ? MISMATCH : MISMATCH_ONE_WAY },
    })
  }
  return { ...reconciled, wasMiscounted: scan.wasWrong }
}

const MISMATCH_ONE_WAY =
  'this device and the remote hold different records though they should not: a sync both ways brings them together'
const MISMATCH =
  'this device and the remote held different records though they should not, and have been brought together'

/** A remote that was put back may lack entries, and may have some that this device lacks. */
async function offerKeychain(context: ReconcileContext, greatestMs: number): Promise<void> {
  const { local, transport, identity } = context
  const { entries } = await registerVault(transport, identity, {
    entries: identity.keychainEntries(),
    greatestMs,
    registrationToken: await identity.registrationToken(),
  })
  await storeKeychain(local.state, identity, entries)
}

async function reconcile(
  context: ReconcileContext,
  scan: ConfirmedScan,
): Promise<Omit<Reconciled, 'wasMiscounted'>> {
  const { local, transport, data } = context
  const reconciliation = new Reconciliation(confirmedSource(local.state, scan.summary))
  const desk = new DifferenceDesk(context, () => mustStart(reconciliation).head)
  let request = reconciliation.next()
  while (request !== null) {
    const answer = await transport.reconcile(data, request)
    for await (const differences of reconciliation.take(answer)) {
      const theirCount = mustStart(reconciliation).count
      await desk.take(differences, Math.max(scan.count, theirCount))
    }
    request = reconciliation.next()
  }
  await desk.finish()
  const { position, differenceCount, refusal } = desk
  return { position, differenceCount, refusal }
}

function mustStart(reconciliation: Reconciliation): NonNullable<Reconciliation['start']> {
  if (reconciliation.start !== undefined) return reconciliation.start
  throw new ClientError('integrity', 'the remote answered nothing')
}

class DifferenceDesk {
  readonly #context: ReconcileContext
  readonly #startOf: () => LogPosition
  readonly #push: VersionPush
  #waiting: Difference[] = []
  /** Of what was pushed, the records of which the remote has newer versions. */
  readonly #outrun: RecordId[] = []
  #position: LogPosition | undefined
  differenceCount = 0
  refusal: string | null = null

  constructor(context: ReconcileContext, startOf: () => LogPosition) {
    this.#context = context
    this.#startOf = startOf
    const { local, transport, identity, data, bytesMax } = context
    this.#push = new VersionPush({
      transport,
      data: () => data,
      bytesMax,
      reseal: identity.reseal,
      renewKeychain: () => renewKeychain(context),
      onStored: async (versions, { position, newerByOp }) => {
        this.#position = followBatch(this.position, versions, position) ?? this.position
        // Pushed since they were compared: met as a difference, like those that were there before.
        for (const op of newerByOp.keys()) {
          const version = versions[op]
          if (version !== undefined) this.#outrun.push(version.recordId)
        }
      },
      onRefused: async (version, code) => {
        this.refusal = code
        await unconfirmVersions(local.state, [version], { isKept: true })
      },
    })
  }

  get position(): LogPosition {
    return this.#position ?? this.#startOf()
  }

  async take(differences: readonly Difference[], total: number): Promise<void> {
    this.#waiting.push(...differences)
    while (this.#waiting.length >= BATCH) await this.#workOff(this.#waiting.splice(0, BATCH))
    this.#context.onProgress(this.differenceCount, Math.max(total, this.differenceCount))
  }

  async finish(): Promise<void> {
    await this.#workOff(this.#waiting.splice(0))
    await this.#push.flush()
    await fetchRecords(this.#context, this.#outrun.splice(0))
  }

  async #workOff(differences: readonly Difference[]): Promise<void> {
    const { local, mayPush } = this.#context
    const mine = differences.filter(isMineToGive).map(({ recordId }) => recordId)
    if (mayPush) {
      const unopened = await findUnopened(local.state.store, mine)
      await unconfirmVersions(local.state, unopened, { isKept: false })
    }
    const theirs = differences.filter((difference) => difference.theirs !== null)
    await fetchRecords(
      this.#context,
      theirs.map(({ recordId }) => recordId),
    )
    if (mayPush) await this.#give(mine)
    this.differenceCount += differences.length
  }

  async #give(recordIds: readonly RecordId[]): Promise<void> {
    const { local, identity } = this.#context
    for (let first = 0; first < recordIds.length; first += READ_AT_ONCE) {
      const some = recordIds.slice(first, first + READ_AT_ONCE)
      for (const version of await readConfirmed(local.state.store, some)) {
        const { envelope } = version
        if (envelope !== undefined && opens(envelope, identity.open)) {
          await this.#push.add({ ...version, envelope })
        } else {
          // Spoiled on this disk: another device may still have it.
          await unconfirmVersions(local.state, [version], { isKept: false })
        }
      }
    }
  }
}

const isMineToGive = ({ mine, theirs }: Difference): boolean =>
  mine !== null && (theirs === null || compareTimestamps(mine, theirs) > 0)

/** Fetches the newest versions of records, and takes them. */
export async function fetchRecords(
  context: Pick<ReconcileContext, 'local' | 'transport' | 'identity' | 'data' | 'onTaken'>,
  recordIds: readonly RecordId[],
): Promise<void> {
  const { local, transport, identity, data } = context
  for (let first = 0; first < recordIds.length; ) {
    const asked = recordIds.slice(first, first + RECORDS_BY_ID_MAX)
    const answered = await transport.records(data, asked)
    if (answered.length === 0) throw new ClientError('integrity', 'the remote served no record')
    const envelopes = answered.flatMap((bytes, i) =>
      bytes === null ? [] : [checkRecord(bytes, asked[i] as RecordId)],
    )
    await local.takeReconciled(envelopes, identity.open)
    context.onTaken()
    first += answered.length
  }
}

/** Throws `integrity` for what is not a version of the record that was asked for. */
function checkRecord(bytes: Uint8Array, recordId: RecordId): Uint8Array {
  if (
    bytes.length > ENVELOPE_HEADER_BYTES &&
    equalBytes(envelopeRecordId(bytes as Envelope), recordId)
  )
    return bytes
  throw new ClientError('integrity', 'the remote served another record than was asked for')
}
