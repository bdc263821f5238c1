/** The report of `verify` as a person reads it. */
import type { SeenDevice, VerifyReport } from '@blindcopy/client'
import { describe, expect, it } from 'vitest'
import { describeReport } from './verify.ts'

const NOW_MS = 1_795_000_000_000
const device = (name: string, changes: Partial<SeenDevice> = {}): SeenDevice => ({
  deviceId: `id of ${name}`,
  name,
  isThis: false,
  state: 'linked',
  seq: 12,
  signedMs: NOW_MS - 3 * 60_000,
  isSilent: false,
  unopened: 0,
  ...changes,
})
const report = (devices: SeenDevice[], changes: Partial<VerifyReport> = {}): VerifyReport => ({
  isSound: true,
  syncId: 's',
  seq: 12,
  chain: 'AbCdEfGh',
  keychain: { length: 5, head: 'IjKlMnOp' },
  quarantined: 0,
  devices,
  ...changes,
})
const shown = (...told: Parameters<typeof report>): string =>
  describeReport(report(...told), { columns: 100 }, NOW_MS)

describe('describeReport', () => {
  it('names who signed what, and when', () => {
    const text = shown([device('laptop', { isThis: true }), device('phone')])
    expect(text).toContain('history    12 transactions, ends in AbCdEfGh')
    expect(text).toMatch(/laptop +at 12 +signed 3 minutes ago +this device/)
    expect(text).toMatch(/phone +at 12 +signed 3 minutes ago +agrees with what is here/)
    expect(text).toContain('Nothing contradicts what is here.')
  })

  it('shows a contradiction, and what to do', () => {
    for (const [state, words] of [
      ['forked', 'ANOTHER HISTORY'],
      ['differs', 'OTHER RECORDS'],
    ] as const) {
      const text = shown([device('phone', { state })], { isSound: false })
      expect(text).toContain(words)
      expect(text.replaceAll('\n', ' ')).toContain('sync --reconcile')
    }
  })

  it('shows devices that are silent, new, or could not open something', () => {
    const text = shown(
      [
        device('old', { isSilent: true, signedMs: NOW_MS - 9 * 86_400_000 }),
        device('new', { state: 'not-heard', seq: null, signedMs: null }),
        device('half', { unopened: 2 }),
      ],
      { quarantined: 1 },
    )
    expect(text).toMatch(/old .*SILENT FOR LONG/)
    expect(text.replaceAll('\n', ' ')).toContain('Not heard of for a week or more: old.')
    expect(text).toMatch(/new +- +never +has signed nothing/)
    expect(text).toMatch(/half .*could not open 2 versions/)
    expect(text).toContain('set aside  1 version that did not open')
  })

  it('fits the terminal, and lets no name write on it', () => {
    const text = describeReport(
      report([device(`\u001b[2J${'x'.repeat(200)}`)]),
      { columns: 60 },
      NOW_MS,
    )
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
    expect(text).not.toContain('\u001b')
  })
})
