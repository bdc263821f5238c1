/**
 * devices list and rename: who holds keys of the vault, as this device knows it; asks nobody.
 */
import type { KeysStatus, RevokedDevice, Vault, VaultDevice } from '@blindcopy/client'
import { codeOf } from '@blindcopy/client'
import { clip, formatAgo, formatRows } from './layout.ts'
import { findMemberId, shortLength, shownName } from './member-names.ts'
import { syncPass } from './sync-pass.ts'
import type { Terminal } from './terminal.ts'
import { type VaultOptions, withVault } from './vault-folder.ts'

export type ListOptions = VaultOptions & { readonly all?: boolean }

export async function listDevices(options: ListOptions, terminal: Terminal): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const status = vault.keys.status()
    const heard = await lastHeard(vault)
    const { recoveryKeys, revoked } = status
    const devices = status.devices.map((device) => ({
      ...device,
      lastHeardMs: heard.get(device.deviceId) ?? null,
    }))
    const json = { devices, recoveryKeys, ...(options.all === true ? { revoked } : {}) }
    const text = describeMembers(status, heard, {
      withRevoked: options.all === true,
      columns: terminal.columns,
      nowMs: Date.now(),
    })
    await terminal.answer(json, text)
  })
}

/** When each other device last signed what it had; that one has a clock of its own. */
async function lastHeard(vault: Vault): Promise<Map<string, number>> {
  const { devices } = await vault.verify()
  return new Map(
    devices.flatMap(({ deviceId, signedMs, isThis }) =>
      signedMs === null || isThis ? [] : [[deviceId, signedMs] as const],
    ),
  )
}

type Showing = {
  readonly withRevoked: boolean
  readonly columns: number
  readonly nowMs: number
}

export function describeMembers(
  status: KeysStatus,
  heard: ReadonlyMap<string, number>,
  { withRevoked, columns, nowMs }: Showing,
): string {
  const { devices, recoveryKeys, revoked } = status
  const names = namesIn(status)
  const rowOf = (member: VaultDevice, last: string): string[] => [
    `  ${names.shortId(member.deviceId)}`,
    shownName(member.name),
    `added ${formatAgo(member.addedMs, nowMs)} by ${names.of(member.addedBy)}`,
    last,
  ]
  const rows = devices.map((device) => rowOf(device, heardText(device, heard, nowMs)))
  const keyRows = recoveryKeys.map((key) => rowOf(key, ''))
  const goneRows = revoked.map((gone) => [
    `  ${names.shortId(gone.deviceId)}`,
    `${shownName(gone.name)}${gone.kind === 'recovery' ? ' (recovery key)' : ''}`,
    `removed ${formatAgo(gone.revokedMs, nowMs)} by ${names.of(gone.revokedBy)}`,
  ])
  return [
    'Devices',
    formatRows(rows, columns),
    ...(keyRows.length === 0 ? [] : ['', 'Recovery keys', formatRows(keyRows, columns)]),
    ...(withRevoked ? ['', 'Removed', formatRows(goneRows, columns) || '  nobody'] : []),
    ...(!withRevoked && revoked.length > 0 ? ['', hiddenText(revoked)] : []),
  ].join('\n')
}

function heardText(
  { deviceId, isThis }: VaultDevice,
  heard: ReadonlyMap<string, number>,
  nowMs: number,
): string {
  if (isThis) return 'this device'
  const lastMs = heard.get(deviceId)
  return lastMs === undefined ? '' : `seen ${formatAgo(lastMs, nowMs)}`
}

const hiddenText = ({ length }: readonly RevokedDevice[]): string =>
  `${length} removed: \`blindcopy devices list --all\` shows when and by whom.`

/** How members are called in lines about them. */
export type MemberNames = {
  shortId(id: string): string
  /** Null is the recovery phrase. */
  of(id: string | null): string
}

export function namesIn({ devices, recoveryKeys, revoked }: KeysStatus): MemberNames {
  const everybody = [...devices, ...recoveryKeys, ...revoked]
  const length = shortLength(everybody.map(({ deviceId }) => deviceId))
  const shortId = (id: string): string => id.slice(0, length)
  const nameById = new Map(everybody.map(({ deviceId, name }) => [deviceId, name]))
  return {
    shortId,
    of(id) {
      if (id === null) return 'the phrase'
      const name = nameById.get(id) ?? ''
      return name === '' ? shortId(id) : clip(shownName(name), 24)
    },
  }
}

/** Every device and recovery key that is in the vault. */
export const activeIn = ({ devices, recoveryKeys }: KeysStatus): VaultDevice[] => [
  ...devices,
  ...recoveryKeys,
]

export async function renameDevice(
  given: string,
  name: string,
  options: VaultOptions,
  terminal: Terminal,
): Promise<void> {
  await withVault(options, terminal, async (vault) => {
    const members = activeIn(vault.keys.status())
    const id = findMemberId(
      given,
      members.map((member) => ({ ...member, id: member.deviceId })),
    )
    const before = members.find(({ deviceId }) => deviceId === id)
    await vault.keys.rename(id, name)
    const isSynced = await syncPass(vault, terminal).then(
      () => true,
      (error: unknown) => {
        if (codeOf(error) !== 'network') throw error
        return false
      },
    )
    const where = isSynced ? 'The others see that when they sync.' : 'It waits here for the remote.'
    const text = `"${shownName(before?.name ?? '')}" is called "${shownName(name)}" now. ${where}`
    await terminal.answer({ deviceId: id, name, isSynced }, text)
  })
}
