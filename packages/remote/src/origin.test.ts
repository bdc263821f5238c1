/** The addresses of a remote. */
import { describe, expect, it } from 'vitest'
import { parseOrigin } from './origin.ts'

describe('parseOrigin', () => {
  it('spells an address as browsers do', () => {
    expect(parseOrigin('https://Sync.Example.org')).toBe('https://sync.example.org')
    expect(parseOrigin('https://sync.example.org:443/')).toBe('https://sync.example.org')
    expect(parseOrigin('http://[::1]:8080')).toBe('http://[::1]:8080')
  })

  it('refuses what is none', () => {
    const wrong = ['', 'sync.example.org', 'ftp://a.org', 'https://a.org/path', 'https://u:p@a.org']
    for (const text of [...wrong, 'null', 'https://', 'https://a.org?x', 'file:///etc']) {
      expect(() => parseOrigin(text), text).toThrow('no address')
    }
  })
})
