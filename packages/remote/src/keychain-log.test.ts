/** How entries become appends, and how they are read back by pages. */
import { concat, equalBytes, type Hash, type Keychain, PAGE_BYTES_MAX } from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { draftExtension, entriesFrom } from './keychain-log.ts'
import { openVault, random } from './remote.fixture.ts'
import { createVaults, mustVault } from './vaults.ts'

describe('draftExtension', () => {
  it('gives what is larger than a frame several seqs, read back page by page', async () => {
    const { bench, chain } = await openVault()
    const vaults = createVaults(bench.store)
    const vault = mustVault(await vaults.read(chain.vaultId))
    const entries = Array.from({ length: 90 }, () => random(100_000))
    const hashes = [...vault.keychain.hashes, ...entries.map(() => random(32) as Hash)]
    const extended: Keychain = { ...vault.keychain, hashes }
    const extension = draftExtension(vault, entries, extended)
    expect(extension.committed.map(({ seq, entries: group }) => [seq, group.length])).toEqual([
      [2, 41],
      [3, 41],
      [4, 8],
    ])
    expect(extension.vault.state).toMatchObject({ head: { seq: 4 }, keychainLength: 93 })
    await vaults.commit(extension.vault, extension.batch)
    const read: Uint8Array[] = []
    for (;;) {
      const page = entriesFrom(vault, 3 + read.length)
      if (page.length === 0) break
      const bytes = page.reduce((sum, entry) => sum + entry.length, 0)
      expect(bytes).toBeLessThanOrEqual(PAGE_BYTES_MAX)
      read.push(...page)
    }
    // As one comparison of bytes: of nine megabytes, toEqual takes minutes.
    expect(read.length).toBe(entries.length)
    expect(equalBytes(concat(...read), concat(...entries))).toBe(true)
  })
})
