/**
 * A restore that holds a recovery key alone: `POST /v1/challenge` names the vault it was added to,
 * and the login that follows judges whether it is a member still.
 */
import {
  ChallengeAnswer,
  CreateAnswer,
  equalBytes,
  KeychainAnswer,
  KeychainAppendAnswer,
  loginSignedBytes,
  type SigningPublicKey,
} from '@blindcopy/protocol'
import { memberIndexKey } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  type Bench,
  Device,
  dump,
  makeChain,
  makeSigner,
  must,
  ORIGIN,
  openBench,
  openVault,
  post,
  random,
} from './remote.fixture.ts'

const askByKey = ({ remote }: Bench, signingKey: SigningPublicKey): Promise<Answer> =>
  post(remote.app, '/v1/challenge', { signingKey })

const codeOf = async (answer: Answer | Promise<Answer>) => (await answer).problem?.code

/** A vault whose chain has a recovery key. */
async function openWithRecovery() {
  const opened = await openVault()
  const { chain, device } = opened
  const key = chain.addRecovery(device.signer)
  must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
  return { ...opened, key }
}

describe('POST /v1/challenge with a recovery key', () => {
  it('names the vault, and its holder logs in and reads the chain', async () => {
    const { bench, chain, key } = await openWithRecovery()
    bench.restart()
    const answer = must(ChallengeAnswer, await askByKey(bench, key.signingKey))
    expect(answer.vaultId).toEqual(chain.vaultId)
    const { nonce, expiresMs } = answer
    const { vaultId } = chain
    const statement = { vaultId, memberId: key.memberId, nonce, expiresMs, origin: ORIGIN }
    const signature = key.sign(loginSignedBytes(statement))
    const session = await post(bench.remote.app, '/v1/session', { ...statement, signature })
    expect(session.status).toBe(200)
    expect(await codeOf(post(bench.remote.app, '/v1/session', { ...statement, signature }))).toBe(
      'challenge-failed',
    )
    const holder = await new Device(bench, chain, key).join()
    const { entries } = must(KeychainAnswer, await holder.get('/v1/keychain'))
    expect(entries).toEqual(chain.entries)
  })

  it('knows no other key: not of a device, not of the root, not a made-up one', async () => {
    const { bench, chain, device } = await openWithRecovery()
    const stored = await dump(bench.store)
    for (const { signingKey } of [device.signer, chain.root, makeSigner()]) {
      const { status, problem } = await askByKey(bench, signingKey)
      expect([status, problem?.code]).toEqual([404, 'unknown-vault'])
    }
    expect(await dump(bench.store)).toEqual(stored)
  })

  it('takes either a vault or a key, in their sizes', async () => {
    const { bench, chain, key } = await openWithRecovery()
    const { vaultId } = chain
    const { signingKey } = key
    const wrong = [
      {},
      { vaultId, signingKey },
      { signingKey, more: 1 },
      { signingKey: signingKey.slice(1) },
      { signingKey: [...signingKey] },
      { signingKey: Buffer.from(signingKey).toString('base64url') },
      { memberId: key.memberId },
    ]
    for (const request of wrong) {
      expect(await codeOf(post(bench.remote.app, '/v1/challenge', request))).toBe('malformed')
    }
    const plain = must(ChallengeAnswer, await post(bench.remote.app, '/v1/challenge', { vaultId }))
    expect(plain.vaultId).toBeUndefined()
  })

  it('still names the vault to a key that was revoked, whose login is then refused', async () => {
    const { bench, chain, device, key } = await openWithRecovery()
    must(KeychainAppendAnswer, await device.append(chain.revoke(device.signer, [key])))
    bench.restart()
    const answer = must(ChallengeAnswer, await askByKey(bench, key.signingKey))
    expect(answer.vaultId).toEqual(chain.vaultId)
    expect(await codeOf(new Device(bench, chain, key).logIn())).toBe('not-a-member')
  })

  it('names it to a key of a replaced branch, whose login is refused', async () => {
    const { bench, chain, device } = await openVault()
    const common = chain.fork()
    const key = chain.addRecovery(device.signer)
    must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
    common.replace(chain)
    common.addEpoch(common.root)
    must(CreateAnswer, await new Device(bench, common, common.root).create())
    const answer = must(ChallengeAnswer, await askByKey(bench, key.signingKey))
    expect(answer.vaultId).toEqual(chain.vaultId)
    expect(await codeOf(new Device(bench, chain, key).logIn())).toBe('not-a-member')
  })

  it('finds the vault again on a remote that was wiped, once a device has brought it', async () => {
    const { chain, device, key } = await openWithRecovery()
    const late = chain.fork()
    const second = late.addRecovery(device.signer)
    const wiped = openBench()
    expect(await codeOf(askByKey(wiped, key.signingKey))).toBe('unknown-vault')
    must(CreateAnswer, await new Device(wiped, chain, device.signer).create())
    expect(await codeOf(askByKey(wiped, second.signingKey))).toBe('unknown-vault')
    must(CreateAnswer, await new Device(wiped, late, device.signer).create())
    wiped.restart()
    for (const { signingKey } of [key, second]) {
      const answer = must(ChallengeAnswer, await askByKey(wiped, signingKey))
      expect(answer.vaultId).toEqual(chain.vaultId)
    }
    const stored = await dump(wiped.store)
    const outside = stored.filter(([at]) => !equalBytes(at.subarray(0, 32), chain.vaultId))
    expect(outside.map(([, value]) => value)).toEqual([chain.vaultId, chain.vaultId])
    const keys = [key, second].map(({ signingKey }) => memberIndexKey(signingKey))
    for (const [at] of outside) expect(keys).toContainEqual(at)
  })

  it('stores nothing of a key that is refused, nor of one that is not proved', async () => {
    const { bench, chain, device, key } = await openWithRecovery()
    const stored = await dump(bench.store)
    // Somebody else's key, in a vault of one's own: its proof names the other vault.
    const { chain: own, device: thief } = makeChain()
    const stolen = { ...key, sign: () => random(64) as ReturnType<typeof key.sign> }
    own.addRecovery(thief, stolen)
    expect(await codeOf(new Device(bench, own, thief).create())).toBe('keychain-invalid')
    const twice = chain.fork()
    twice.addRecovery(device.signer, key)
    expect(await codeOf(device.append(chain.beyond(twice)))).toBe('keychain-invalid')
    expect(await dump(bench.store)).toEqual(stored)
    const answer = must(ChallengeAnswer, await askByKey(bench, key.signingKey))
    expect(answer.vaultId).toEqual(chain.vaultId)
  })
})
