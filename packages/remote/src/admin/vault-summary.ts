/**
 * Vault summary: what the administration says of a vault, as plain JSON, and how a vault is named.
 *
 * A remote knows no names of people, devices or records: ids, sizes, times and numbers are all.
 */
import {
  decodeUint64,
  formatBase64Url,
  formatHex,
  type MemberId,
  parseCheckpoint,
  parseVaultId,
  VAULT_ID_BYTES,
  type VaultId,
} from '@blindcopy/protocol'
import { remoteKeyspace, type Store } from '@blindcopy/secondary'
import { AdminError } from '../error.ts'
import { countDevices, type Quota, quotaOf } from '../quota.ts'
import { walkVaults } from '../vault-list.ts'
import type { VaultState } from '../vault-state.ts'
import type { Vault } from '../vaults.ts'
import type { AdminParts } from './admin-parts.ts'
import { noSuchVault, readVault } from './read-vault.ts'
import { sections } from './store-scan.ts'

export type VaultRow = {
  readonly id: string
  /** Whether its state can be read; the rest is null when it cannot. */
  readonly isReadable: boolean
  readonly records: number | null
  readonly bytes: number | null
  readonly historyRecords: number | null
  readonly historyBytes: number | null
  readonly devices: number | null
  readonly createdMs: number | null
  /** Of the last push; 0 before the first. */
  readonly pushedMs: number | null
  readonly quota: Quota | null
  /** Whether the quota is this vault's own. */
  readonly hasOwnQuota: boolean
  /** Where its log ends. */
  readonly seq: number | null
  readonly chain: string | null
}

export type VaultDetails = VaultRow & {
  readonly syncId: string
  readonly fingerprint: string
  readonly keychain: {
    readonly entries: number
    readonly bytes: number
    readonly epoch: number
    readonly recoveryKeys: number
    readonly revoked: number
  }
  readonly members: readonly {
    readonly id: string
    readonly kind: 'device' | 'recovery'
    readonly addedMs: number
    /** Of its newest checkpoint. */
    readonly signed: { readonly timeMs: number; readonly seq: number } | null
  }[]
  /** When the oldest version in the history was superseded. */
  readonly oldestHistoryMs: number | null
}

const PAGE_VAULTS = 256

export async function* summarizeVaults(parts: AdminParts): AsyncGenerator<VaultRow> {
  for await (const page of walkVaults(parts.store, PAGE_VAULTS)) {
    for (const { vaultId, state } of page) {
      // One that cannot be read must not keep the others from being shown.
      const vault = await parts.vaults.read(vaultId).catch(() => undefined)
      yield rowOf(parts, vaultId, vault?.state ?? state, vault)
    }
  }
}

function rowOf(
  { limits }: AdminParts,
  vaultId: VaultId,
  state: VaultState | undefined,
  vault: Vault | undefined,
): VaultRow {
  return {
    id: formatHex(vaultId),
    isReadable: vault !== undefined,
    records: state?.count ?? null,
    bytes: state?.bytes ?? null,
    historyRecords: state?.historyCount ?? null,
    historyBytes: state?.historyBytes ?? null,
    devices: vault === undefined ? null : countDevices(vault.keychain),
    createdMs: state?.createdMs ?? null,
    pushedMs: state?.pushedMs ?? null,
    quota: state === undefined ? null : quotaOf(state, limits),
    hasOwnQuota: state?.quota !== undefined,
    seq: state?.head.seq ?? null,
    chain: state === undefined ? null : formatHex(state.head.chain),
  }
}

/** Throws `no-such-vault`. */
export async function describeVault(parts: AdminParts, vaultId: VaultId): Promise<VaultDetails> {
  const vault = await readVault(parts, vaultId)
  const { state, keychain, keys } = vault
  const signed = await readSigned(parts.store, vault)
  const members = [...keychain.membersById.values()].map(({ memberId, kind, addedMs }) => ({
    id: formatHex(memberId),
    kind,
    addedMs,
    signed: signed.get(formatHex(memberId)) ?? null,
  }))
  return {
    ...rowOf(parts, vaultId, state, vault),
    syncId: formatBase64Url(state.syncId),
    fingerprint: formatHex(state.fingerprint),
    keychain: {
      entries: state.keychainLength,
      bytes: state.keychainBytes,
      epoch: keychain.epochs.at(-1)?.epoch ?? 0,
      recoveryKeys: members.filter(({ kind }) => kind === 'recovery').length,
      revoked: keychain.revokedById.size,
    },
    members,
    oldestHistoryMs: await readOldest(parts.store, keys.expiries(undefined)),
  }
}

async function readSigned(
  store: Store,
  { keys }: Vault,
): Promise<Map<string, { timeMs: number; seq: number }>> {
  const signed = new Map<string, { timeMs: number; seq: number }>()
  for await (const page of store.pages(sections.checkpoints(keys))) {
    for (const [, bytes] of page) {
      try {
        const { memberId, timeMs, position } = parseCheckpoint(bytes)
        signed.set(formatHex(memberId as MemberId), { timeMs, seq: position.seq })
      } catch {
        // `check` says what is wrong with it.
      }
    }
  }
  return signed
}

/** The first key of the expiries begins with the time. */
async function readOldest(
  store: Store,
  range: Parameters<Store['keyPages']>[0],
): Promise<number | null> {
  for await (const [key] of store.keyPages({ ...range, limit: 1 })) {
    if (key !== undefined) return decodeUint64(key, VAULT_ID_BYTES + 1)
  }
  return null
}

const PREFIX_MIN = 4

/**
 * The vault whose id begins so, in hexadecimal digits. With `isWhole`, a whole id names a vault
 * that has no state too. Throws `no-such-vault` or `vault-ambiguous`.
 */
export async function findVault(
  { store }: Pick<AdminParts, 'store'>,
  prefix: string,
): Promise<VaultId> {
  const wanted = prefix.toLowerCase()
  if (!/^[0-9a-f]{1,64}$/.test(wanted)) {
    throw new AdminError(
      'no-such-vault',
      'a vault is named by the beginning of its id, such as 3fa91c02',
    )
  }
  if (wanted.length === 2 * VAULT_ID_BYTES) return existing(store, parseHexId(wanted))
  if (wanted.length < PREFIX_MIN) {
    throw new AdminError('vault-ambiguous', `give at least ${PREFIX_MIN} digits of the vault's id`)
  }
  const found: VaultId[] = []
  for await (const page of walkVaults(store, PAGE_VAULTS)) {
    for (const { vaultId } of page) if (formatHex(vaultId).startsWith(wanted)) found.push(vaultId)
    if (found.length > 1) break
  }
  const [vaultId] = found
  if (vaultId === undefined) throw noSuchVault()
  if (found.length === 1) return vaultId
  throw new AdminError('vault-ambiguous', `several vaults have an id that begins with ${wanted}`)
}

async function existing(store: Store, vaultId: VaultId): Promise<VaultId> {
  for await (const page of store.keyPages({ ...remoteKeyspace(vaultId).all, limit: 1 })) {
    if (page.length > 0) return vaultId
  }
  throw noSuchVault()
}

export function parseHexId(hex: string): VaultId {
  const pairs = hex.match(/../g) ?? []
  return parseVaultId(Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)))
}
