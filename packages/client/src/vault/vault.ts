/**
 * Vault: one person's records on this device, open. What an app holds.
 */
import { type Fields, findMember, formatBase64Url, type Value } from '@blindcopy/protocol'
import { VaultError, type VaultRecord } from '@blindcopy/vault'
import type { VaultBackup } from '../backup/vault-backup.ts'
import type { Syncing } from '../browser/tab-sync.ts'
import type { VaultCarrying } from '../carry/vault-carrying.ts'
import { ClientError } from '../error.ts'
import type { DurabilityTier } from '../local/durability.ts'
import type { StoredVersion } from '../local/local-reading.ts'
import type { LocalSecondary } from '../local/local-secondary.ts'
import type { Access } from '../records/access.ts'
import { Collection, type CollectionOptions } from '../records/collection.ts'
import { type Mutations, runMutation } from '../records/mutation.ts'
import type { AnySchema, InputOf, OutputOf, Schema } from '../records/schema.ts'
import { runTransaction, type Transaction, type WriteContext } from '../records/transaction.ts'
import type { Membership } from './membership.ts'
import type { VaultPairing } from './pairing/pairing.ts'
import { RESERVED_PREFIX, writeRegistrationToken } from './registration.ts'
import { type RemoteView, viewRemote } from './remote-view.ts'
import type { VaultAttention } from './vault-attention.ts'
import type { VaultCheckpoints } from './vault-checkpoints.ts'
import type { VaultConflicts } from './vault-conflicts.ts'
import type { VaultDevice, VaultKeys } from './vault-keys.ts'
import type { VaultLock } from './vault-lock.ts'
import { openParts, type VaultParts, type VaultSources } from './vault-parts.ts'
import type { VaultProtection } from './vault-protection.ts'
import { durableOf, type VaultSync } from './vault-sync.ts'

export type ExportedRecord = {
  readonly collection: string
  readonly key: string
  readonly fields: Fields
}

/** A version that the remote served and that did not open: kept, listed, and tried again. */
export type QuarantinedRecord = {
  readonly recordId: string
  readonly reason: string
}

export class Vault implements AsyncDisposable {
  /** Base64url, 43 characters. */
  readonly vaultId: string
  readonly deviceId: string
  readonly remote: string
  readonly sync: VaultSync
  /** Other devices without a remote: over a byte stream, or as a file. */
  readonly exchange: VaultCarrying['exchange']
  readonly exportBundle: VaultCarrying['exportBundle']
  readonly importBundle: VaultCarrying['importBundle']
  /** All of the vault as a file that outlives every device, and the drill of one. */
  readonly backup: VaultBackup
  /** Versions that lost to others, and conflicts that wait for a choice. */
  readonly conflicts: VaultConflicts
  /** Other devices, let into the vault. */
  readonly pairing: VaultPairing
  /** Writes that the remote refused. */
  readonly attention: VaultAttention
  /** Who has seen what of this vault, and when, as far as this device knows. Asks no remote. */
  readonly verify: VaultCheckpoints['verify']
  /** Internal, for pairing. */
  readonly checkpoints: VaultCheckpoints
  /** How the keys of this device are closed on its disk, and how to change that. */
  readonly protection: VaultProtection
  readonly lock: VaultLock['lock']
  readonly unlock: VaultLock['unlock']
  /** Who holds keys of the vault, and the ways back into it. */
  readonly keys: VaultKeys
  readonly #parts: VaultParts
  readonly #local: LocalSecondary
  readonly #membership: Membership
  readonly #syncing: Syncing
  readonly #context: WriteContext
  readonly #access: Access
  #closing: Promise<void> | undefined

  private constructor(parts: VaultParts) {
    this.#parts = parts
    this.#local = parts.local
    this.#membership = parts.membership
    this.#syncing = parts.syncing
    this.#context = parts.context
    this.#access = parts.access
    this.vaultId = parts.vaultId
    this.deviceId = parts.deviceId
    this.remote = parts.remote
    this.sync = parts.sync
    this.exchange = parts.carrying.exchange
    this.exportBundle = parts.carrying.exportBundle
    this.importBundle = parts.carrying.importBundle
    this.backup = parts.backup
    this.conflicts = parts.conflicts
    this.pairing = parts.pairing
    this.attention = parts.attention
    this.checkpoints = parts.checkpoints
    this.verify = parts.checkpoints.verify
    this.protection = parts.protection
    this.lock = parts.locking.lock
    this.unlock = parts.locking.unlock
    this.keys = parts.keys
  }

  /** Internal: `createVault`, `restoreVault` and `openVault` make them. Takes the store over. */
  static async open(sources: VaultSources): Promise<Vault> {
    return new Vault(await openParts(sources))
  }

  /** The records of one name. Throws `reserved-name` for names that begin with "$". */
  collection<S extends AnySchema>(
    name: string,
    options: CollectionOptions<S, OutputOf<S>> & { readonly schema: S },
  ): Collection<OutputOf<S>, InputOf<S>>
  collection<T extends object = Fields>(
    name: string,
    options?: CollectionOptions<Schema<T>>,
  ): Collection<T>
  collection(
    name: string,
    options: CollectionOptions<Schema<Fields>> = {},
  ): Collection<Fields, Fields> {
    this.#checkOpen()
    if (name.startsWith(RESERVED_PREFIX)) {
      throw new ClientError(
        'reserved-name',
        'names of collections that begin with "$" are reserved',
      )
    }
    return new Collection(name, this.#context, options)
  }

  /** Declares custom mutations, by name: at every opening, before sync is started. */
  mutations(mutations: Mutations): void {
    this.#checkOpen()
    for (const [name, mutation] of Object.entries(mutations)) {
      if (typeof mutation !== 'function' || name === '') {
        throw new ClientError('invalid-argument', 'a mutation is a function under a name')
      }
      this.#context.mutations.set(name, mutation)
    }
    // What this app did not know, or was too old for, when it last ran.
    const again = this.#local.retryRefusedFor(['mutation-unknown', 'schema-newer'])
    // Where the disk fails now, they stay in attention, and the next opening tries again.
    void again.then(
      (count) => count > 0 && this.#syncing.noteWrite(),
      () => undefined,
    )
  }

  /**
   * Runs a declared mutation as one transaction, and again on a newer state where the remote has
   * one. Throws `not-found` for a name that is not declared.
   */
  mutate(name: string, args: Value): Promise<void> {
    this.#checkOpen()
    return runMutation(this.#context, name, args)
  }

  /**
   * Runs `work` as one transaction: all of its writes or none, here and on every device. When
   * something it has read is changed meanwhile it runs again, so it must have no other effect.
   */
  transaction<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    this.#checkOpen()
    return runTransaction(this.#context, work)
  }

  /** Every record of every collection, in no particular order, a page of the disk at a time. */
  async *records(): AsyncGenerator<ExportedRecord> {
    this.#checkOpen()
    for await (const page of this.#local.pages()) {
      for (const version of page) {
        const record = this.#openListed(version)
        if (record === undefined || record.fields === null) continue
        const { collection, key, fields } = record
        if (!collection.startsWith(RESERVED_PREFIX)) yield { collection, key, fields }
      }
    }
  }

  /** A record that the disk has spoiled must not hide all the others. */
  #openListed(version: StoredVersion): VaultRecord | undefined {
    try {
      return this.#context.sealer.open(version)
    } catch (error) {
      if (!(error instanceof VaultError)) throw error
      this.#context.onDamaged?.(version.recordId)
      return undefined
    }
  }

  /** Who holds keys of this vault, as far as this device knows. */
  devices(): VaultDevice[] {
    this.#checkOpen()
    const { devices, recoveryKeys } = this.keys.status()
    return [...devices, ...recoveryKeys]
  }

  async quarantined(): Promise<QuarantinedRecord[]> {
    this.#checkOpen()
    const versions = await this.#local.quarantined()
    return versions.map(({ recordId, reason }) => ({
      recordId: formatBase64Url(recordId),
      reason,
    }))
  }

  /** Everything the remote holds of this vault, asked of the remote itself. */
  remoteView(): AsyncGenerator<RemoteView> {
    this.#checkOpen()
    const membership = this.#membership
    return viewRemote(this.#parts.transport, {
      vaultId: membership.keychain.vaultId,
      memberId: membership.memberId,
      sign: (message) => membership.device.sign(message),
    })
  }

  /** Gives the token with which the remote registers this vault; kept sealed, for every device. */
  setRegistrationToken(token: string): Promise<void> {
    return writeRegistrationToken(this.#context, token)
  }

  /**
   * Resolves when everything that was written before the call is safe: on this device's disk
   * (`local`), on the remote's (`remote`), or opened by another device of the vault (`device`); for
   * both of these sync must be running. Throws `sync-stopped`, `write-refused` and `closed`.
   */
  durable(tier: DurabilityTier, signal?: AbortSignal): Promise<void> {
    this.#checkOpen()
    return durableOf(this.#syncing, this.#context, {
      tier,
      signal,
      isActive: (memberId) => findMember(this.#membership.keychain, memberId) !== undefined,
    })
  }

  /** Ends sync, waits for writes under way, and releases the folder. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#access.close()
    this.#parts.endListening()
    await this.#syncing.stop()
    await this.#parts.endTabs()
    await this.#local.close()
    this.#membership.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Throws `locked` or `closed`. */
  #checkOpen(): void {
    this.#access.check()
  }

  /** Whether `lock` was called, and `unlock` not since. */
  get isLocked(): boolean {
    return this.#access.state === 'locked'
  }
}
