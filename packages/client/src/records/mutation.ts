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

/** Runs it again, on what `reads` shows. Never throws. */
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
    await mutation(transaction, (fields?.args ?? undefined) as never)
    const drafts = transaction.end()
    for (const draft of drafts) checkPushed(draft)
    return { type: 'written', drafts }
  } catch (error) {
    // A later version of the app may be able to.
    if (codeOf(error) === 'schema-newer') return { type: 'set-aside', code: 'schema-newer' }
    return { type: 'failed', reason: reasonOf(error) }
  }
}
