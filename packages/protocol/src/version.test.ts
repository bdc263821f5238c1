/** Which protocol two ends speak, and the refusal when they share none. */

import { describe, expect, it } from 'vitest'
import { negotiateProtocol, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from './version.ts'

describe('negotiateProtocol', () => {
  it('is the greatest version that both speak', () => {
    const range = { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION }
    expect(negotiateProtocol(range)).toBe(PROTOCOL_VERSION)
    expect(negotiateProtocol({ ...range, max: PROTOCOL_VERSION + 5 })).toBe(PROTOCOL_VERSION)
  })

  it.each([
    ['newer', { min: PROTOCOL_VERSION + 1, max: PROTOCOL_VERSION + 2 }],
    ['older', { min: 0, max: PROTOCOL_VERSION_MIN - 1 }],
  ])('refuses a remote that is %s, and says what each speaks', (_name, remote) => {
    expect(() => negotiateProtocol(remote)).toThrowError(
      expect.objectContaining({
        code: 'unsupported-protocol',
        details: { remote, local: { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION } },
      }),
    )
  })
})
