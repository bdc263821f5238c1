/**
 * Vault parts: everything a vault is made of, put together once when it is opened: the local
 * secondary, the engine and what may call on it, and what an app is handed.
 */
import { formatMemberId, formatVaultId, type VaultId } from '@blindcopy/protocol'
import { keychainKey, type Store } from '@blindcopy/secondary'
import { backupOf, type VaultBackup } from '../backup/vault-backup.ts'
import { type Syncing, TabSync } from '../browser/tab-sync.ts'
import type { Tabs } from '../browser/tabs.ts'
import { carryingOf, type VaultCarrying } from '../carry/vault-carrying.ts'
import { storeKeychain } from '../local/keychain-store.ts'
import { readKeychainEntries } from '../local/local-reading.ts'
import { LocalSecondary } from '../local/local-secondary.ts'
import { fileMeetingsOf } from '../local/meeting.ts'
import { DamagedRecords } from '../local/repair.ts'
import type { Platform } from '../platform.ts'
import { Access } from '../records/access.ts'
import type { HistorySource } from '../records/record-history.ts'
import type { WriteContext } from '../records/transaction.ts'
import { uuidV7 } from '../records/uuid.ts'
import { SyncEngine } from '../sync/engine.ts'
import { createHistoryFetch } from '../sync/history-fetch.ts'
import type { Transport } from '../sync/transport.ts'
import { createHttpTransport } from '../transport/http-transport.ts'
import type { DeviceKeyKeeper } from './device-keys.ts'
import { DeviceNames } from './device-names.ts'
import type { Membership } from './membership.ts'
import { pairingOf, type VaultPairing } from './pairing/pairing.ts'
import { readRegistrationToken } from './registration.ts'
import { syncIdentityOf } from './sync-identity.ts'
import { attentionOf, type VaultAttention } from './vault-attention.ts'
import { pairHashOf, type VaultCheckpoints, vaultCheckpointsOf } from './vault-checkpoints.ts'
import { conflictsOf, type VaultConflicts } from './vault-conflicts.ts'
import { type VaultKeys, vaultKeysOf } from './vault-keys.ts'
import { type VaultLock, vaultLockOf } from './vault-lock.ts'
import { protectionOf, type VaultProtection } from './vault-protection.ts'
import { syncOf, type VaultSync } from './vault-sync.ts'
import { createWriting, type Writing } from './writing.ts'

export type VaultSources = {
  readonly vaultId: VaultId
  readonly remote: string
  readonly store: Store
  readonly membership: Membership
  readonly platform: Platform
  readonly keeper: DeviceKeyKeeper
  /** Where several tabs may have the vault open. */
  readonly tabs?: Tabs | undefined
}

export type VaultParts = {
  readonly vaultId: string
  readonly deviceId: string
  readonly remote: string
  readonly local: LocalSecondary
  readonly membership: Membership
  readonly transport: Transport
  readonly syncing: Syncing
  readonly context: WriteContext
  readonly access: Access
  readonly sync: VaultSync
  readonly carrying: VaultCarrying
  readonly backup: VaultBackup
  readonly conflicts: VaultConflicts
  readonly attention: VaultAttention
  readonly pairing: VaultPairing
  readonly checkpoints: VaultCheckpoints
  readonly protection: VaultProtection
  readonly locking: VaultLock
  readonly keys: VaultKeys
  /** Ends what listens and what is shared with other tabs; the rest is the vault's to close. */
  readonly endListening: () => void
  readonly endTabs: () => Promise<void>
}

/** Takes the store over. */
export async function openParts(sources: VaultSources): Promise<VaultParts> {
  const { vaultId, store, membership, platform, tabs } = sources
  const { random, nowMs, setTimer } = platform
  const access = new Access()
  const damaged = new DamagedRecords()
  // Asked of the remote, which what writes knows nothing of.
  const asking: Asking = { history: notYet }
  const writing = createWriting({
    ...{ membership, random, access, setTimer },
    history: (...asked) => asking.history(...asked),
    newKey: () => uuidV7(nowMs(), random),
    onDamaged: (recordId) => damaged.add(recordId),
  })
  const local = await LocalSecondary.open({
    ...{ keys: writing.keys, store, vaultId, nowMs },
    clockIdentity: { deviceId: membership.memberId, tail: random(4) },
    pairHash: pairHashOf(membership),
    lock: tabs?.lock,
    caughtUp: () => takeStored(membership, store),
  })
  const context = writing.contextOf(local)
  const names = new DeviceNames(membership, context)
  await names.load()
  return assemble(sources, { access, damaged, local, context, names, writing, asking })
}

type Asking = { history: HistorySource }

const notYet: HistorySource = () => {
  throw new Error('a history was asked for before there was a transport')
}

type Opened = {
  readonly access: Access
  readonly damaged: DamagedRecords
  readonly local: LocalSecondary
  readonly context: WriteContext
  readonly names: DeviceNames
  readonly writing: Writing
  readonly asking: Asking
}

function assemble(sources: VaultSources, opened: Opened): VaultParts {
  const { membership, platform, remote, keeper } = sources
  const { access, local, context, names } = opened
  const { sealer } = context
  const transport = createHttpTransport(remote, platform)
  const { nowMs, setTimer, random } = platform
  const checkOpen = (): void => access.check()
  const retryAside = (): Promise<void> => carrying.retryAside()
  const identity = syncIdentityOf({ membership, context, damaged: opened.damaged, retryAside })
  opened.asking.history = createHistoryFetch({ transport, identity })
  const engine = new SyncEngine({ local, transport, timers: { ...platform, random }, identity })
  const { syncing, endTabs } = sharedSync(sources, local, engine)
  const changed = (): void => syncing.noteWrite()
  const onTaken = (): void => engine.noteForwards()
  const carrier = {
    ...{ vaultId: sources.vaultId, local, membership, random, nowMs, setTimer },
    open: sealer.openArrival,
    fileMeetings: fileMeetingsOf(() => local.state, opened.writing.keys),
  }
  const carrying = carryingOf(carrier, { checkOpen, access, onTaken })
  const { sync, control } = syncOf(syncing, { local, closed: access.closed }, checkOpen)
  const checkpoints = vaultCheckpointsOf({ local, membership, checkOpen, nowMs })
  const desk = { membership, local, transport, identity, platform, remote, checkOpen, changed }
  return {
    vaultId: formatVaultId(sources.vaultId),
    deviceId: formatMemberId(membership.memberId),
    ...{ remote, local, membership, transport, syncing, context, access, sync, checkpoints },
    carrying,
    backup: backupOf(carrier, { checkOpen, onTaken }),
    conflicts: conflictsOf(context, checkOpen),
    attention: attentionOf(context, { checkOpen, changed }),
    pairing: pairingOf({
      ...{ platform, membership, transport, remote, access },
      registrationToken: () => readRegistrationToken(context),
      newestCheckpoint: () => checkpoints.newestCheckpoint(),
      follow: (entries) => storeKeychain(local.state, membership.follower, entries),
    }),
    protection: protectionOf(keeper, access),
    locking: vaultLockOf({ access, membership, keeper, sealer, local, sync: control, setTimer }),
    keys: vaultKeysOf({ ...desk, names }),
    endListening: listen(platform, { local, membership, names, syncing }),
    endTabs,
  }
}

/** The engine, or what several tabs share of it. */
function sharedSync(
  { platform, tabs }: VaultSources,
  local: LocalSecondary,
  engine: SyncEngine,
): { syncing: Syncing; endTabs: () => Promise<void> } {
  if (tabs === undefined) return { syncing: engine, endTabs: async () => undefined }
  const tabSync = new TabSync({ ...platform, engine, local, tabs })
  return { syncing: tabSync, endTabs: async () => tabSync.close() }
}

function listen(
  platform: Platform,
  parts: {
    readonly local: LocalSecondary
    readonly membership: Membership
    readonly names: DeviceNames
    readonly syncing: Syncing
  },
): () => void {
  const { local, membership, names, syncing } = parts
  const ends = [
    local.onChange((changes) => {
      syncing.noteWrite()
      names.noteChanges(changes)
    }),
    membership.onChange(({ isReplaced }) => {
      if (isReplaced) tellReplaced(local)
    }),
    platform.onOnline(() => syncing.noteOnline()),
  ]
  return () => {
    for (const end of ends) end()
  }
}

const REPLACED =
  'the list of devices was set right with the recovery phrase: see which devices the vault has now'

/** Where the disk fails now, the list itself still tells. */
function tellReplaced(local: LocalSecondary): void {
  const { state } = local
  const tell = async (): Promise<void> => {
    const notices = state.withNotice({ code: 'keychain-replaced', message: REPLACED })
    await state.writeOps([], { notices })
  }
  void state.run(tell).catch(() => undefined)
}

/** Another tab may have stored members and epochs that this one does not know yet. */
async function takeStored(membership: Membership, store: Store): Promise<void> {
  const next = keychainKey(membership.storedCount)
  if ((await store.get(next)) === undefined) return
  membership.take(await readKeychainEntries(store))
}
