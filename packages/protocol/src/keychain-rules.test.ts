/**
 * What each type of entry may say: a test for each rule, broken alone in a good chain, with its reason.
 */
import { describe, expect, it } from 'vitest'
import { parseSignature, parseSigningPublicKey, vaultIdOf } from './ids.ts'
import {
  add,
  after,
  device,
  entry,
  epoch,
  extended,
  good,
  keychain,
  keysOf,
  refuses,
  root,
  vaultId,
  verifyEd25519,
} from './keychain.fixture.ts'
import { extendKeychain, newestEpoch, validateKeychain } from './keychain.ts'
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
  it('may leave numbers out, and may seal more than the one before', () => {
    const third = extended(epoch(3, [device], { sealed: [1] }))
    expect(newestEpoch(third)?.epoch).toBe(3)
    const bytes = entry(after(third), root, epoch(9, [device], { sealed: [1, 3] }))
    const ninth = extendKeychain(third, [bytes], verifyEd25519)
    expect(ninth.epochs.map((one) => one.epoch)).toEqual([1, 3, 9])
  })

  it('is refused when its number does not rise', () => {
    refuses(() => extended(epoch(1, [device], { sealed: [1] })), /does not rise/)
    refuses(() => extended(epoch(0, [device], { sealed: [1] })), /does not rise/)
    const start = validateKeychain(vaultId, good.slice(0, 2), verifyEd25519)
    const zero = entry(after(start), device, epoch(0, [device]))
    refuses(() => extendKeychain(start, [zero], verifyEd25519), /does not rise/)
  })

  it('is refused when its number does not fit an envelope', () => {
    const last = extended(epoch(0xffff_ffff, [device], { sealed: [1] }))
    expect(newestEpoch(last)?.epoch).toBe(0xffff_ffff)
    refuses(() => extended(epoch(2 ** 32, [device], { sealed: [1] })), /does not rise/)
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
    const bytes = entry(after(start), device, epoch(2, [device], { sealed: [1] }))
    refuses(() => extendKeychain(start, [bytes], verifyEd25519), /first epoch seals another/)
  })
})
