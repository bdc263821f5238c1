/**
 * Keychain branch: how the root ends a fork of the keychain, or undoes what a stolen device has
 * written there (design 14).
 *
 *   base ── … branch a            base ── replace (names all of a and b)
 *       └── … branch b                    a revocation of members of the base that do not stay
 *                                         members that stay and were added in a or b
 *                                         this device, if it is new
 *                                         epoch, above every number of a and b, with all their keys
 *
 * Whoever stands on an entry that is named goes over to it by itself; nobody else does.
 */
import {
  equalBytes,
  equalBytesConstantTime,
  findMember,
  findRevoked,
  formatHex,
  type Hash,
  type Keychain,
  type Member,
  type MemberId,
  settledBefore,
} from '@blindcopy/protocol'
import { VaultError } from './error.ts'
import { KeychainDraft } from './keychain-draft.ts'
import {
  appendEpoch,
  appendMember,
  appendRevocation,
  generate,
  inTurns,
  type Newcomer,
} from './keychain-writer.ts'
import { type Keyring, openKeyring } from './keyring.ts'
import { openMemberName } from './member-name.ts'
import type { RandomBytes } from './random.ts'
import type { Root } from './root.ts'
import type { EpochKey } from './secret.ts'

export type BranchOptions = {
  readonly root: Root
  /** The part that stays; every branch begins with it. */
  readonly base: Keychain
  readonly branches: readonly Keychain[]
  /** The members that stay; all others of the base and of the branches go. */
  readonly keep: readonly MemberId[]
  /** A device that is a member of none of them. */
  readonly newcomer?: { readonly newcomer: Newcomer; readonly name: string } | undefined
  readonly nowMs: number
  readonly random: RandomBytes
}

type Branch = { readonly keychain: Keychain; readonly keyring: Keyring | undefined }

/**
 * One root-signed append that takes the place of all branches. Throws `keychain-invalid` when no
 * device would be left, `key-mismatch` when the root does not open the base.
 */
export function replaceBranches(options: BranchOptions): {
  readonly entries: readonly Uint8Array[]
  readonly keychain: Keychain
} {
  const { root, base, newcomer, random, nowMs } = options
  const keyring = openKeyring({ keychain: base, holder: root })
  const branches = options.branches.map((keychain) => openBranch(keychain, base, root))
  try {
    const draft = new KeychainDraft({ keychain: base, signer: root, nowMs })
    draft.append({
      type: 'replace',
      replaced: replacedBy(base, options.branches),
      greatestEpoch: Math.max(...options.branches.map((branch) => branch.greatestEpoch)),
    })
    const [gone, goneLast] = inTurns(base, (member) => !keeps(options, member.memberId))
    appendRevocation(draft, gone)
    for (const { member, name } of membersToAdd(base, branches, options.keep)) {
      const vaultProof = member.vaultProof ?? undefined
      appendMember(draft, { keyring, newcomer: { ...member, vaultProof }, name, random })
    }
    if (newcomer !== undefined) appendMember(draft, { keyring, ...newcomer, random })
    appendRevocation(draft, goneLast)
    const epochKey = generate('EpochKey', random)
    const keys = { epochKey, idKey: keyring.newestKeys().idKey }
    const epoch = draft.keychain.greatestEpoch + 1
    appendEpoch(draft, { epoch, keys, older: keysOf(keyring, branches), random })
    epochKey.wipe()
    return draft.finish()
  } finally {
    for (const open of [keyring, ...branches.map((branch) => branch.keyring)]) open?.wipe()
  }
}

const keeps = ({ keep }: BranchOptions, memberId: MemberId): boolean =>
  keep.some((kept) => equalBytes(kept, memberId))

/** Every entry of the branches beyond the base, and what those had replaced before. */
function replacedBy(base: Keychain, branches: readonly Keychain[]): Hash[] {
  const own = new Set(base.hashes.map(formatHex))
  const replaced = new Map<string, Hash>()
  for (const branch of branches) {
    for (const hash of [...branch.hashes, ...branch.replaced.values()]) {
      const id = formatHex(hash)
      if (!own.has(id)) replaced.set(id, hash)
    }
  }
  return [...replaced.values()]
}

/** The branch up to the last epoch that the root can open: a member may have spoiled one. */
function openBranch(keychain: Keychain, base: Keychain, root: Root): Branch {
  const ends = keychain.epochs.map((epoch) => epoch.entryIndex).reverse()
  for (const end of [keychain.hashes.length, ...ends]) {
    if (end <= base.hashes.length) break
    try {
      const opened = settledBefore(keychain, end)
      return { keychain, keyring: openKeyring({ keychain: opened, holder: root }) }
    } catch (error) {
      if (!(error instanceof VaultError) || error.code !== 'key-mismatch') throw error
    }
  }
  return { keychain, keyring: undefined }
}

/** Those that stay and were added in a branch, each once, with the name it has there. */
function membersToAdd(
  base: Keychain,
  branches: readonly Branch[],
  keep: readonly MemberId[],
): { member: Member; name: string }[] {
  return keep.flatMap((memberId) => {
    if (findMember(base, memberId) !== undefined) return []
    // Thrown out again in a branch: it stays all the same, for the branch has given way.
    for (const find of [findMember, findRevoked]) {
      for (const { keychain, keyring } of branches) {
        const member = find(keychain, memberId)
        if (member !== undefined) return [{ member, name: nameOf(member, keyring) }]
      }
    }
    return []
  })
}

function nameOf(member: Member, keyring: Keyring | undefined): string {
  try {
    return keyring === undefined ? '' : (openMemberName(keyring, member) ?? '')
  } catch {
    // A name that a member spoiled must not hold up the others.
    return ''
  }
}

/** The newest key of the base, and every key of the branches that the base does not open. */
function keysOf(keyring: Keyring, branches: readonly Branch[]): (readonly [number, EpochKey])[] {
  const held = [...keyring.epochKeys()].map(([, key]) => key)
  const keys: (readonly [number, EpochKey])[] = [
    [keyring.newestEpoch, keyring.newestKeys().epochKey],
  ]
  for (const branch of branches) {
    for (const [epoch, key] of branch.keyring?.epochKeys() ?? []) {
      if (held.some((own) => equalBytesConstantTime(own.bytes, key.bytes))) continue
      held.push(key)
      keys.push([epoch, key])
    }
  }
  return keys
}
