/**
 * Every limit of the protocol, each one constant (design 17): sent in the capabilities, enforced on
 * both sides, tested at the limit and one beyond.
 */

const KIB = 1024
const MIB = 1024 * KIB

export const ENVELOPE_BYTES_MAX: number = 1 * MIB
export const TRANSACTION_BYTES_MAX: number = 4 * MIB
export const TRANSACTION_RECORDS_MAX = 1_000
export const PUSH_BYTES_MAX: number = 16 * MIB
/** One page of changes; a single transaction may exceed it. */
export const PAGE_BYTES_MAX: number = 4 * MIB
export const COLLECTION_NAME_BYTES_MAX = 128
export const KEY_BYTES_MAX = 512
export const DEVICES_ACTIVE_MAX = 64
export const RECOVERY_KEYS_ACTIVE_MAX = 16
/** So that the root's branch can name, and seal the keys of, as long a branch as there can be. */
export const KEYCHAIN_ENTRY_BYTES_MAX: number = 1 * MIB
export const KEYCHAIN_BYTES_MAX: number = 64 * MIB
/** The body of one append: a branch of the root's may have an entry of 1 MiB, and others. */
export const KEYCHAIN_APPEND_BYTES_MAX: number = 4 * MIB
export const KEYCHAIN_ENTRIES_MAX = 10_000
/** What is left of both for revocations, their epochs and the root: nobody may use it up. */
export const KEYCHAIN_ENTRIES_RESERVED = 500
export const KEYCHAIN_BYTES_RESERVED: number = 8 * MIB
/** By one member; entries signed by the root are not counted. */
export const KEYCHAIN_APPENDS_A_DAY_MAX = 100
export const RECORDS_BY_ID_MAX = 1_000
/** One message of a reconciliation, either way. */
export const RECONCILE_BYTES_MAX: number = 256 * KIB
/** Nodes that one request of a reconciliation may name. */
export const RECONCILE_NODES_MAX = 2_048
/** Records of a set that is reconciled: what a count of 32 bits can say. */
export const RECONCILE_RECORDS_MAX: number = 2 ** 32 - 1
/** Pairs in each list of a checkpoint. */
export const CHECKPOINT_PAIRS_MAX = 100
export const CHECKPOINT_BYTES_MAX: number = 8 * KIB
export const SESSION_TOKEN_MS = 15 * 60_000
/** How long an invitation to pair waits, and one sealed message in it. */
export const MAILBOX_MS = 10 * 60_000
export const MAILBOX_MESSAGE_BYTES_MAX: number = 16 * KIB
/** What a newcomer calls itself; as much as a member's name holds. */
export const PAIRING_NAME_BYTES_MAX = 254
export const CHALLENGE_MS = 60_000
/** The latest moment that anything may state, in ms: what a timestamp holds, the year 10889. */
export const TIME_MS_MAX: number = 2 ** 48 - 1
/** How far ahead of a clock a timestamp may stand (design 4). */
export const CLOCK_DRIFT_MS_MAX = 5 * 60_000
/** Nesting of a record's fields, and of any message. */
export const NESTING_MAX = 64
/**
 * Items of any message: a push of the smallest envelopes, and the answer to it, have fewer. An item
 * of one byte takes a hundred in memory, so that bytes alone bound nothing.
 */
export const MESSAGE_ITEMS_MAX: number = 512 * KIB
/** A challenge and a login, which strangers may send. */
export const LOGIN_BYTES_MAX: number = 4 * KIB
/** Any other request that is not a push. */
export const REQUEST_BYTES_MAX: number = 1 * MIB
export const LIVE_FRAME_BYTES_MAX: number = TRANSACTION_BYTES_MAX + 1 * MIB

/** What the capabilities say; a client takes the lesser of these and its own. */
export type Limits = {
  readonly envelopeBytes: number
  readonly transactionBytes: number
  readonly transactionRecords: number
  readonly pushBytes: number
  readonly pageBytes: number
  readonly reconcileBytes: number
}

export const LIMITS: Limits = {
  envelopeBytes: ENVELOPE_BYTES_MAX,
  transactionBytes: TRANSACTION_BYTES_MAX,
  transactionRecords: TRANSACTION_RECORDS_MAX,
  pushBytes: PUSH_BYTES_MAX,
  pageBytes: PAGE_BYTES_MAX,
  reconcileBytes: RECONCILE_BYTES_MAX,
}
