/** A device without enough memory gets a sentence that says so, and the next one works again. */
import { describe, expect, it, vi } from 'vitest'
import { stretchPassphrase } from './argon2id.ts'
import { codeOfAsync } from './vault.fixture.ts'

describe('stretchPassphrase', () => {
  it('refuses when the memory cannot be had', async () => {
    const stretch = () =>
      stretchPassphrase('canary', new Uint8Array(16), { passes: 1, memoryKib: 512 * 1024 })
    const growing = vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
      throw new RangeError('Maximum memory size exceeded')
    })
    try {
      expect(await codeOfAsync(stretch())).toBe('memory-refused')
      await expect(stretch()).rejects.not.toThrow(/canary/)
    } finally {
      growing.mockRestore()
    }
    const small = { passes: 1, memoryKib: 8 }
    const key = await stretchPassphrase('canary', new Uint8Array(16), small)
    expect(key.bytes).toHaveLength(32)
  })
})
