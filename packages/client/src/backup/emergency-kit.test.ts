/**
 * Emergency kits: the code on the page scans, the page can do nothing by itself, whatever names and
 * addresses say; and what is no kit, or another vault's, is refused.
 *
 * A page that is printed on one sheet is test/browser/emergency-kit.test.ts.
 */
import { formatVaultId } from '@blindcopy/protocol'
import { deriveRoot, formatPhrase, generateRootSecret, pooledRandom } from '@blindcopy/vault'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isKit, makeEmergencyKit, parseKit } from './emergency-kit.ts'
import { readCode } from './scanner.fixture.ts'

const REMOTE = 'https://sync.example.org:8787'

function newVault(): { recoveryPhrase: string; vaultId: string } {
  const secret = generateRootSecret(pooledRandom())
  return {
    recoveryPhrase: formatPhrase(secret),
    vaultId: formatVaultId(deriveRoot(secret).vaultId),
  }
}

const vault = newVault()

function kitOf(options: Partial<Parameters<typeof makeEmergencyKit>[0]> = {}): string {
  const base = { ...vault, remote: REMOTE, deviceNames: ['phone'], madeMs: 1_800_000_000_000 }
  return makeEmergencyKit({ ...base, ...options })
}

const SCALE = 4

/** What a scanner makes of the code on the page. */
function scan(page: string): string {
  const size = Number(/viewBox="0 0 (\d+)/.exec(page)?.[1])
  const path = /<path d="([^"]+)"/.exec(page)?.[1] ?? ''
  const side = size * SCALE
  const data = new Uint8Array(side * side * 4).fill(255)
  for (const [, x, y, width] of path.matchAll(/M(\d+) (\d+)h(\d+)/g)) {
    for (let row = 0; row < SCALE; row++) {
      const start = (Number(y) * SCALE + row) * side + Number(x) * SCALE
      for (let i = 0; i < Number(width) * SCALE; i++)
        data.fill(0, (start + i) * 4, (start + i) * 4 + 3)
    }
  }
  return readCode({ width: side, height: side, data })
}

describe('a kit', () => {
  it('says in its code, in its file and in print what restores the vault', () => {
    const page = kitOf()
    const expected = { ...vault, remote: REMOTE }
    expect(parseKit(page)).toEqual(expected)
    expect(parseKit(scan(page))).toEqual(expected)
    expect(parseKit(` \n${scan(page)}\n`)).toEqual(expected)
    const text = page.replace(/<meta[^>]+>|<style>[\s\S]*<\/style>/g, '')
    const words = [...text.matchAll(/<b>(\d+)<\/b>([a-z]+)<\/li>/g)]
    expect(words.map(([, number]) => Number(number))).toEqual(words.map((_, i) => i + 1))
    expect(words.map(([, , word]) => word).join(' ')).toBe(vault.recoveryPhrase)
    for (const part of [vault.vaultId, REMOTE, '2027-01-15']) {
      expect(text.includes(part), part).toBe(true)
    }
  })

  it('of any vault, at any address, scans', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: false }), (url) => {
        const made = newVault()
        const page = kitOf({ ...made, remote: url.slice(0, 200) })
        const read = parseKit(scan(page))
        expect(read).toMatchObject(made)
        expect(parseKit(page)).toEqual(read)
      }),
      { numRuns: process.env.SLOW === '1' ? 300 : 15 },
    )
  })

  it('can load and run nothing, whatever a name says', () => {
    const names = [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      "' onload='x",
      '</style><style>*{}',
      '<meta name="blindcopy-kit" content="blindcopy-kit:1?words=a">',
      '\u202egnp.exe\u0000\n',
      'x'.repeat(10_000),
      ...Array.from({ length: 60 }, (_, i) => `device ${i}`),
    ]
    const plain = kitOf({ deviceNames: ['phone'] })
    const page = kitOf({ deviceNames: names, remote: `${REMOTE}/<b>'"&` })
    const tags = (text: string) => text.match(/<[a-z!/][^>]*>/gi)?.map((tag) => tag.split(' ')[0])
    expect(tags(page)).toEqual(tags(plain))
    const inTags = (page.match(/<[a-z!/][^>]*>/gi) ?? []).join('').replace(/="[^"]*"/g, '=')
    for (const word of ['src=', 'href=', 'action=', ' on', 'script', 'style=']) {
      expect(inTags.includes(word), word).toBe(false)
    }
    for (const word of ['url(', '@import', '\u202e', '\0']) {
      expect(page.includes(word), word).toBe(false)
    }
    expect(page.includes(`content="default-src 'none'; style-src 'sha256-`)).toBe(true)
    expect(page.length).toBeLessThan(60_000)
    expect(parseKit(page)).toMatchObject(vault)
  })

  it('is not made of a phrase that is wrong, or another vault’s', () => {
    const other = newVault()
    const made = (options: object) => () => kitOf(options)
    expect(made({ vaultId: other.vaultId })).toThrow(
      expect.objectContaining({ code: 'wrong-phrase' }),
    )
    expect(made({ recoveryPhrase: 'zoo '.repeat(24) })).toThrow(
      expect.objectContaining({ code: 'phrase-checksum' }),
    )
    expect(made({ remote: `${REMOTE}/${'x'.repeat(300)}` })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
    expect(made({ remote: 'javascript:alert(1)' })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })
})

describe('what is no kit', () => {
  const refused = expect.objectContaining({ code: 'kit-damaged' })
  const line = /blindcopy-kit:[^"]+/.exec(kitOf())?.[0].replaceAll('&amp;', '&') ?? ''

  it('is refused, and no word of it repeated', () => {
    const [first = ''] = vault.recoveryPhrase.split(' ')
    const texts = [
      '',
      'a text',
      '<!doctype html><p>a page',
      'x'.repeat(2_000_000),
      line.replace('kit:1', 'kit:2'),
      line.replace('words=', 'woords='),
      line.replace(`words=${first}`, 'words='),
      line.replace(`words=${first}`, 'words=zzzz'),
      line.replace(/vault=.{43}/, `vault=${newVault().vaultId}`),
      line.replace(/remote=.*/, 'remote=nowhere'),
      line.replace(/&remote=.*/, ''),
    ]
    for (const text of texts) {
      expect(() => parseKit(text), text.slice(0, 60)).toThrow(refused)
      let told: unknown
      try {
        parseKit(text)
      } catch (error) {
        told = error
      }
      const words = vault.recoveryPhrase.split(' ').filter((word) => word.length > 5)
      for (const word of words) expect((told as Error).message).not.toContain(word)
    }
  })

  it('cut or changed anywhere is a kit of the same vault, or refused', () => {
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
        const changed = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1)
        for (const text of [line.slice(0, at), changed]) {
          try {
            expect(parseKit(text)).toMatchObject(vault)
          } catch (error) {
            expect(error).toEqual(refused)
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  it('is told from the words of a phrase', () => {
    expect(isKit(vault.recoveryPhrase)).toBe(false)
    for (const text of [kitOf(), line, `  ${line}`, '<html>']) expect(isKit(text)).toBe(true)
  })
})
