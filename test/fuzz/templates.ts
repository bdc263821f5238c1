/**
 * Templates: one good request of every kind, as the attacker's device may send it.
 */
import {
  createSignedBytes,
  encodeCbor,
  encodeNodes,
  formatMailboxId,
  HEADER_MAILBOX_ID,
  loginSignedBytes,
} from '@blindcopy/protocol'
import { makeCheckpoint } from '../../packages/remote/src/checkpoint.fixture.ts'
import {
  type Chain,
  type Device,
  makeEnvelope,
  ORIGIN,
  random,
  record,
  type Signer,
} from '../../packages/remote/src/remote.fixture.ts'
import type { Chance } from '../simulation/chance.ts'
import type { Outcome } from './case.ts'

export type Template = {
  readonly method: string
  readonly path: string
  readonly who: 'stranger' | 'member' | 'data'
  /** What a success may change. */
  readonly success: Outcome['mayChange']
  make(device: Device, chance: Chance): Promise<Uint8Array | undefined>
}

export const headersOf = (device: Device, who: Template['who']): Record<string, string> => {
  if (who === 'stranger') return {}
  return who === 'data' ? device.headers : { Authorization: `Bearer ${device.token}` }
}

const get = (path: string, who: Template['who']): Template => ({
  method: 'GET',
  path,
  who,
  success: 'nothing',
  make: async () => undefined,
})

const post = (
  path: string,
  who: Template['who'],
  success: Outcome['mayChange'],
  make: (device: Device, chance: Chance) => Promise<unknown>,
): Template => ({
  method: 'POST',
  path,
  who,
  success,
  make: async (device, chance) => encodeCbor(await make(device, chance)),
})

export const TEMPLATES: readonly Template[] = [
  get('/v1/capabilities', 'stranger'),
  get('/v1/keychain', 'member'),
  get('/v1/changes', 'data'),
  get('/v1/checkpoints', 'data'),
  post('/v1/challenge', 'stranger', 'nothing', async ({ chain }) => ({ vaultId: chain.vaultId })),
  post('/v1/session', 'stranger', 'nothing', makeLogin),
  post('/v1/vaults', 'stranger', 'state', (device) => makeCreate(device)),
  // Not sent whole: a device more each time would fill the vault.
  post('/v1/keychain', 'member', 'vault', async ({ chain, signer }) => {
    const longer = chain.fork()
    longer.addDevice(signer)
    return { previous: chain.head, entries: longer.entries.slice(-1) }
  }),
  post('/v1/push', 'data', 'vault', makePush),
  post('/v1/records', 'data', 'nothing', async () => ({
    ids: [record(1), record(2), record(99)],
  })),
  post('/v1/history', 'data', 'nothing', async (device, chance) => ({
    id: record(chance.below(40)),
    before: chance.oneIn(2) ? null : device.stamp(),
  })),
  post('/v1/reconcile', 'data', 'nothing', async (_, chance) => ({
    count: 3,
    fingerprint: chance.bytes(16),
    nodes: encodeNodes([
      { node: '', list: chance.oneIn(2) },
      ...(chance.oneIn(2) ? [] : [{ node: 'f0', list: true }]),
    ]),
  })),
  {
    method: 'PUT',
    path: '/v1/checkpoints',
    who: 'data',
    success: 'vault',
    make: async (device, chance) => makeCheckpoint(device, { number: 1 + chance.below(1e9) }),
  },
  post('/v1/mailboxes', 'member', 'nothing', async (_, chance) => ({
    mailboxId: chance.bytes(16),
    slot: 0,
    message: chance.bytes(chance.below(600)),
  })),
]

export const mailboxHeaders = (device: Device, id: Uint8Array): Record<string, string> => ({
  ...headersOf(device, 'member'),
  [HEADER_MAILBOX_ID]: formatMailboxId(id as Parameters<typeof formatMailboxId>[0]),
})

async function makeLogin(device: Device): Promise<unknown> {
  const { nonce, expiresMs } = await device.challenge()
  const { vaultId } = device.chain
  const { memberId } = device.signer
  const statement = { vaultId, memberId, nonce, expiresMs, origin: ORIGIN }
  return { ...statement, signature: device.signer.sign(loginSignedBytes(statement)) }
}

/** An offer of a chain by somebody; both may be others than those of the device. */
export async function makeCreate(
  device: Device,
  {
    chain = device.chain,
    signer = device.signer,
  }: { readonly chain?: Chain; readonly signer?: Signer } = {},
): Promise<Record<string, unknown>> {
  const { nonce } = await device.challenge()
  const statement = {
    vaultId: device.chain.vaultId,
    memberId: signer.memberId,
    nonce,
    greatestMs: 0,
    origin: ORIGIN,
    keychainHead: chain.head,
  }
  const { keychainHead: _, ...request } = statement
  const signature = signer.sign(createSignedBytes(statement))
  return { ...request, entries: [...chain.entries], signature }
}

async function makePush(device: Device, chance: Chance): Promise<unknown> {
  const [one, two] = [device.stamp(), device.stamp()]
  const { epoch } = device.chain
  const at = (timestamp: typeof one) =>
    makeEnvelope({ recordId: record(chance.below(40)), timestamp, epoch })
  const set = [
    makeEnvelope({ recordId: record(50), timestamp: one, epoch }),
    chance.oneIn(2) ? new Uint8Array(16) : random(16),
  ]
  return {
    transactions: [
      [one, [[at(one)], set]],
      [null, [[at(two)]]],
    ],
  }
}
