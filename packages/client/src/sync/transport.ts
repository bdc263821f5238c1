/**
 * Transport: how the sync engine reaches a remote. No code; `http-transport.ts` implements it, and
 * a test may put a hostile or a lossy one in its place.
 *
 * A refusal by the remote is a `ProtocolError` with its code; no answer at all is a `ClientError`
 * with code `network`; an answer that is none of ours is `not-a-remote`.
 */
import type {
  Capabilities,
  ChallengeAnswer,
  ChangesFrame,
  CreateAnswer,
  CreateRequest,
  HistoryAnswer,
  HistoryRequest,
  KeychainAppendAnswer,
  KeychainAppendRequest,
  LiveFrame,
  LiveHello,
  LogPosition,
  PushAnswer,
  ReconcileAnswer,
  ReconcileRequest,
  RecordId,
  SessionAnswer,
  SessionRequest,
  SigningPublicKey,
  SyncId,
  VaultId,
} from '@blindcopy/protocol'

/** What every data request carries. */
export type DataRequest = {
  readonly token: string
  readonly syncId: SyncId
  readonly position: LogPosition
}

export type LiveHandlers = {
  onFrame(frame: LiveFrame): void
  /** Called once, after the last frame; without an error when this end closed it. */
  onClose(error?: Error): void
}

export type LiveSocket = {
  hello(hello: LiveHello): void
  close(): void
}

/** The remote's clock as it answered, between two moments of this device's own. */
export type AnswerTime = {
  readonly remoteMs: number
  readonly sentMs: number
  readonly receivedMs: number
}

export interface Transport {
  /** Scheme, host and port: what a login signs. */
  readonly origin: string
  capabilities(): Promise<Capabilities>
  challenge(vaultId: VaultId): Promise<ChallengeAnswer>
  /** The vault that a recovery key was added to. Throws `unknown-vault`. */
  findVault(signingKey: SigningPublicKey): Promise<VaultId>
  session(request: SessionRequest): Promise<SessionAnswer>
  create(request: CreateRequest): Promise<CreateAnswer>
  keychain(token: string, from: number): Promise<readonly Uint8Array[]>
  appendKeychain(token: string, request: KeychainAppendRequest): Promise<KeychainAppendAnswer>
  /** Transactions as push-body.ts of the protocol encodes them. */
  push(request: DataRequest, transactions: readonly (readonly Uint8Array[])[]): Promise<PushAnswer>
  /** The frames of one answer, as they come. Throws `network` when it is cut. */
  changes(request: DataRequest): AsyncIterable<ChangesFrame>
  /**
   * The newest of the first of them, in their order: at least one, and fewer than asked when they
   * would be more than a page (`PAGE_BYTES_MAX`). Ask again for the rest.
   */
  records(request: DataRequest, ids: readonly RecordId[]): Promise<readonly (Uint8Array | null)[]>
  /** A page of the superseded versions of a record, the newest first. */
  history(request: DataRequest, of: HistoryRequest): Promise<HistoryAnswer>
  /** One round of a `Reconciliation` of the protocol. */
  reconcile(request: DataRequest, message: ReconcileRequest): Promise<ReconcileAnswer>
  /** The newest checkpoint of each device, as it was signed. */
  checkpoints(request: DataRequest): Promise<readonly Uint8Array[]>
  putCheckpoint(request: DataRequest, checkpoint: Uint8Array): Promise<void>
  /** Like `changes`, after another number than the cursor's, and without envelopes. */
  digests(request: DataRequest, after: number): AsyncIterable<ChangesFrame>
  live(handlers: LiveHandlers): LiveSocket
  /** Of the last answer of any kind; null before there is one. Absent where nothing tells it. */
  lastAnswer?(): AnswerTime | null
}
