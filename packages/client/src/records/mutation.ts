/**
 * Mutation: a named function of the app that is kept as an intent. It shows its effect at once; if
 * the remote refuses that for a newer state, it runs again on the newer state, and rolls back with
 * a reason when it cannot (design 12). So an increment adds to whatever is there.
 */
import { type Envelope, type Fields, TIMESTAMP_NONE, type Value } from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'
import { checkPushed } from '../local/commit.ts'
import type { Rerun } from '../local/rewrite.ts'
import { reasonOf } from './conflict-policy.ts'
import { Transaction, type TransactionReads, type WriteContext } from './transaction.ts'

/**
 * Must do nothing but read and write through the transaction, and depend on nothing else: it runs
 * again on another state, on this device, until the remote has taken it.
 */
export type Mutation<Args = Value> = (transaction: Transaction, args: Args) => Promise<void> | void

export type Mutations = Readonly<Record<string, Mutation<never>>>

const INTENT = '$intent'
const ATTEMPTS_MAX = 50
/** All that waits is held up by it. */
const RERUN_MS_MAX = 60_000

/** Throws `not-found` for a name that was not declared, and what the mutation throws. */
export async function runMutation(context: WriteContext, name: string, args: Value): Promise<void> {
  const mutation = context.mutations.get(name)
  if (mutation === undefined) {
    throw new ClientError('not-found', 'there is no mutation of that name: declare it first')
  }
  const intent = context.sealer.sealPrivate(INTENT, name, { args } as Fields, TIMESTAMP_NONE)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const transaction = new Transaction(context)
    await mutation(transaction, copyOf(context, intent) as never)
    if (await transaction.commit(intent)) return
  }
  throw new ClientError(
    'transaction-conflict',
    `what the mutation read was changed ${ATTEMPTS_MAX} times while it ran`,
  )
}

/** What it runs with is what will be kept: the app's own object may change. */
const copyOf = (context: WriteContext, intent: Envelope): Value =>
  (context.sealer.decode(intent).fields?.args ?? undefined) as Value

/** Runs it again, on what `reads` shows. Throws nothing but `closed`, once the vault is. */
export async function rerunMutation(
  context: WriteContext,
  intent: Envelope,
  reads: TransactionReads,
): Promise<Rerun> {
  const { key: name, fields } = context.sealer.decode(intent)
  const mutation = context.mutations.get(name)
  if (mutation === undefined) return { type: 'set-aside', code: 'mutation-unknown' }
  const transaction = new Transaction(context, reads)
  try {
    await inTime(context, async () => mutation(transaction, (fields?.args ?? undefined) as never))
    const drafts = transaction.end()
    for (const draft of drafts) checkPushed(draft)
    return { type: 'written', drafts }
  } catch (error) {
    // Whatever it threw then, it shall run again when the vault is opened.
    if (context.ended.aborted) throw closedMeanwhile()
    // A later version of the app may be able to.
    if (codeOf(error) === 'schema-newer') return { type: 'set-aside', code: 'schema-newer' }
    return { type: 'failed', reason: reasonOf(error) }
  }
}

/** One that never ends must keep neither sync nor the vault from ending. */
function inTime({ ended, setTimer }: WriteContext, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const close = (): void => reject(closedMeanwhile())
    const cancel = setTimer(() => {
      reject(new Error(`the mutation did not end within ${RERUN_MS_MAX / 1_000} seconds`))
    }, RERUN_MS_MAX)
    if (ended.aborted) close()
    ended.addEventListener('abort', close)
    work()
      .then(resolve, reject)
      .finally(() => {
        cancel()
        ended.removeEventListener('abort', close)
      })
  })
}

const closedMeanwhile = (): ClientError =>
  new ClientError('closed', 'the vault was closed while a mutation ran')
