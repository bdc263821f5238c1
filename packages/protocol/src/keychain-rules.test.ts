/**
 * What each type of entry may say: for each rule a test that breaks it alone in a chain that is
 * otherwise good, and asserts the reason.
 */
import { describe, expect, it } from 'vitest'
import { parseSignature, parseSigningPublicKey, vaultIdOf } from './ids.ts'
import {
  add,
  after,
  append,
  beyond,
  device,
  entry,
  epoch,
  extended,
  good,
  grow,
  type Keys,
  keychain,
  keysOf,
  randomHash,
  refuses,
  replace,
  revoke,
  root,
  type Step,
  vaultId,
  verifyEd25519,
} from './keychain.fixture.ts'
import {
  checkSettled,
  extendKeychain,
  findMember,
  findRevoked,
  type Keychain,
  keychainHead,
  knowsEntry,
  newestEpoch,
  signingKeyOf,
  validateKeychain,
} from './keychain.ts'
import type { MemberKind } from './keychain-entry.ts'
import { DEVICES_ACTIVE_MAX, RECOVERY_KEYS_ACTIVE_MAX } from './limits.ts'
import { memberProofBytes } from './signature.ts'

describe('member-add', () => {
  it('is taken from the root, a device and a recovery key', () => {
    const recovery = keysOf(6)
    const withRecovery = extended(add(recovery, { kind: 'recovery' }), root)
    const bytes = entry(after(withRecovery), recovery, add(keysOf(7)))
    const longer = extendKeychain(withRecovery, [bytes], verifyEd25519)
    expect([...longer.membersById.values()].map(({ kind }) => kind)).toEqual([
      'device',
      'recovery',
      'device',
    ])
  })

  it('is refused for an id that is taken: the same key, or the root', () => {
    refuses(() => extended(add(device)), /id .* taken/)
    refuses(() => extended(add(root)), /id .* taken/)
  })

  it('is refused for another key whose id has the same first four bytes', () => {
    // Found by search: two keys whose ids both begin with d0175a60.
    const [one, two] = [keysOf(34_433), keysOf(170_398)]
    expect(one.memberId.subarray(0, 4)).toEqual(two.memberId.subarray(0, 4))
    expect(one.memberId).not.toEqual(two.memberId)
    const withOne = extended(add(one))
    const bytes = entry(after(withOne), device, add(two))
    refuses(() => extendKeychain(withOne, [bytes], verifyEd25519), /id .* taken/)
  })

  it('is refused for a key of small order, which anybody can sign for', () => {
    const signingKey = parseSigningPublicKey(Uint8Array.of(1, ...new Uint8Array(31)))
    const payload = { ...add(keysOf(5)), signingKey }
    const bytes = entry(after(keychain), device, payload)
    refuses(
      () =>
        extendKeychain(keychain, [bytes], (m, s, k) => k === signingKey || verifyEd25519(m, s, k)),
      /not a safe point/,
    )
  })

  it('is refused without a proof that the member holds its key', () => {
    const newcomer = keysOf(5)
    const payload = add(newcomer)
    const proofs = {
      'of another key': device.sign(memberProofBytes(vaultId, newcomer)),
      'for another vault': add(newcomer, {
        vault: vaultIdOf(device.signingKey, root.kemKey),
      }).proof,
      'for another KEM key': newcomer.sign(
        memberProofBytes(vaultId, { ...newcomer, kemKey: device.kemKey }),
      ),
      'of nothing': parseSignature(new Uint8Array(64)),
    }
    for (const proof of Object.values(proofs)) {
      refuses(() => extended({ ...payload, proof }), /does not prove/)
    }
  })

  it('is refused without the keys of the newest epoch, and with keys before there is one', () => {
    refuses(() => extended(add(keysOf(5), { wrap: null })), /without the keys of the newest epoch/)
    const start = validateKeychain(vaultId, good.slice(0, 1), verifyEd25519)
    const bytes = entry(after(start), root, add(device))
    refuses(() => extendKeychain(start, [bytes], verifyEd25519), /keys of the newest epoch/)
  })

  it.each<[MemberKind, number]>([
    ['device', DEVICES_ACTIVE_MAX],
    ['recovery', RECOVERY_KEYS_ACTIVE_MAX],
  ])('is refused beyond the greatest number of one kind: %s, %i', (kind, countMax) => {
    let chain = validateKeychain(vaultId, good.slice(0, 1), verifyEd25519)
    const append = (number: number, which: MemberKind) => {
      const bytes = entry(
        after(chain),
        root,
        add(keysOf(100 + number), { kind: which, wrap: null }),
      )
      chain = extendKeychain(chain, [bytes], verifyEd25519)
    }
    for (let number = 0; number < countMax; number++) append(number, kind)
    expect(chain.membersById.size).toBe(countMax)
    refuses(() => append(countMax, kind), new RegExp(`there are ${countMax} members`))
    append(countMax, kind === 'device' ? 'recovery' : 'device')
  })
})

describe('epoch', () => {
  it('has the next number, and may seal more than the one before', () => {
    const second = extended(epoch(2, [device], { sealed: [1] }))
    expect(newestEpoch(second)?.epoch).toBe(2)
    const bytes = entry(after(second), root, epoch(3, [device], { sealed: [1, 2] }))
    const third = extendKeychain(second, [bytes], verifyEd25519)
    expect(third.epochs.map((one) => one.epoch)).toEqual([1, 2, 3])
  })

  it('is refused with any other number: after the last one nobody could be revoked', () => {
    for (const number of [0, 1, 3, 0xffff_ffff, 2 ** 32]) {
      refuses(() => extended(epoch(number, [device], { sealed: [1] })), /not the next one/)
    }
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    for (const number of [0, 2, 0xffff_ffff]) {
      const bytes = entry(after(start), device, epoch(number, [device]))
      refuses(() => extendKeychain(start, [bytes], verifyEd25519), /not the next one/)
    }
  })

  it('is refused when its number does not fit an envelope', () => {
    const last: Keychain = { ...keychain, greatestEpoch: 0xffff_ffff }
    refuses(() => append(last, [device, epoch(2 ** 32, [device], { sealed: [1] })]), /next one/)
  })

  it('is refused unless it is wrapped to exactly the active members', () => {
    const sealed = [1]
    const reason = /exactly the active members/
    refuses(() => extended(epoch(2, [], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, keysOf(5)], { sealed })), reason)
    refuses(() => extended(epoch(2, [keysOf(5)], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, device], { sealed })), reason)
    refuses(() => extended(epoch(2, [device, root], { sealed })), reason)
  })

  it('is refused when it does not seal the one before it', () => {
    refuses(() => extended(epoch(2, [device])), /does not seal the one before/)
    const second = extended(epoch(2, [device], { sealed: [1] }))
    const third = entry(after(second), device, epoch(3, [device], { sealed: [1] }))
    refuses(() => extendKeychain(second, [third], verifyEd25519), /does not seal the one before/)
  })

  it('is refused when it seals one twice, itself, or one that is not older', () => {
    for (const sealed of [
      [1, 1],
      [1, 2],
      [1, 3],
    ]) {
      refuses(() => extended(epoch(2, [device], { sealed })), /twice, or one that is not older/)
    }
  })

  it('is refused as the first when it seals another', () => {
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    const bytes = entry(after(start), device, epoch(1, [device], { sealed: [0] }))
    refuses(() => extendKeychain(start, [bytes], verifyEd25519), /first epoch seals another/)
  })
})

/** Two devices and a recovery key, in epoch 1. */
const second = keysOf(40)
const recovery = keysOf(41)
const crowd = grow(keychain, [device, add(second)], [root, add(recovery, { kind: 'recovery' })])

describe('member-revoke', () => {
  const next = (members: readonly Keys[], number = 2) => epoch(number, members, { sealed: [1] })

  it.each<[string, Keys, Keys]>([
    ['device', device, second],
    ['recovery key', recovery, second],
    ['root', root, device],
  ])('is taken from a %s with its epoch', (_, signer, gone) => {
    const stay = [device, second, recovery].filter((keys) => keys !== gone)
    const chain = grow(crowd, [signer, revoke(gone)], [signer, next(stay)])
    expect(findMember(chain, gone.memberId)).toBeUndefined()
    expect(signingKeyOf(chain, gone.memberId)).toBeUndefined()
    expect(findRevoked(chain, gone.memberId)).toMatchObject({
      signingKey: gone.signingKey,
      revokedBy: signer.memberId,
      revokedMs: 1_795_132_800_000,
      revokedIndex: 5,
    })
    expect(newestEpoch(chain)).toMatchObject({ epoch: 2, entryIndex: 6, joinsBranches: false })
    expect(chain).toMatchObject({ unsettled: 0, isReplacing: false })
    expect(findMember(crowd, gone.memberId)).toBeDefined()
  })

  it('takes several at once, in one entry or in several before one epoch', () => {
    const one = grow(crowd, [device, revoke(second, recovery)], [device, next([device])])
    const two = grow(
      crowd,
      [device, revoke(second)],
      [device, revoke(recovery)],
      [device, next([device])],
    )
    for (const chain of [one, two]) {
      expect(chain.membersById.size).toBe(1)
      expect(chain.revokedById.size).toBe(2)
    }
  })

  it.each<[string, Keys, readonly Keys[], RegExp]>([
    ['nobody', device, [], /names nobody/],
    ['a stranger', device, [keysOf(42)], /no active member/],
    ['a stranger beside a member', device, [second, keysOf(42)], /no active member/],
    ['the same member twice', device, [second, second], /no active member/],
    ['the root', device, [root], /no active member/],
    ['the device that signs', device, [device], /revokes itself/],
    ['the recovery key that signs', recovery, [recovery], /revokes itself/],
    ['every device, by the root', root, [device, second], /leaves no device/],
    ['every device, by a recovery key', recovery, [second, device], /leaves no device/],
    ['the last of all, by the root', root, [device, second, recovery], /leaves no device/],
  ])('is refused for %s', (_, signer, gone, reason) => {
    refuses(() => append(crowd, [signer, revoke(...gone)]), reason)
  })

  it('is refused for who was revoked before, and from them', () => {
    const chain = grow(crowd, [device, revoke(second)], [device, next([device, recovery])])
    refuses(() => append(chain, [device, revoke(second)]), /no active member/)
    const reason = /signer .* not an active member/
    refuses(() => append(chain, [second, revoke(recovery)]), reason)
    refuses(() => append(chain, [second, add(keysOf(43))]), reason)
    refuses(() => append(chain, [second, epoch(3, [device, recovery], { sealed: [2] })]), reason)
    const unsettled = append(crowd, [device, revoke(second)])
    refuses(() => append(unsettled, [second, next([device, recovery])]), reason)
  })

  it('is refused without an epoch in the same append', () => {
    const alone = append(crowd, [device, revoke(second)])
    expect(alone.unsettled).toBe(1)
    const reason = /not followed by an epoch/
    refuses(() => checkSettled(alone), reason)
    refuses(() => extendKeychain(crowd, beyond(alone, crowd), verifyEd25519), reason)
    refuses(() => validateKeychain(vaultId, alone.entries, verifyEd25519), reason)
    const added = append(alone, [device, add(keysOf(43))])
    refuses(() => extendKeychain(crowd, beyond(added, crowd), verifyEd25519), reason)
  })

  it('is refused with an epoch that the revoked one can open, or that seals none', () => {
    const alone = append(crowd, [device, revoke(second)])
    const reason = /exactly the active members/
    refuses(() => append(alone, [device, next([device, recovery, second])]), reason)
    refuses(() => append(alone, [device, next([device, second])]), reason)
    refuses(() => append(alone, [device, next([device])]), reason)
    const unsealed = epoch(2, [device, recovery])
    refuses(() => append(alone, [device, unsealed]), /does not seal the one before/)
    const same = epoch(1, [device, recovery], { sealed: [1] })
    refuses(() => append(alone, [device, same]), /not the next one/)
  })

  it('lets an epoch wait for as many entries as there can be members, and no more', () => {
    const countMax = DEVICES_ACTIVE_MAX + RECOVERY_KEYS_ACTIVE_MAX + 2
    let chain: Keychain = { ...append(crowd, [device, revoke(second)]), unsettled: countMax }
    chain = append(chain, [device, revoke(recovery)])
    expect(chain.unsettled).toBe(countMax + 1)
    refuses(() => append(chain, [device, add(keysOf(43))]), /too many entries wait/)
    refuses(() => append(chain, [device, next([device])]), /too many entries wait/)
  })
})

describe('a revoked key', () => {
  // Found by search: two keys whose ids both begin with d0175a60.
  const [one, two] = [keysOf(34_433), keysOf(170_398)]
  const without = grow(
    keychain,
    [device, add(one)],
    [device, revoke(one)],
    [device, epoch(2, [device], { sealed: [1] })],
  )

  it('is never added again, nor one that shares its first four bytes', () => {
    refuses(() => append(without, [device, add(one)]), /id .* taken/)
    refuses(() => append(without, [root, add(one, { kind: 'recovery' })]), /id .* taken/)
    refuses(() => append(without, [device, add(two)]), /id .* taken/)
    expect(append(without, [device, add(keysOf(44))]).membersById.size).toBe(2)
  })

  it.each<[MemberKind, number]>([
    ['device', DEVICES_ACTIVE_MAX],
    ['recovery', RECOVERY_KEYS_ACTIVE_MAX],
  ])('does not count as one of its kind: %s, %i', (kind, countMax) => {
    const first = kind === 'device' ? [device] : []
    const others = Array.from({ length: countMax - first.length }, (_, i) => keysOf(200 + i))
    const full = grow(keychain, ...others.map((keys): Step => [root, add(keys, { kind })]))
    const reason = new RegExp(`there are ${countMax} members`)
    refuses(() => append(full, [root, add(keysOf(45), { kind })]), reason)
    const [gone, ...stay] = others as [Keys, ...Keys[]]
    const revoked = grow(
      full,
      [device, revoke(gone)],
      [device, epoch(2, [device, ...stay], { sealed: [1] })],
    )
    const again = grow(revoked, [root, add(keysOf(45), { kind })])
    refuses(() => append(again, [root, add(keysOf(46), { kind })]), reason)
  })
})

describe('vaultProof', () => {
  it('is had by a recovery key and by nothing else', () => {
    const proof = randomHash()
    const key = add(keysOf(47), { kind: 'recovery' })
    const chain = extended({ ...key, vaultProof: proof })
    expect(findMember(chain, keysOf(47).memberId)?.vaultProof).toEqual(proof)
    refuses(() => extended({ ...key, vaultProof: null }), /names its vault/)
    refuses(() => extended({ ...add(keysOf(47)), vaultProof: proof }), /names its vault/)
  })
})

describe('replace', () => {
  const other = grow(crowd, [second, epoch(2, [device, second, recovery], { sealed: [1] })])
  const otherHead = keychainHead(other)
  const everybody = [device, second, recovery]

  it('is taken from the root, with members added and revoked, up to its epoch', () => {
    const newcomer = keysOf(48)
    const chain = grow(
      crowd,
      [root, replace([otherHead], 2)],
      [root, add(newcomer)],
      [root, revoke(second)],
      [root, epoch(3, [device, recovery, newcomer], { sealed: [1, 2] })],
    )
    expect(newestEpoch(chain)).toMatchObject({ epoch: 3, joinsBranches: true })
    expect(chain).toMatchObject({ greatestEpoch: 3, unsettled: 0, isReplacing: false })
    expect(knowsEntry(chain, otherHead)).toBe(true)
    expect(knowsEntry(crowd, otherHead)).toBe(false)
    expect(knowsEntry(chain, randomHash())).toBe(false)
    expect(chain.hashes.every((hash) => knowsEntry(chain, hash))).toBe(true)
    const fourth = epoch(4, [device, recovery, newcomer], { sealed: [3] })
    expect(newestEpoch(grow(chain, [device, fourth]))?.joinsBranches).toBe(false)
  })

  it.each<[string, Keys]>([
    ['device', device],
    ['recovery key', recovery],
  ])('is refused from a %s', (_, signer) => {
    refuses(
      () => append(crowd, [signer, replace([otherHead])]),
      /replace is not signed by the root/,
    )
  })

  it('is refused when a member goes on from it, as when one cuts the branch of the root', () => {
    const begun = append(crowd, [root, replace([otherHead], 2)], [root, revoke(second)])
    const payloads = [
      add(keysOf(48)),
      revoke(recovery),
      epoch(3, [device, recovery], { sealed: [1] }),
    ]
    for (const payload of payloads) {
      refuses(() => append(begun, [device, payload]), /not ended by the root/)
      expect(append(begun, [root, payload]).hashes).toHaveLength(8)
    }
  })

  it('is refused when it names nothing, or an entry of its own chain', () => {
    refuses(() => append(crowd, [root, replace([])]), /names no entry/)
    for (const own of crowd.hashes) {
      refuses(() => append(crowd, [root, replace([otherHead, own])]), /of its own chain/)
    }
  })

  it('is refused before the first epoch, and where an epoch must follow', () => {
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    refuses(() => append(start, [root, replace([otherHead])]), /before the first epoch/)
    const revoked = append(crowd, [device, revoke(second)])
    const reason = /where an epoch must follow/
    refuses(() => append(revoked, [root, replace([otherHead])]), reason)
    const twice = append(crowd, [root, replace([otherHead])])
    refuses(() => append(twice, [root, replace([randomHash()])]), reason)
  })

  it('is refused without its epoch', () => {
    const begun = append(crowd, [root, replace([otherHead])])
    refuses(() => checkSettled(begun), /not followed by an epoch/)
    refuses(() => validateKeychain(vaultId, begun.entries, verifyEd25519), /not followed/)
  })

  it('wants the epoch next above every number of the branches', () => {
    const begun = append(crowd, [root, replace([otherHead], 7)])
    for (const number of [1, 2, 7, 9]) {
      const payload = epoch(number, everybody, { sealed: [1] })
      refuses(() => append(begun, [root, payload]), /not the next one/)
    }
    expect(grow(begun, [root, epoch(8, everybody, { sealed: [1] })]).greatestEpoch).toBe(8)
    const largest = append(crowd, [root, replace([otherHead], 0xffff_fffe)])
    const last = epoch(0xffff_ffff, everybody, { sealed: [1] })
    expect(grow(largest, [root, last]).greatestEpoch).toBe(0xffff_ffff)
    const reason = /number of an epoch is too large/
    refuses(() => append(crowd, [root, replace([otherHead], 0xffff_ffff)]), reason)
  })

  it('lets its epoch seal several keys of one number, the one before it among them', () => {
    const begun = append(crowd, [root, replace([otherHead], 2)])
    const at = (sealed: number[]) => () => append(begun, [root, epoch(3, everybody, { sealed })])
    expect(at([1, 2, 2])().epochs).toHaveLength(2)
    expect(at([1, ...new Array<number>(16).fill(2)])().epochs).toHaveLength(2)
    refuses(at([1, ...new Array<number>(17).fill(2)]), /twice, or one that is not older/)
    refuses(at([2]), /does not seal the one before/)
    refuses(at([1, 3]), /not older/)
    refuses(at([1, 4]), /not older/)
  })

  it('lets no entry that gave way come back', () => {
    const chain = grow(
      crowd,
      [root, replace([otherHead, randomHash()], 2)],
      [root, epoch(3, everybody, { sealed: [1] })],
    )
    const named = { ...crowd, replaced: chain.replaced }
    const back = () => extendKeychain(named, beyond(other, crowd), verifyEd25519)
    refuses(back, /was replaced before/)
  })
})
