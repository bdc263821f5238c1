/**
 * A remote that exists only as a script: it answers each call at once as its behaviour says, and a
 * clock with timers that runs only when the test says so.
 */
import {
  type Capabilities,
  type ChangesFrame,
  chainStart,
  FINGERPRINT_BYTES,
  LIMITS,
  type LiveFrame,
  type MemberId,
  ProtocolError,
  type Signature,
  type SyncId,
  type VaultId,
} from '@blindcopy/protocol'
import { createMemoryStore } from '@blindcopy/secondary'
import { deriveRoot, foundKeychain, generateDeviceKeys, generateRootSecret } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import { LocalSecondary } from '../local/local-secondary.ts'
import { SyncEngine } from './engine.ts'
import type { LiveHandlers, Transport } from './transport.ts'

/** A keychain that the remote, which checks nothing, is shown. */
function makeKeychain(): readonly Uint8Array[] {
  let next = 0
  const random = (size: number): Uint8Array => new Uint8Array(size).map(() => next++)
  const root = deriveRoot(generateRootSecret(random))
  const device = generateDeviceKeys(random)
  return foundKeychain({ root, device, deviceName: 'a device', nowMs: 1, random }).entries
}

export const vaultId = new Uint8Array(32).fill(7) as VaultId
export const syncId = new Uint8Array(16).fill(9) as SyncId
const head = [0, chainStart(vaultId)] as [number, ReturnType<typeof chainStart>]

/** Time that passes when the test lets it. */
export class VirtualTimers {
  ms = 1_800_000_000_000
  readonly #timers = new Map<object, { dueMs: number; callback: () => void }>()

  readonly nowMs = (): number => this.ms
  readonly setTimer = (callback: () => void, delayMs: number): (() => void) => {
    const timer = {}
    this.#timers.set(timer, { dueMs: this.ms + delayMs, callback })
    return () => this.#timers.delete(timer)
  }

  get delaysMs(): number[] {
    return [...this.#timers.values()].map(({ dueMs }) => dueMs - this.ms)
  }

  /** Lets time pass, timer by timer, and what each sets off. */
  async pass(ms: number): Promise<void> {
    const endMs = this.ms + ms
    for (let fired = 0; fired < 100_000; fired++) {
      await settle()
      const next = [...this.#timers].sort(([, a], [, b]) => a.dueMs - b.dueMs)[0]
      if (next === undefined || next[1].dueMs > endMs) break
      this.ms = Math.max(this.ms, next[1].dueMs)
      this.#timers.delete(next[0])
      next[1].callback()
    }
    this.ms = endMs
    await settle()
  }
}

/** Until nothing is under way but timers. Bounded: a circle without a pause would never end. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

export type Call = 'login' | 'changes' | 'push' | 'records' | 'reconcile' | 'live' | 'keychain'

/** What a call is answered with in place of success, if anything. */
export type Behaviour = (call: Call) => Error | undefined

export class ScriptedRemote {
  readonly calls: Call[] = []
  behave: Behaviour = () => undefined
  statedSyncId: SyncId = syncId
  socket: LiveHandlers | undefined

  #enter(call: Call): void {
    this.calls.push(call)
    const failure = this.behave(call)
    if (failure !== undefined) throw failure
  }

  count(call: Call): number {
    return this.calls.filter((made) => made === call).length
  }

  transport(): Transport {
    const empty = { count: 0, fingerprint: new Uint8Array(FINGERPRINT_BYTES) as never }
    const remote = this
    return {
      origin: 'http://scripted.test',
      capabilities: async () =>
        ({
          protocol: { min: 1, max: 1 },
          limits: LIMITS,
          registration: 'open',
          origins: [],
        }) as unknown as Capabilities,
      findVault: async () => vaultId,
      challenge: async () => ({ nonce: new Uint8Array(32) as never, expiresMs: 1 }) as never,
      session: async () => {
        remote.#enter('login')
        return {
          token: 't',
          expiresMs: 1,
          syncId: remote.statedSyncId,
          head,
          keychainLength: 1,
        } as never
      },
      create: async () => ({ syncId: remote.statedSyncId, head, entries: [] }) as never,
      keychain: async () => {
        remote.#enter('keychain')
        return []
      },
      appendKeychain: async () => {
        throw new ProtocolError('internal', 'not asked for')
      },
      push: async (_data, transactions) => {
        remote.#enter('push')
        const refused = { type: 'refused', code: 'storage-full', message: '', details: {} }
        return { verdicts: transactions.map(() => refused) } as never
      },
      async *changes(): AsyncGenerator<ChangesFrame> {
        remote.#enter('changes')
        yield [2, head[0], head[1], empty.count, empty.fingerprint] as ChangesFrame
      },
      records: async (_data, ids) => {
        remote.#enter('records')
        return ids.map(() => null)
      },
      history: async () => ({ versions: [], next: null, retentionMs: 0 }),
      reconcile: async () => {
        remote.#enter('reconcile')
        return { head, ...empty, answers: new Uint8Array(0) } as never
      },
      checkpoints: async () => [],
      putCheckpoint: async () => undefined,
      async *digests(): AsyncGenerator<ChangesFrame> {},
      live(handlers) {
        remote.calls.push('live')
        remote.socket = handlers
        let isOpen = true
        return {
          hello() {
            const failure = remote.behave('live')
            setImmediate(() => {
              if (!isOpen) return
              if (failure === undefined) handlers.onFrame([4, ...head] as LiveFrame)
              else handlers.onClose(failure)
            })
          },
          close: () => {
            isOpen = false
          },
        }
      },
    }
  }
}

export const network = (): Error => new ClientError('network', 'cut')

/** An engine over an empty device, a scripted remote and virtual time. */
export async function makeEngine(
  random: (size: number) => Uint8Array = (n) => new Uint8Array(n),
): Promise<{
  engine: SyncEngine
  local: LocalSecondary
  remote: ScriptedRemote
  timers: VirtualTimers
}> {
  const timers = new VirtualTimers()
  const remote = new ScriptedRemote()
  const local = await LocalSecondary.open({
    store: createMemoryStore(),
    vaultId,
    clockIdentity: { deviceId: new Uint8Array(8) as MemberId, tail: new Uint8Array(4) },
    nowMs: timers.nowMs,
  })
  const engine = new SyncEngine({
    local,
    transport: remote.transport(),
    timers: { nowMs: timers.nowMs, setTimer: timers.setTimer, random },
    identity: {
      vaultId,
      memberId: new Uint8Array(8) as MemberId,
      sign: () => new Uint8Array(64) as Signature,
      open: () => ({ type: 'closed', reason: 'tampered' }),
      reseal: (envelope) => envelope,
      takeKeychain: () => [],
      keychainEntries: () => makeKeychain(),
      newestEpoch: () => 1,
      registrationToken: async () => undefined,
    },
  })
  return { engine, local, remote, timers }
}
