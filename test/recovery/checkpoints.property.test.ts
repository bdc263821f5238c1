/**
 * No false alarm: whatever honest devices and an honest host do, in whatever order (writes, pulls
 * and pushes alone, exchanges that are cut, images put back, an emptied remote, rotations, folders
 * that are copied or put back, days without anybody), no checkpoint stops sync or is called false.
 * Afterwards all devices hold the same, and each finds what the others have signed.
 *
 * Lessons: A11, A12, C1. Threats: 22, 23, 28.
 */
import { codeOf, createHttpTransport, type Vault } from '@blindcopy/client'
import {
  extendKeychain,
  keychainHead,
  loginSignedBytes,
  validateKeychain,
} from '@blindcopy/protocol'
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import { beginEpoch, decodeDeviceKeyFile, openKeyring, verifySignature } from '@blindcopy/vault'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  copyOf,
  type Device,
  type Disk,
  exportOf,
  makeWorld,
  REMOTE,
  type World,
} from '../simulation/world.ts'
import { put } from './recovery.ts'

const numRuns = process.env.SLOW === '1' ? 400 : 15
const DEVICES = 3
const HOUR_MS = 3_600_000

type Installation = { device: Device; vault: Vault; saved: Disk | undefined }

type Act =
  | { readonly type: 'write'; readonly at: number; readonly key: number }
  | { readonly type: 'sync'; readonly at: number; readonly way: 'both' | 'pull' | 'push' }
  | { readonly type: 'cut'; readonly at: number; readonly requests: number }
  | { readonly type: 'image' | 'restore' | 'wipe' }
  | { readonly type: 'rotate'; readonly at: number }
  | { readonly type: 'save' | 'put-back' | 'copy'; readonly at: number }
  | { readonly type: 'wait'; readonly ms: number }

const at = fc.nat({ max: DEVICES - 1 })
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('write'), at, key: fc.nat({ max: 4 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('sync'),
      at,
      way: fc.constantFrom('both', 'both', 'both', 'pull', 'push'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('cut'), at, requests: fc.nat({ max: 12 }) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('image', 'restore', 'wipe') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('rotate'), at }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constantFrom('save', 'put-back', 'copy'), at }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('wait'),
      ms: fc.constantFrom(1_000, 61_000, 61_000, 5 * HOUR_MS, 30 * HOUR_MS),
    }),
  },
) as fc.Arbitrary<Act>

/** What a checkpoint could be made to say. Everything else that fails here is tried again. */
const ALARMS = ['history-forked', 'history-differs', 'keychain-forked', 'sync-stopped']

class Fleet {
  readonly world: World
  readonly installations: Installation[] = []
  #image: Store | undefined
  #writes = 0

  constructor(seed: number) {
    this.world = makeWorld(seed)
  }

  async begin(): Promise<void> {
    const first = this.world.makeDevice()
    const { vault, recoveryPhrase } = await first.create({ deviceName: 'device 0' })
    await vault.sync.once()
    this.installations.push({ device: first, vault, saved: undefined })
    for (let i = 1; i < DEVICES; i++) {
      const device = this.world.makeDevice()
      const restored = await device.restore(recoveryPhrase, { deviceName: `device ${i}` })
      this.installations.push({ device, vault: restored, saved: undefined })
    }
  }

  async act(one: Act): Promise<void> {
    switch (one.type) {
      case 'write':
        return put(this.#at(one.at).vault, `key ${one.key}`, `text ${this.#writes++}`)
      case 'sync':
        return this.sync(this.#at(one.at).vault, one.way)
      case 'cut':
        return this.#cut(this.#at(one.at), one.requests)
      case 'image':
        this.#image = await copyOf(this.world.store)
        return
      case 'restore':
        return this.#restart(this.#image)
      case 'wipe':
        return this.#restart(createMemoryStore())
      case 'rotate':
        return this.#rotate(this.#at(one.at))
      case 'save':
      case 'put-back':
      case 'copy':
        return this.#folder(one.type, this.#at(one.at))
      case 'wait':
        this.world.clock.ms += one.ms
    }
  }

  async sync(vault: Vault, direction: 'both' | 'pull' | 'push' = 'both'): Promise<void> {
    const code = await vault.sync.once({ direction }).then(() => undefined, codeOf)
    expect(ALARMS).not.toContain(code)
    const { problem } = vault.sync.status
    expect(ALARMS).not.toContain(problem?.code)
    // A set that differs is told while it is healed; a checkpoint that is called false never is.
    expect(problem?.message ?? '').not.toContain('checkpoint')
    expect((await vault.verify()).isSound).toBe(true)
  }

  #at(index: number): Installation {
    return this.installations[index % this.installations.length] as Installation
  }

  /** The network is gone after some requests, in the middle of whatever goes on. */
  async #cut({ device, vault }: Installation, requests: number): Promise<void> {
    let left = requests
    device.network.fetch = async (request, carry) => {
      if (left-- <= 0) throw new TypeError('fetch failed')
      return carry(request)
    }
    await this.sync(vault)
    device.network.fetch = (request, carry) => carry(request)
  }

  async #restart(store: Store | undefined): Promise<void> {
    if (store !== undefined) this.world.restartRemote({ store: await copyOf(store) })
  }

  /**
   * Only where all know the same list of members: two devices that begin an epoch each, since an
   * image lost the first, have an honest fork of the keychain, which is none of the checkpoints'.
   */
  async #rotate(installation: Installation): Promise<void> {
    for (let round = 0; round < 2; round++) {
      for (const { vault } of this.installations) await this.sync(vault)
    }
    const { random, nowMs, setTimer } = installation.device.platform
    const file = await installation.device.disk.folder().readKeys()
    const { deviceKeys, vaultId } = await decodeDeviceKeyFile(file)
    const transport = createHttpTransport(REMOTE, {
      fetch: async (...request) => this.world.remote.app.fetch(new Request(...request)),
      openSocket: () => {
        throw new Error('no socket is needed')
      },
      setTimer,
    })
    const { nonce, expiresMs } = await transport.challenge(vaultId)
    const { memberId } = deviceKeys
    const statement = { vaultId, memberId, nonce, expiresMs, origin: transport.origin }
    const signature = deviceKeys.sign(loginSignedBytes(statement))
    const { token } = await transport.session({ ...statement, nonce, signature })
    const entries = await transport.keychain(token, 0)
    const keychain = validateKeychain(vaultId, entries, verifySignature)
    const keyring = openKeyring({ keychain, holder: deviceKeys })
    const writing = { keychain, signer: deviceKeys, keyring, nowMs: nowMs(), random }
    const { entry } = beginEpoch(writing)
    extendKeychain(keychain, [entry], verifySignature)
    await transport.appendKeychain(token, { previous: keychainHead(keychain), entries: [entry] })
    // Nobody is left behind with the shorter list, should an image be put back now.
    for (const { vault } of this.installations) await this.sync(vault)
  }

  async #folder(what: 'save' | 'put-back' | 'copy', one: Installation): Promise<void> {
    if (what === 'save') {
      one.saved = await one.device.disk.copy()
      return
    }
    if (what === 'copy') {
      if (this.installations.length >= DEVICES + 2) return
      const device = this.world.makeDevice({ disk: await one.device.disk.copy() })
      this.installations.push({ device, vault: await device.open(), saved: undefined })
      return
    }
    if (one.saved === undefined) return
    await one.vault.close()
    one.device = this.world.makeDevice({ disk: await one.saved.copy() })
    one.vault = await one.device.open()
  }
}

describe('checkpoints of honest devices at an honest remote', () => {
  it('stop nothing and nobody, whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 1_000_000 }),
        fc.array(act, { minLength: 10, maxLength: 45 }),
        async (seed, acts) => {
          const fleet = new Fleet(seed)
          await fleet.begin()
          for (const one of acts) await fleet.act(one)
          for (let round = 0; round < 3; round++) {
            fleet.world.clock.ms += 61_000
            for (const { vault } of fleet.installations) await fleet.sync(vault)
          }
          const exports = new Set<string>()
          for (const { vault } of fleet.installations) {
            exports.add(await exportOf(vault))
            expect(vault.sync.status).toMatchObject({ pending: 0, attention: 0, problem: null })
            const { devices } = await vault.verify()
            for (const device of devices) {
              expect(device).toMatchObject({ state: 'linked', isSilent: false, unopened: 0 })
            }
          }
          expect(exports.size).toBe(1)
          expect(fleet.world.faults).toEqual([])
        },
      ),
      { numRuns },
    )
  }, 590_000)
})
