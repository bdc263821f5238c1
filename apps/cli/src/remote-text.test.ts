/** What whoever runs a remote reads and is asked. */
import { PassThrough } from 'node:stream'
import type { VaultRow } from '@blindcopy/remote'
import { describe, expect, it } from 'vitest'
import { widthOf } from './layout.ts'
import { confirm } from './remote-restore.ts'
import { digitsOfId, formatBytes, formatDefects } from './remote-text.ts'
import { formatVaults } from './remote-vaults.ts'
import type { Terminal } from './terminal.ts'

const NOW_MS = 1_760_000_000_000
const VAULT: VaultRow = {
  id: '3fa91c02'.repeat(8),
  isReadable: true,
  records: 12_345,
  bytes: 5 * 2 ** 30,
  historyRecords: 7,
  historyBytes: 2_048,
  devices: 3,
  createdMs: NOW_MS - 1e9,
  pushedMs: NOW_MS - 120_000,
  quota: { bytesMax: 10 * 2 ** 30, recordsMax: 10, devicesMax: 64 },
  hasOwnQuota: true,
  seq: 9,
  chain: 'ab',
}

it('finds a vault by the id that its devices show', () => {
  const shown = 'EXEDWmPaq54pSuSTT6OI2vojfLUAGvGoLhd9skpJMvg'
  const digits = '1171035a63daab9e294ae4934fa388dafa237cb5001af1a82e177db24a4932f8'
  expect(digitsOfId(shown)).toBe(digits)
  for (const id of [digits, digits.slice(0, 8), digits.slice(0, 43), 'x', '']) {
    expect(digitsOfId(id)).toBe(id)
  }
})

describe('the table of vaults', () => {
  it('says how full each is, and how large all are', () => {
    const lines = formatVaults([VAULT], 100, NOW_MS).split('\n')
    expect(lines[1]?.split(/ {2,}/)).toEqual([
      '3fa91c02',
      '12,345',
      '5.0 GiB',
      '2.0 KiB',
      '3',
      '2 minutes ago',
      '50% of 10.0 GiB (its own)',
    ])
    expect(lines.at(-1)).toBe('1 vault, 5.0 GiB in all.')
  })

  it('has its say of a vault that cannot be read, and of none', () => {
    const damaged = { ...VAULT, isReadable: false, bytes: null }
    expect(formatVaults([damaged], 100, NOW_MS)).toContain('cannot be read')
    expect(formatVaults([], 100, NOW_MS)).toBe('There is no vault on this remote.')
    const fresh = { ...VAULT, pushedMs: 0, bytes: 0 }
    expect(formatVaults([fresh], 100, NOW_MS)).toMatch(/never +0% of/)
  })

  it('cuts nothing where lines are short', () => {
    const text = formatVaults([VAULT], 40, NOW_MS)
    for (const line of text.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(40)
    for (const part of ['3fa91c02', '12,345', '5.0 GiB', '2 minutes ago', '(its own)']) {
      expect(text).toContain(part)
    }
  })
})

describe('sizes and defects', () => {
  it('are said in one unit, and once each', () => {
    expect([0, 1023, 1024, 1536, 2 ** 50].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '1024.0 TiB',
    ])
    const defects = [
      { name: 'log-gap', count: 1, what: '' },
      { name: 'envelope-lost', count: 3, what: '' },
    ] as const
    expect(formatDefects(defects)).toBe('log-gap, envelope-lost ×3')
  })
})

describe('a question before something goes', () => {
  const terminalThat = (canAsk: boolean, typed: string): Terminal => {
    const input = new PassThrough()
    input.end(typed)
    const messages = new PassThrough()
    const told = { note: () => undefined, fit: (text: string) => text }
    return { input, messages, canAsk, ...told } as unknown as Terminal
  }
  const asked = (typed: string) =>
    confirm('All of it goes.', {
      yes: false,
      answer: '3fa91c02',
      terminal: terminalThat(true, typed),
    })

  it('goes on when the word is typed, and by no other', async () => {
    await asked('3fa91c02\n')
    await asked(' 3FA91C02 \n')
    for (const typed of ['\n', 'yes\n', '3fa91c0\n', '']) {
      await expect(asked(typed), typed).rejects.toMatchObject({ code: 'interrupted' })
    }
  })

  it('is not asked where nobody can answer, or where --yes has', async () => {
    const parts = { answer: 'x', terminal: terminalThat(false, '') }
    await expect(confirm('It goes.', { ...parts, yes: undefined })).rejects.toMatchObject({
      code: 'usage',
    })
    await confirm('It goes.', { ...parts, yes: true })
  })
})
