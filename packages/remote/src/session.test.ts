/** Logging in: what a nonce, a signature and a token are good for, and for how long. */
import {
  CHALLENGE_MS,
  encodeUtf8,
  formatHex,
  loginSignedBytes,
  SESSION_TOKEN_MS,
  SessionAnswer,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { createChallenges } from './challenge.ts'
import {
  Device,
  dump,
  makeChain,
  makeSigner,
  must,
  ORIGIN,
  openVault,
  post,
  random,
} from './remote.fixture.ts'
import { createTokens, hmacSha256 } from './token.ts'

describe('POST /v1/challenge', () => {
  it('answers alike for a vault that is here and one that is not', async () => {
    const { bench, device } = await openVault()
    const stranger = new Device(bench, makeChain().chain, makeSigner())
    const [known, unknown] = [await device.challenge(), await stranger.challenge()]
    expect(known.expiresMs).toBe(unknown.expiresMs)
    expect(known.nonce.length).toBe(32)
  })

  it('holds a bounded number of nonces, and makes room when they expire', () => {
    let ms = 0
    const challenges = createChallenges({ nowMs: () => ms, random, perProcessMax: 100 })
    const vaultId = () => random(32) as never
    const flooded = vaultId()
    const first = challenges.begin(flooded)
    for (let i = 0; i < 64; i++) challenges.begin(flooded)
    expect(() => challenges.take(flooded, first.nonce)).toThrow('the nonce is not known')
    for (let i = 0; i < 36; i++) challenges.begin(vaultId())
    expect(() => challenges.begin(vaultId())).toThrow('too many logins')
    ms = CHALLENGE_MS
    expect(() => challenges.begin(vaultId())).not.toThrow()
  })
})

describe('POST /v1/session', () => {
  it('answers a token, the SyncId and the head', async () => {
    const { bench, device, chain } = await openVault()
    const answer = must(SessionAnswer, await device.logIn())
    expect(answer.keychainLength).toBe(chain.entries.length)
    expect(answer.head[0]).toBe(1)
    expect(answer.expiresMs).toBe(bench.clock.ms + SESSION_TOKEN_MS)
  })

  it('takes the root', async () => {
    const { bench, chain } = await openVault()
    expect((await new Device(bench, chain, chain.root).logIn()).status).toBe(200)
  })

  it('refuses what does not fit, and changes nothing', async () => {
    const { bench, device, chain } = await openVault()
    const before = await dump(bench.store)
    const code = async (answer: ReturnType<Device['logIn']>) => (await answer).problem?.code
    const elsewhere = new Device(bench, makeChain().chain, makeSigner())
    expect(await code(elsewhere.logIn())).toBe('unknown-vault')
    expect(await code(new Device(bench, chain, makeSigner()).logIn())).toBe('not-a-member')
    expect(await code(device.logIn({ origin: 'https://phish.example' }))).toBe('origin-refused')
    expect(await code(device.logIn({ origin: `${ORIGIN}/` }))).toBe('origin-refused')
    expect(await code(device.logIn({ nonce: random(32) }))).toBe('challenge-failed')
    expect(await code(device.logIn({ signature: random(64) }))).toBe('challenge-failed')
    expect(await code(device.logIn({ expiresMs: 5 }))).toBe('challenge-failed')
    expect(await code(device.logIn({ more: 1 }))).toBe('malformed')
    expect(await dump(bench.store)).toEqual(before)
    expect(bench.faults).toEqual([])
  })

  it('takes a nonce once, right or wrong, even when two race', async () => {
    const { device, chain } = await openVault()
    const { nonce, expiresMs } = await device.challenge()
    const { memberId } = device.signer
    const statement = { vaultId: chain.vaultId, memberId, nonce, expiresMs, origin: ORIGIN }
    const signature = device.signer.sign(loginSignedBytes(statement))
    const request = { ...statement, signature }
    const answers = await Promise.all([1, 2, 3].map(() => post(device.app, '/v1/session', request)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401])
    const wrong = await device.challenge()
    await post(device.app, '/v1/session', { ...request, ...wrong })
    const right = { ...statement, nonce: wrong.nonce, expiresMs: wrong.expiresMs }
    const late = { ...right, signature: device.signer.sign(loginSignedBytes(right)) }
    expect((await post(device.app, '/v1/session', late)).problem?.code).toBe('challenge-failed')
  })

  it('refuses a nonce of another vault, and one that has expired', async () => {
    const { bench, device } = await openVault()
    const other = new Device(bench, makeChain().chain, makeSigner())
    const foreign = await other.challenge()
    expect((await device.logIn(foreign)).problem?.code).toBe('challenge-failed')
    const stale = await device.challenge()
    bench.clock.ms += CHALLENGE_MS
    expect((await device.logIn(stale)).problem?.code).toBe('challenge-failed')
  })
})

describe('a session token', () => {
  const refusal = async (device: Device) => (await device.get('/v1/keychain')).problem?.code

  it('ends after its time, and with the process', async () => {
    const { bench, device } = await openVault()
    bench.clock.ms += SESSION_TOKEN_MS - 1
    expect(await refusal(device)).toBeUndefined()
    bench.clock.ms += 1
    expect(await refusal(device)).toBe('session-required')
    await device.join()
    bench.restart()
    expect(await refusal(device)).toBe('session-required')
  })

  it('outlives the process when its key is given', async () => {
    const { bench, device } = await openVault({ tokenKey: random(32) })
    bench.restart()
    expect(await refusal(device)).toBeUndefined()
  })

  it('opens no other vault, and none when a bit is changed', async () => {
    const { bench, device, chain } = await openVault()
    const other = new Device(bench, makeChain().chain, makeSigner())
    const { token } = device
    for (let i = 0; i < token.length; i += 7) {
      const swapped = token[i] === 'A' ? 'B' : 'A'
      other.token = token.slice(0, i) + swapped + token.slice(i + 1)
      expect(await refusal(other)).toBe('session-required')
    }
    for (const bad of ['', 'x', '!'.repeat(118), `${token}A`]) {
      other.token = bad
      expect(await refusal(other)).toBe('session-required')
    }
    const key = random(32)
    const parts = { key, nowMs: () => 0, random }
    const held = { vaultId: chain.vaultId, memberId: device.signer.memberId }
    const issued = createTokens(parts).issue(held)
    expect(createTokens(parts).open(issued.token)).toMatchObject(held)
    expect(() => createTokens({ ...parts, key: random(32) }).open(issued.token)).toThrow()
  })
})

describe('hmacSha256', () => {
  it('gives the digests of RFC 4231, cases 1 and 2', () => {
    expect(formatHex(hmacSha256(new Uint8Array(20).fill(0x0b), encodeUtf8('Hi There')))).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    )
    const message = encodeUtf8('what do ya want for nothing?')
    expect(formatHex(hmacSha256(encodeUtf8('Jefe'), message))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })
})
