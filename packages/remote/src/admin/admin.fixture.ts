/**
 * Admin fixture: a remote on a LevelDB in a temporary folder, its administration, and devices that
 * push to it. Only tests import it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateAnswer,
  checkpointSignedBytes,
  encodeCheckpoint,
  encodeCheckpointBody,
  formatHex,
  KeychainAppendAnswer,
  keychainHead,
  type VaultId,
  validateKeychain,
} from '@blindcopy/protocol'
import {
  openLevelStore,
  type RemoteKeyspace,
  remoteKeyspace,
  type Store,
} from '@blindcopy/secondary'
import { onTestFinished } from 'vitest'
import { verifySignature } from '../node.ts'
import {
  type Bench,
  type Chain,
  Device,
  makeChain,
  makeEnvelope,
  must,
  openBench,
  random,
  record,
} from '../remote.fixture.ts'
import type { RemoteOptions } from '../remote.ts'
import { chunksOf } from './admin-app.ts'
import type { VaultDetails, VaultRow } from './vault-summary.ts'

export type Host = { readonly bench: Bench; readonly store: Store }

export async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'admin-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A remote on a LevelDB that is closed and removed after the test. */
export async function openHost(options: Partial<RemoteOptions> = {}): Promise<Host> {
  const store = await openLevelStore({ path: join(await openFolder(), 'vaults') })
  onTestFinished(() => store.close())
  return { bench: openBench({ store, ...options }), store }
}

export type Hosted = Host & {
  readonly chain: Chain
  readonly device: Device
  readonly id: string
  readonly vaultId: VaultId
  readonly keys: RemoteKeyspace
}

/** A vault with records that were written, changed and sent without an id, and a checkpoint. */
export async function addVault(host: Host, records = 5): Promise<Hosted> {
  const { chain, device: signer } = makeChain()
  const device = new Device(host.bench, chain, signer)
  must(CreateAnswer, await device.create())
  await device.join()
  chain.addRecovery(device.signer)
  must(KeychainAppendAnswer, await device.append(chain.entries.slice(-1)))
  await device.join()
  for (let n = 0; n < records; n++) await write(device, n)
  // Some a second time, so that there is history, and one push without an id.
  for (let n = 0; n < Math.min(2, records); n++) await write(device, n)
  const ops = [10, 11].map((n) => [
    makeEnvelope({ recordId: record(records + n), timestamp: device.stamp() }),
  ])
  await device.push([null, ops])
  await device.join()
  await sign(device)
  const { vaultId } = chain
  return { ...host, chain, device, vaultId, id: formatHex(vaultId), keys: remoteKeyspace(vaultId) }
}

export async function openHosted(records = 5): Promise<Hosted> {
  return addVault(await openHost(), records)
}

export async function write(device: Device, number: number, sizeBytes = 334): Promise<void> {
  device.bench.clock.ms += 1
  const timestamp = device.stamp()
  const envelope = makeEnvelope({ recordId: record(number), timestamp, sizeBytes })
  const [verdict] = await device.push([timestamp, [[envelope]]])
  if (verdict?.type !== 'applied') throw new Error(`not applied: ${JSON.stringify(verdict)}`)
}

async function sign(device: Device): Promise<void> {
  const { chain, signer, syncId, cursor, bench } = device
  const keychain = validateKeychain(chain.vaultId, chain.entries, verifySignature)
  const body = encodeCheckpointBody({
    vaultId: chain.vaultId,
    memberId: signer.memberId,
    number: 1,
    timeMs: bench.clock.ms,
    syncId,
    position: cursor,
    count: 1,
    epoch: 1,
    fingerprint: random(32),
    keychainLength: keychain.hashes.length,
    keychainHead: keychainHead(keychain),
    unopened: [],
    late: [],
  })
  const signature = signer.sign(checkpointSignedBytes(chain.vaultId, body))
  const headers = { ...device.headers, 'content-type': 'application/cbor' }
  const bytes = new Uint8Array(encodeCheckpoint(body, signature))
  const answer = await device.app.request('/v1/checkpoints', {
    method: 'PUT',
    headers,
    body: bytes,
  })
  if (!answer.ok) throw new Error(`checkpoint: ${await answer.text()}`)
}

/** What the administration answers, as JSON; throws the code of a refusal. */
export async function admin(host: Host, path: string, init: RequestInit = {}): Promise<unknown> {
  const answer = await host.bench.remote.admin.request(path, init)
  const text = await answer.text()
  if (!answer.ok) throw new Error((JSON.parse(text) as { code: string }).code)
  if (answer.headers.get('content-type') !== 'application/x-ndjson') return JSON.parse(text)
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as unknown)
}

export const list = async (host: Host): Promise<VaultRow[]> =>
  (await admin(host, '/vaults')) as VaultRow[]

export const inspect = async (host: Host, id: string): Promise<VaultDetails> =>
  (await admin(host, `/vaults/${id}`)) as VaultDetails

/** The file of a backup, as bytes. */
export async function backup(host: Host, path = '/backup'): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await host.bench.remote.admin.request(path)
  if (!answer.ok) throw new Error(((await answer.json()) as { code: string }).code)
  return new Uint8Array(await answer.arrayBuffer())
}

export type Restored = {
  readonly vaults: readonly {
    readonly id: string
    readonly outcome: string
    readonly why: string | null
    readonly defects: readonly { readonly name: string }[]
  }[]
}

export const restore = async (
  host: Host,
  bytes: Uint8Array<ArrayBuffer>,
  query = '',
): Promise<Restored> =>
  (await admin(host, `/restore${query}`, { method: 'POST', body: bytes })) as Restored

/** The defects that `check` or `repair` tells, by the id of the vault; no entry for a sound one. */
export async function judge(
  host: Host,
  path: '/check' | '/repair' = '/check',
): Promise<Record<string, string[]>> {
  const reports = (await admin(host, path, { method: 'POST' })) as {
    id: string | null
    defects: { name: string }[]
    left?: { name: string }[]
  }[]
  const found: Record<string, string[]> = {}
  for (const { id, defects, left } of reports) {
    const names = (path === '/check' ? defects : (left ?? [])).map(({ name }) => name)
    if (names.length > 0) found[id ?? 'store'] = names.sort()
  }
  return found
}

/** A file, in chunks of some size. */
export async function* inChunks(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}

/** Every pair of the live set, and the log, as a device would be told them. */
export async function contentOf(store: Store, vaultId: VaultId): Promise<string[]> {
  const lines: string[] = []
  const { all, state } = remoteKeyspace(vaultId)
  for await (const page of store.pages(all)) {
    for (const [key, value] of page) {
      if (formatHex(key) !== formatHex(state)) lines.push(`${formatHex(key)}=${formatHex(value)}`)
    }
  }
  return lines
}

export { chunksOf }
