/**
 * Vault: one person's records on this device, open. What an app holds.
 */
import {
  type Fields,
  findMember,
  formatBase64Url,
  formatMemberId,
  formatVaultId,
  type Value,
  type VaultId,
} from '@blindcopy/protocol'
import { keychainKey, type Store } from '@blindcopy/secondary'
import { VaultError, type VaultRecord } from '@blindcopy/vault'
import { backupOf, type VaultBackup } from '../backup/vault-backup.ts'
import { type Syncing, TabSync } from '../browser/tab-sync.ts'
import type { Tabs } from '../browser/tabs.ts'
import { carryingOf, type VaultCarrying } from '../carry/vault-carrying.ts'
import { ClientError } from '../error.ts'
import type { DurabilityTier } from '../local/durability.ts'
import { readKeychainEntries, type StoredVersion } from '../local/local-reading.ts'
import { LocalSecondary } from '../local/local-secondary.ts'
import { fileMeetingsOf } from '../local/meeting.ts'
import { DamagedRecords } from '../local/repair.ts'
import type { Platform } from '../platform.ts'
import { Access } from '../records/access.ts'
import { Collection, type CollectionOptions } from '../records/collection.ts'
import { type Mutations, runMutation } from '../records/mutation.ts'
import type { AnySchema, InputOf, OutputOf, Schema } from '../records/schema.ts'
import { runTransaction, type Transaction, type WriteContext } from '../records/transaction.ts'
import { uuidV7 } from '../records/uuid.ts'
import { SyncEngine } from '../sync/engine.ts'
import type { Transport } from '../sync/transport.ts'
import { createHttpTransport } from '../transport/http-transport.ts'
import type { DeviceKeyKeeper } from './device-keys.ts'
import { DeviceNames } from './device-names.ts'
import type { Membership } from './membership.ts'
import { pairingOf, type VaultPairing } from './pairing/pairing.ts'
import { RESERVED_PREFIX, readRegistrationToken, writeRegistrationToken } from './registration.ts'
import { type RemoteView, viewRemote } from './remote-view.ts'
import { syncIdentityOf } from './sync-identity.ts'
import { attentionOf, type VaultAttention } from './vault-attention.ts'
import { pairHashOf, type VaultCheckpoints, vaultCheckpointsOf } from './vault-checkpoints.ts'
import { conflictsOf, type VaultConflicts } from './vault-conflicts.ts'
import { type VaultDevice, type VaultKeys, vaultKeysOf } from './vault-keys.ts'
import { type VaultLock, vaultLockOf } from './vault-lock.ts'
import { protectionOf, type VaultProtection } from './vault-protection.ts'
import { durableOf, syncOf, type VaultSync } from './vault-sync.ts'
import { createWriting, type Writing } from './writing.ts'

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
  readonly #local: LocalSecondary
  readonly #membership: Membership
  readonly #transport: Transport
  readonly #syncing: Syncing
  readonly #endTabs: () => Promise<void>
  readonly #context: WriteContext
  /** How the keys of this device are closed on its disk, and how to change that. */
  readonly protection: VaultProtection
  readonly lock: VaultLock['lock']
  readonly unlock: VaultLock['unlock']
  /** Who holds keys of the vault, and the ways back into it. */
  readonly keys: VaultKeys
  readonly #names: DeviceNames
  readonly #access: Access
  readonly #endListening: (() => void)[]
  #closing: Promise<void> | undefined

  private constructor(options: {
    vaultId: VaultId
    remote: string
    local: LocalSecondary
    membership: Membership
    platform: Platform
    writing: Writing
    damaged: DamagedRecords
    access: Access
    keeper: DeviceKeyKeeper
    tabs?: Tabs | undefined
  }) {
    const { local, membership, platform, remote, tabs } = options
    const { random } = platform
    this.vaultId = formatVaultId(options.vaultId)
    this.deviceId = formatMemberId(membership.memberId)
    this.remote = remote
    this.#local = local
    this.#membership = membership
    this.#access = options.access
    this.#context = options.writing.contextOf(local)
    const { sealer } = this.#context
    const transport = createHttpTransport(remote, platform)
    this.#transport = transport
    const { damaged } = options
    const retryAside = (): Promise<void> => carrying.retryAside()
    const identity = syncIdentityOf({ membership, context: this.#context, damaged, retryAside })
    const timers = { ...platform, random }
    const engine = new SyncEngine({ local, transport, timers, identity })
    const tabSync =
      tabs === undefined ? undefined : new TabSync({ ...platform, engine, local, tabs })
    this.#endTabs = async () => tabSync?.close()
    this.#syncing = tabSync ?? engine
    const { access, keeper } = options
    const checkOpen = (): void => access.check()
    const { closed } = access
    const { sync, control } = syncOf(this.#syncing, { local, closed }, checkOpen)
    this.sync = sync
    this.protection = protectionOf(keeper, access)
    const { setTimer } = platform
    const locking = { access, membership, keeper, sealer, local, sync: control, setTimer }
    const { lock, unlock } = vaultLockOf(locking)
    this.lock = lock
    this.unlock = unlock
    const changed = (): void => this.#syncing.noteWrite()
    this.conflicts = conflictsOf(this.#context, checkOpen)
    const carrier = {
      ...{ vaultId: options.vaultId, local, membership, random },
      nowMs: platform.nowMs,
      setTimer: platform.setTimer,
      open: sealer.openArrival,
      fileMeetings: fileMeetingsOf(() => local.state, options.writing.keys),
    }
    const carrying = carryingOf(carrier, {
      checkOpen,
      access,
      onTaken: () => engine.noteForwards(),
    })
    this.exchange = carrying.exchange
    this.exportBundle = carrying.exportBundle
    this.importBundle = carrying.importBundle
    this.backup = backupOf(carrier, { checkOpen, onTaken: () => engine.noteForwards() })
    this.pairing = pairingOf({
      ...{ platform, membership, transport, remote, access },
      registrationToken: () => readRegistrationToken(this.#context),
      newestCheckpoint: () => this.checkpoints.newestCheckpoint(),
    })
    const { nowMs } = platform
    this.checkpoints = vaultCheckpointsOf({ local, membership, checkOpen, nowMs })
    this.verify = this.checkpoints.verify
    this.attention = attentionOf(this.#context, { checkOpen, changed })
    const desk = { membership, local, transport, identity, platform, remote, checkOpen, changed }
    this.#names = new DeviceNames(membership, this.#context)
    this.keys = vaultKeysOf({ ...desk, names: this.#names })
    this.#endListening = [
      local.onChange(() => this.#syncing.noteWrite()),
      local.onChange((changes) => this.#names.noteChanges(changes)),
      platform.onOnline(() => this.#syncing.noteOnline()),
    ]
  }

  /** Internal: `createVault`, `restoreVault` and `openVault` make them. Takes the store over. */
  static async open(options: {
    vaultId: VaultId
    remote: string
    store: Store
    membership: Membership
    platform: Platform
    keeper: DeviceKeyKeeper
    /** Where several tabs may have the vault open. */
    tabs?: Tabs | undefined
  }): Promise<Vault> {
    const { vaultId, store, membership, platform, tabs } = options
    const { random } = platform
    const access = new Access()
    const newKey = (): string => uuidV7(platform.nowMs(), random)
    const damaged = new DamagedRecords()
    const writing = createWriting({
      membership,
      random,
      newKey,
      access,
      setTimer: platform.setTimer,
      onDamaged: (recordId) => damaged.add(recordId),
    })
    const local = await LocalSecondary.open({
      keys: writing.keys,
      store,
      vaultId,
      clockIdentity: { deviceId: membership.memberId, tail: random(4) },
      nowMs: platform.nowMs,
      pairHash: pairHashOf(membership),
      lock: tabs?.lock,
      caughtUp: () => takeStored(membership, store),
    })
    const vault = new Vault({ ...options, local, writing, damaged, access })
    await vault.#names.load()
    return vault
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
    return viewRemote(this.#transport, {
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
    for (const end of this.#endListening) end()
    await this.#syncing.stop()
    await this.#endTabs()
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

/** Another tab may have stored members and epochs that this one does not know yet. */
async function takeStored(membership: Membership, store: Store): Promise<void> {
  const next = keychainKey(membership.storedCount)
  if ((await store.get(next)) === undefined) return
  membership.take(await readKeychainEntries(store))
}
