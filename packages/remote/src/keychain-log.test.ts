/** How entries become appends, how they are read back by pages, and which of them count. */
import {
  concat,
  equalBytes,
  extendKeychain,
  LIVE_FRAME_BYTES_MAX,
  PAGE_BYTES_MAX,
  replayKeychain,
  TRANSACTION_BYTES_MAX,
} from '@blindcopy/protocol'
import { memberIndexKey } from '@blindcopy/secondary'
import { describe, expect, it } from 'vitest'
import type { Chain, Signer } from './chain.fixture.ts'
import { countCounted, draftExtension, entriesFrom, findEntrySeq } from './keychain-log.ts'
import { encodeCommitted } from './live-frame.ts'
import { verifySignature } from './node.ts'
import { openVault } from './remote.fixture.ts'
import { createVaults, mustVault, type Vault } from './vaults.ts'

/** Many devices, so that an epoch has about 75 KB, and revocations among many epochs. */
function grow(chain: Chain, device: Signer): void {
  for (let i = 0; i < 60; i++) chain.addDevice(device)
  for (let i = 0; i < 100; i++) {
    const last = chain.members.at(-1)
    if (i % 7 === 0 && last !== undefined) chain.revoke(device, [last])
    else chain.addEpoch(device)
  }
}

async function openGrown() {
  const { bench, chain, device } = await openVault()
  const vaults = createVaults(bench.store)
  const vault = mustVault(await vaults.read(chain.vaultId))
  grow(chain, device.signer)
  const entries = chain.entries.slice(3)
  const keychain = extendKeychain(vault.keychain, entries, verifySignature)
  return { bench, chain, vaults, vault, entries, keychain, device }
}

function readPages(vault: Vault, from: number): Uint8Array[] {
  const read: Uint8Array[] = []
  for (;;) {
    const page = entriesFrom(vault, from + read.length)
    if (page.length === 0) return read
    const bytes = page.reduce((sum, entry) => sum + entry.length, 0)
    expect(bytes).toBeLessThanOrEqual(PAGE_BYTES_MAX)
    read.push(...page)
  }
}

describe('draftExtension', () => {
  it('gives what is larger than a frame several seqs, none cut before an epoch', async () => {
    const { chain, vaults, vault, entries, keychain, bench } = await openGrown()
    const extension = draftExtension(vault, entries, keychain)
    const { committed } = extension
    expect(committed.map(({ seq }) => seq)).toEqual([2, 3])
    const length = chain.entries.length
    expect(extension.vault.state).toMatchObject({ head: { seq: 3 }, keychainLength: length })
    let taken = vault.keychain
    for (const append of committed) {
      expect(encodeCommitted(append, true).length).toBeLessThanOrEqual(LIVE_FRAME_BYTES_MAX)
      // Throws where an epoch is missing at the end.
      taken = extendKeychain(taken, append.entries, () => true)
    }
    expect(taken.hashes).toEqual(keychain.hashes)
    await vaults.commit(extension.vault, extension.batch)
    const stored = mustVault(await createVaults(bench.store).read(chain.vaultId))
    // As one comparison of bytes: of many megabytes, toEqual takes minutes.
    const read = readPages(stored, 3)
    expect(read.length).toBe(entries.length)
    expect(equalBytes(concat(...read), concat(...entries))).toBe(true)
    const last = entries[entries.length - 1] as Uint8Array
    const parts = { store: bench.store }
    expect(await findEntrySeq(parts, stored, last)).toBe(3)
    expect(await findEntrySeq(parts, stored, entries[0] as Uint8Array)).toBe(2)
    const unknown = chain.fork().revoke(chain.root, chain.members.slice(1, 2))[0] as Uint8Array
    expect(await findEntrySeq(parts, stored, unknown)).toBeUndefined()
  })

  it('does not cut between a revocation and its epoch where a frame is full', async () => {
    const { bench, chain, device } = await openVault()
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const sizeOf = (entries: readonly Uint8Array[]) =>
      entries.reduce((sum, entry) => sum + entry.length, 0)
    const added = () => chain.entries.slice(3)
    for (let i = 0; i < 60; i++) chain.addDevice(device.signer)
    do chain.addEpoch(device.signer)
    while (sizeOf(added()) + sizeOf(chain.entries.slice(-1)) + 1024 < TRANSACTION_BYTES_MAX)
    const before = sizeOf(added())
    const [revocation, epoch] = chain.revoke(device.signer, chain.members.slice(-1))
    expect(before + sizeOf([revocation as Uint8Array])).toBeLessThan(TRANSACTION_BYTES_MAX)
    expect(before + sizeOf([epoch as Uint8Array])).toBeGreaterThan(TRANSACTION_BYTES_MAX)
    chain.addEpoch(device.signer)
    const settled = added().length - 3
    const keychain = extendKeychain(vault.keychain, added(), verifySignature)
    const { committed } = draftExtension(vault, added(), keychain)
    expect(committed.map(({ entries }) => entries.length)).toEqual([settled, 3])
  })

  it('leads from a recovery key to its vault, and from no other key', async () => {
    const { bench, chain, device } = await openVault()
    const vault = mustVault(await createVaults(bench.store).read(chain.vaultId))
    const key = chain.addRecovery(device.signer)
    const added = chain.addDevice(device.signer)
    const entries = chain.entries.slice(3)
    const { batch } = draftExtension(
      vault,
      entries,
      extendKeychain(vault.keychain, entries, verifySignature),
    )
    const outside = batch.filter(({ key: at }) => !equalBytes(at.subarray(0, 32), chain.vaultId))
    const at = memberIndexKey(key.signingKey)
    expect(outside).toEqual([{ type: 'put', key: at, value: chain.vaultId }])
    expect(equalBytes(at, memberIndexKey(added.signingKey))).toBe(false)
  })
})

describe('countCounted', () => {
  it('counts neither the root nor what takes a member out, but all beside', async () => {
    const { chain, device } = await openVault()
    const { root } = chain
    const base = replayKeychain(chain.vaultId, chain.entries, () => true)
    const others = [0, 1, 2].map(() => chain.addDevice(device.signer))
    const count = (entries: readonly Uint8Array[]) => countCounted(base, entries)
    expect(count(chain.entries.slice(3))).toBe(3)
    const revoked = chain.revoke(device.signer, others.slice(0, 1))
    expect(count(revoked)).toBe(0)
    const from = chain.entries.length
    chain.revoke(device.signer, others.slice(1, 2))
    chain.addEpoch(device.signer)
    chain.addEpoch(device.signer)
    chain.addDevice(device.signer)
    expect(count(chain.entries.slice(from))).toBe(3)
    const later = chain.entries.length
    chain.addDevice(root)
    chain.addEpoch(root)
    chain.revoke(root, others.slice(2))
    expect(count(chain.entries.slice(later))).toBe(0)
    expect(count([])).toBe(0)
  })
})
