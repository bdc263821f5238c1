/**
 * What becomes of a chain when another end serves entries: each row of the table in
 * keychain-merge.ts, what hostile members make of it, and the law that entries replayed in the
 * order of their arrival lead to the chain that one reads from its first entry to its last.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatHex } from './bytes.ts'
import type { ProtocolError } from './error.ts'
import { vaultIdOf } from './ids.ts'
import {
  add,
  after,
  append,
  beyond,
  device,
  entry,
  epoch,
  grow,
  type Keys,
  keychain,
  keysOf,
  refuses,
  replace,
  revoke,
  root,
  START,
  type Step,
  vaultId,
  verifyEd25519,
  verifyingOnce,
} from './keychain.fixture.ts'
import {
  appendEntries,
  type Keychain,
  keychainBefore,
  keychainHead,
  newestEpoch,
  validateKeychain,
} from './keychain.ts'
import { parseKeychainEntry } from './keychain-entry.ts'
import { commonKeychain, mergeKeychain, replacesHead, replayKeychain } from './keychain-merge.ts'

const second = keysOf(40)
const third = keysOf(41)
const pair = [device, second]

/** Two devices in epoch 1: what both branches begin with. */
const base = grow(keychain, [device, add(second)])
const ofFirst = grow(
  base,
  [device, add(third)],
  [device, epoch(2, [...pair, third], { sealed: [1] })],
  [device, epoch(3, [...pair, third], { sealed: [2] })],
)
const ofSecond = grow(base, [second, revoke(device)], [second, epoch(2, [second], { sealed: [1] })])
const beyondBase = (chain: Keychain) => chain.hashes.slice(base.hashes.length)

/** The root's word over branches: everything that they have beyond the base gives way. */
function over(
  from: Keychain,
  branches: readonly Keychain[],
  { names = branches.flatMap((one) => [...one.hashes, ...[...one.replaced.values()]]) } = {},
): Keychain {
  const greatest = Math.max(...branches.map((one) => one.greatestEpoch))
  const own = new Set(from.hashes.map(formatHex))
  const replaced = names.filter((hash) => !own.has(formatHex(hash)))
  const members = [...from.membersById.values()].map(({ memberId }) => ({ ...device, memberId }))
  const sealed = [newestEpoch(from)?.epoch ?? 0]
  return grow(
    from,
    [root, replace(replaced, greatest)],
    [root, epoch(Math.max(greatest, from.greatestEpoch) + 1, members, { sealed })],
  )
}

const joined = over(base, [ofFirst, ofSecond])
const merge = (held: Keychain, entries: readonly Uint8Array[]) =>
  mergeKeychain(held, entries, verifyEd25519)
const forks = (act: () => unknown) =>
  refuses(act, /two lists of devices, and neither follows/, 'keychain-forked')

/** By hashes, which are over every byte, and by what was read out of them. */
function expectSame(one: Keychain, other: Keychain) {
  const digest = (chain: Keychain) => ({
    hashes: chain.hashes.map(formatHex),
    hashesOfEntries: chain.entries.map((bytes) => formatHex(parseKeychainEntry(bytes).hash)),
    members: [...chain.membersById].map(([id, member]) => [id, member.entryIndex, member.kind]),
    revoked: [...chain.revokedById].map(([id, member]) => [id, member.revokedIndex]),
    epochs: chain.epochs.map(({ epoch, entryIndex, joinsBranches }) => [
      epoch,
      entryIndex,
      joinsBranches,
    ]),
    replaced: [...chain.replaced.keys()],
    greatestEpoch: chain.greatestEpoch,
    sizeBytes: chain.sizeBytes,
  })
  expect(digest(one)).toEqual(digest(other))
}

describe('mergeKeychain', () => {
  it('takes nothing from the same chain, a part of it, or none', () => {
    for (let size = 0; size <= base.entries.length; size++) {
      const merged = merge(base, base.entries.slice(0, size))
      expect(merged).toEqual({ keychain: base, added: [], replaced: undefined })
    }
    expect(merge(base, base.entries.slice(2, 3)).added).toEqual([])
  })

  it('takes what follows its head, with or without what it has already', () => {
    for (const entries of [ofFirst.entries, beyond(ofFirst, base), ofFirst.entries.slice(2)]) {
      const merged = merge(base, entries)
      expectSame(merged.keychain, ofFirst)
      expect(merged.added).toEqual(beyond(ofFirst, base))
      expect(merged.replaced).toBeUndefined()
    }
  })

  it('refuses what leaves a gap, or an epoch missing at the end', () => {
    const [, ...late] = beyond(ofFirst, base)
    refuses(() => merge(base, late), /wrong index/)
    refuses(() => merge(base, ofSecond.entries.slice(0, -1)), /not followed by an epoch/)
    refuses(() => merge(ofFirst, joined.entries.slice(0, -1)), /not followed by an epoch/)
  })

  it('refuses a fork between members, both ways, however long either is', () => {
    forks(() => merge(ofFirst, ofSecond.entries))
    forks(() => merge(ofSecond, ofFirst.entries))
    forks(() => merge(ofFirst, ofSecond.entries.slice(0, -1)))
    const byRoot = grow(base, [root, add(keysOf(50))])
    forks(() => merge(ofFirst, byRoot.entries))
  })

  it('tells of a fork how long the chain is, and how much of it is common', () => {
    const details = { length: ofFirst.hashes.length, common: base.hashes.length }
    const act = () => merge(ofFirst, ofSecond.entries)
    expect(act).toThrowError(expect.objectContaining({ details }))
  })

  it('goes over to a branch of the root from every entry that it names', () => {
    for (const branch of [ofFirst, ofSecond]) {
      for (let size = base.hashes.length + 1; size <= branch.hashes.length; size++) {
        const standing = appendEntries(
          base,
          branch.entries.slice(base.hashes.length, size),
          () => true,
        )
        const merged = merge(standing, joined.entries)
        expectSame(merged.keychain, joined)
        expect(merged.added).toEqual(beyond(joined, base))
        expect(merged.replaced).toBe(standing)
      }
    }
  })

  it('goes over from any part of the base too, which is an extension', () => {
    for (let size = 3; size <= base.hashes.length; size++) {
      const merged = merge(keychainBefore(base, size), joined.entries)
      expectSame(merged.keychain, joined)
      expect(merged.replaced).toBeUndefined()
    }
  })

  it('does not go over from an entry that is not named', () => {
    forks(() => merge(grow(ofFirst, [third, add(keysOf(51))]), joined.entries))
    forks(() => merge(ofSecond, over(base, [ofFirst]).entries))
    const others = beyondBase(ofFirst).slice(0, -1)
    forks(() => merge(ofFirst, over(base, [ofFirst], { names: others }).entries))
    const stranger = grow(base, [second, add(keysOf(52))])
    forks(() => merge(stranger, joined.entries))
  })

  it('does not go over where the root goes on from another entry than stands here', () => {
    const elsewhere = over(ofSecond, [ofFirst])
    forks(() => merge(ofFirst, elsewhere.entries))
    forks(() => merge(ofFirst, beyond(elsewhere, base)))
    refuses(() => merge(ofFirst, beyond(elsewhere, ofSecond)), /wrong index|does not follow/)
  })

  it('skips for ever what was replaced, and says fork to what goes on from it', () => {
    for (const branch of [ofFirst, ofSecond]) {
      expect(merge(joined, branch.entries)).toMatchObject({ added: [], replaced: undefined })
      const after = grow(branch, [second, add(keysOf(53))])
      forks(() => merge(joined, after.entries))
      forks(() => merge(joined, beyond(after, branch)))
    }
    const longer = grow(joined, [device, add(keysOf(54))])
    const merged = merge(joined, [...ofFirst.entries, ...longer.entries, ...ofSecond.entries])
    expectSame(merged.keychain, longer)
    expect(merged.added).toEqual(beyond(longer, joined))
  })

  it('takes a second replacement over an earlier one, from wherever one stands', () => {
    const beforeBase = keychainBefore(base, 3)
    for (const from of [base, beforeBase]) {
      const again = over(from, [joined])
      for (const held of [joined, ofFirst, ofSecond]) {
        const merged = merge(held, again.entries)
        expectSame(merged.keychain, again)
        expect(merged.replaced).toBe(held)
        expect(merge(merged.keychain, held.entries).added).toEqual([])
      }
      forks(() => merge(over(base, [ofFirst, ofSecond]), again.entries))
    }
  })

  it('changes nothing that it was given', () => {
    const kept = [ofFirst.hashes.slice(), [...ofFirst.membersById.keys()], ofFirst.epochs.slice()]
    merge(ofFirst, joined.entries)
    expect([ofFirst.hashes, [...ofFirst.membersById.keys()], ofFirst.epochs]).toEqual(kept)
    expect(ofFirst.replaced.size).toBe(0)
  })
})

describe('a hostile member', () => {
  const names = beyondBase(ofFirst)

  it('cannot forge a replacement', () => {
    const forged = [
      entry(after(base), second, replace(names, 3)),
      entry(after(base), second, replace(names, 3), { place: { signer: root.memberId } }),
    ]
    refuses(() => merge(ofFirst, forged.slice(0, 1)), /not signed by the root/)
    refuses(() => merge(ofFirst, forged.slice(1)), /signature .* wrong/)
    const other = vaultIdOf(second.signingKey, root.kemKey)
    const ofOther = entry(after(base), root, replace(names, 3), { vault: other })
    refuses(() => merge(ofFirst, [ofOther]), /signature .* wrong/)
  })

  it('cannot cut the branch of the root and end it with an epoch of its own', () => {
    const begun = append(base, [root, replace(names, 3)])
    const ending = epoch(4, pair, { sealed: [1] })
    const cut = [...begun.entries, entry(after(begun), second, ending)]
    refuses(() => merge(ofFirst, cut), /not ended by the root/)
    expect(merge(ofFirst, append(begun, [root, ending]).entries).added).toHaveLength(2)
  })

  it('cannot change what the root names, not by a byte', () => {
    const bytes = beyond(joined, base)[0] as Uint8Array
    const once = verifyingOnce()
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.with(i, (bytes[i] ?? 0) ^ (1 << (i % 8)))
      expect(
        () => mergeKeychain(ofFirst, [changed, ...beyond(joined, base).slice(1)], once),
        `${i}`,
      ).toThrowError(expect.objectContaining({ code: expect.stringMatching(/^keychain-/) }))
    }
  })

  it('cannot have genesis replaced', () => {
    const bytes = entry(START, root, replace(ofFirst.hashes, 3))
    refuses(() => merge(ofFirst, [bytes]), /empty/)
  })
})

describe('replacesHead', () => {
  it('is so for a replacement that names the head, and for nothing else', () => {
    const parsed = beyond(joined, base).map((bytes) => parseKeychainEntry(bytes))
    expect(parsed.map((one) => replacesHead(ofFirst, one))).toEqual([true, false])
    expect(parsed.map((one) => replacesHead(base, one))).toEqual([false, false])
    expect(parsed.map((one) => replacesHead(joined, one))).toEqual([false, false])
  })
})

describe('commonKeychain', () => {
  it('is what two chains share, up to where no epoch is missing', () => {
    expectSame(commonKeychain(ofFirst, ofSecond), base)
    expectSame(commonKeychain(ofFirst, base), base)
    expectSame(commonKeychain(joined, ofSecond), base)
    expectSame(commonKeychain(ofFirst, ofFirst), ofFirst)
    const revoked = append(base, [device, revoke(second)])
    const one = grow(revoked, [device, epoch(2, [device], { sealed: [1] })])
    const other = grow(revoked, [device, epoch(2, [device], { sealed: [1] })])
    expectSame(commonKeychain(one, other), base)
  })
})

describe('replayKeychain', () => {
  const replay = (entries: readonly Uint8Array[]) => replayKeychain(vaultId, entries, verifyEd25519)

  it('refuses nothing at all, and what does not begin with genesis', () => {
    refuses(() => replay([]), /empty/)
    refuses(() => replay(base.entries.slice(1)), /begin with genesis/)
  })

  it('leads to the chain that the entries led to when they came, each branch first', () => {
    for (const first of [ofFirst, ofSecond]) {
      expectSame(replay([...first.entries, ...beyond(joined, base)]), joined)
    }
    const again = over(keychainBefore(base, 3), [joined])
    const order = [...ofFirst.entries, ...beyond(joined, base), ...again.entries.slice(3)]
    expectSame(replay(order), again)
    expectSame(replay([...order, ...ofSecond.entries]), again)
  })
})

/** One end: the chain it holds, and what it has stored, in the order in which it came. */
type End = { held: Keychain; stored: Uint8Array[] }

type Act = { kind: string; at: number; to: number; who: number }
const acts = fc.array(
  fc.record({
    kind: fc.constantFrom('add', 'add', 'revoke', 'epoch', 'send', 'send', 'replace'),
    at: fc.nat(2),
    to: fc.nat(2),
    who: fc.nat(1000),
  }),
  { minLength: 5, maxLength: 30 },
)

describe('random histories of three ends that meet, fork and are joined', () => {
  const once = verifyingOnce()
  const keysById = new Map([device, second].map((keys) => [formatHex(keys.memberId), keys]))
  const activeIn = (chain: Keychain) =>
    [...chain.membersById.keys()].map((id) => keysById.get(id) as Keys)
  let fresh = 1000

  function stepsOf(chain: Keychain, { kind, who }: Act): readonly Step[] {
    const members = activeIn(chain)
    const signers = [...members, root]
    const signer = signers[who % signers.length] as Keys
    const next = (stay: readonly Keys[]) =>
      epoch(chain.greatestEpoch + 1, stay, { sealed: [newestEpoch(chain)?.epoch ?? 0] })
    if (kind === 'add') {
      const newcomer = keysOf(fresh++)
      keysById.set(formatHex(newcomer.memberId), newcomer)
      return [[signer, add(newcomer, { kind: who % 5 === 0 ? 'recovery' : 'device' })]]
    }
    if (kind === 'epoch') return [[signer, next(members)]]
    const gone = members[(who * 7) % members.length] as Keys
    const stay = members.filter((keys) => keys !== gone)
    return [
      [signer, revoke(gone)],
      [signer, next(stay)],
    ]
  }

  /** Whether it was taken; when not, nothing may have changed. */
  function take(end: End, entries: readonly Uint8Array[]): boolean {
    try {
      const merged = mergeKeychain(end.held, entries, once)
      end.held = merged.keychain
      end.stored.push(...merged.added)
      return true
    } catch (error) {
      expect((error as ProtocolError).code).toMatch(/^keychain-(forked|invalid)$/)
      return false
    }
  }

  function act(ends: readonly End[], one: Act): void {
    const end = ends[one.at] as End
    if (one.kind === 'send') {
      take(ends[one.to] as End, end.held.entries)
    } else if (one.kind === 'replace') {
      joinAll(ends)
    } else {
      const before = end.held
      const steps = stepsOf(before, one)
      try {
        take(end, beyond(grow(before, ...steps), before))
      } catch (error) {
        // Itself, or the last device: the rules have their tests.
        expect((error as ProtocolError).code).toBe('keychain-invalid')
      }
    }
  }

  function joinAll(ends: readonly End[]): void {
    const chains = ends.map(({ held }) => held)
    const from = chains.reduce(commonKeychain)
    const after = chains.filter(({ hashes }) => hashes.length > from.hashes.length)
    if (after.length === 0) return
    const whole = over(from, after)
    for (const end of ends) {
      expect(take(end, whole.entries)).toBe(true)
      expectSame(end.held, whole)
    }
  }

  it('are read alike from first to last and in the order of arrival', () => {
    fc.assert(
      fc.property(acts, (history) => {
        const ends = [0, 1, 2].map((): End => ({ held: base, stored: [...base.entries] }))
        for (const one of history) act(ends, one)
        for (const { held, stored } of ends) {
          expectSame(replayKeychain(vaultId, stored, once), held)
          expectSame(validateKeychain(vaultId, held.entries, once), held)
        }
        joinAll(ends)
        const heads = ends.map(({ held }) => formatHex(keychainHead(held)))
        expect(new Set(heads).size).toBe(1)
        for (const { held, stored } of ends) {
          expectSame(replayKeychain(vaultId, stored, once), held)
        }
      }),
      { numRuns: process.env.SLOW === '1' ? 500 : 25 },
    )
  })
})
