/**
 * Check: compares all that stands in the store of a vault with itself, and changes nothing.
 *
 * What a backup holds is checked as a backup is (image-check.ts). Beside it stand the indexes:
 *
 *   every live envelope      is the version that the index names for its record
 *   every row of the index   leads to an envelope of that record and time
 *   every transaction id     leads to its log entry, and each such entry is found by its id
 *   every old version        stands in the list by which it expires, and nothing else does
 *   every recovery key       leads to its vault
 *
 * The vault's section is held meanwhile: its pushes wait, those of others do not.
 */
import { equalBytes, type VaultId } from '@blindcopy/protocol'
import {
  type Entry,
  type RemoteKeyspace,
  remoteKeyspace,
  type Store,
  seqOfKey,
} from '@blindcopy/secondary'
import { isMemberIndexKey } from '../leftovers.ts'
import { decodeVaultState, type VaultState } from '../vault-state.ts'
import type { AdminParts } from './admin-parts.ts'
import { type Defect, Defects } from './defects.ts'
import { type Found, ImageCheck, type SoundPart, sentenceOf } from './image-check.ts'
import { checkPart, checkRows } from './index-check.ts'
import { EXPIRY_KEY_BYTES } from './index-rows.ts'
import { IndexSums } from './index-sums.ts'
import { indexKeysOf } from './removal.ts'
import { beginImage } from './vault-image.ts'

export type CheckedVault = {
  readonly vaultId: VaultId
  readonly defects: readonly Defect[]
  readonly records: number
}

type CheckParts = Pick<AdminParts, 'store' | 'vaults' | 'verify'>

/** Undefined when nothing stands under the id. */
export function checkVault(parts: CheckParts, vaultId: VaultId): Promise<CheckedVault | undefined> {
  return parts.vaults.alone(vaultId, async () => {
    const judged = await judgeInside(parts, vaultId)
    if (judged === undefined) return undefined
    const { defects, found } = judged
    return { vaultId, defects: defects.list, records: found?.count ?? 0 }
  })
}

export type Judged = {
  readonly defects: Defects
  readonly state: VaultState | undefined
  readonly found: Found | undefined
}

/** Inside the vault's section. */
export async function judgeInside(
  { store, verify }: Pick<CheckParts, 'store' | 'verify'>,
  vaultId: VaultId,
): Promise<Judged | undefined> {
  const keys = remoteKeyspace(vaultId)
  const defects = new Defects()
  const stateBytes = await store.get(keys.state)
  if (stateBytes === undefined) {
    if (!(await hasKeys(store, keys))) return undefined
    defects.add('state-missing', 'an interrupted deletion or restore has left keys of the vault')
    return { defects, state: undefined, found: undefined }
  }
  const state = readState(stateBytes, defects)
  if (state === undefined) return { defects, state, found: undefined }
  const sums = new IndexSums(keys)
  const passed = { store, verify, vaultId, state, defects }
  const found = await passThrough(passed, (sound) => sums.take(sound))
  if (!(await sums.match(store))) {
    const again = { ...passed, defects: new Defects() }
    await passThrough(again, (sound) => checkPart(store, keys, { sound, defects }))
    await checkRows(store, keys, defects)
  }
  await checkWaysHere(store, vaultId, { found, defects })
  await checkKeys(store, keys, defects)
  return { defects, state, found }
}

/** Checks the image, and gives each sound part of it on. */
async function passThrough(
  of: {
    readonly store: Store
    readonly verify: AdminParts['verify']
    readonly vaultId: VaultId
    readonly state: VaultState
    readonly defects: Defects
  },
  take: (sound: SoundPart) => void | Promise<void>,
): Promise<Found> {
  const { store, verify, vaultId, state, defects } = of
  const onStray = ([key]: Entry): void =>
    defects.add('envelope-stray', `an envelope stands at ${seqOfKey(key)}, where no entry is`)
  const image = await beginImage(store, vaultId, state, { onStray })
  const check = new ImageCheck(image.manifest, verify, defects)
  try {
    for await (const part of image.parts()) {
      const sound = check.take(part)
      if (sound !== undefined) await take(sound)
    }
  } finally {
    await image.close()
  }
  return check.finish()
}

async function hasKeys(store: Store, keys: RemoteKeyspace): Promise<boolean> {
  for await (const page of store.keyPages(keys.all)) {
    if (page.some((key) => !isMemberIndexKey(key))) return true
  }
  return false
}

function readState(bytes: Uint8Array, defects: Defects): VaultState | undefined {
  try {
    return decodeVaultState(bytes)
  } catch (error) {
    defects.add('state-damaged', `the state cannot be read: ${sentenceOf(error)}`)
    return undefined
  }
}

async function checkWaysHere(
  store: Store,
  vaultId: VaultId,
  { found, defects }: { found: Found; defects: Defects },
): Promise<void> {
  const ways = (found.keychain?.entries ?? []).flatMap(indexKeysOf)
  const owners = await store.getMany(ways)
  for (const owner of owners) {
    if (owner !== undefined && equalBytes(owner, vaultId)) continue
    defects.add('recovery-index-missing', 'a recovery key does not lead to its vault')
  }
}

/** How long the keys of each section are, the vault id included. */
const KEY_BYTES: Readonly<Record<string, number>> = {
  s: 33,
  k: 37,
  r: 49,
  e: 43,
  l: 41,
  t: 49,
  c: 41,
  h: 65,
  x: EXPIRY_KEY_BYTES,
}

async function checkKeys(store: Store, keys: RemoteKeyspace, defects: Defects): Promise<void> {
  for await (const page of store.keyPages(keys.all)) {
    for (const key of page) {
      const letter = String.fromCharCode(key[32] as number)
      if (key.length === KEY_BYTES[letter] || isMemberIndexKey(key)) continue
      const what = `a key of section ${JSON.stringify(letter)} that this program does not know`
      defects.add('key-unknown', what)
    }
  }
}
