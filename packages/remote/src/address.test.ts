/** Who asks: through trusted proxies, and past whatever a client says of itself. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressBlock, clientAddress, parseTrusted, type Trust } from './address.ts'

const trust = (...texts: string[]): Trust =>
  texts.map((text) => {
    const range = parseTrusted(text)
    if (range === undefined) throw new Error(`${text} is no range`)
    return range
  })

const seen = (
  socketAddress: string | undefined,
  forwardedFor: string | string[] | undefined,
  trusted: Trust = trust('10.0.0.0/8', '::1'),
) => clientAddress({ socketAddress, forwardedFor }, trusted)

describe('clientAddress', () => {
  it('is the socket, whatever a header says, when nobody is trusted', () => {
    expect(seen('192.0.2.1', '198.51.100.9', [])).toBe('192.0.2.1')
    expect(seen('127.0.0.1', '198.51.100.9', [])).toBe('127.0.0.1')
    expect(seen(undefined, '198.51.100.9')).toBeUndefined()
    expect(seen('nonsense', '198.51.100.9')).toBeUndefined()
  })

  it('is the socket when that is no trusted proxy', () => {
    expect(seen('192.0.2.1', '198.51.100.9')).toBe('192.0.2.1')
  })

  it('is what the last trusted proxy saw', () => {
    expect(seen('10.0.0.1', '198.51.100.9')).toBe('198.51.100.9')
    expect(seen('10.0.0.1', '198.51.100.9, 10.0.0.2')).toBe('198.51.100.9')
    expect(seen('10.0.0.1', ['198.51.100.9', '10.0.0.2, 10.0.0.3'])).toBe('198.51.100.9')
    expect(seen('::1', '2001:DB8::0:7')).toBe('2001:db8::7')
  })

  it('never is what the client put there itself', () => {
    expect(seen('10.0.0.1', '10.0.0.9, 203.0.113.5, 198.51.100.9')).toBe('198.51.100.9')
    expect(seen('10.0.0.1', ['203.0.113.5', '198.51.100.9, 10.0.0.2'])).toBe('198.51.100.9')
  })

  it('is the furthest proxy when all are trusted', () => {
    expect(seen('10.0.0.1', '10.0.0.3, 10.0.0.2')).toBe('10.0.0.3')
    expect(seen('10.0.0.1', undefined)).toBe('10.0.0.1')
    expect(seen('10.0.0.1', '')).toBe('10.0.0.1')
  })

  it('stops at a hop that is no address', () => {
    const wrong = [
      'unknown',
      '_hidden',
      '',
      '1.2.3',
      '010.1.2.3',
      '0x7f.1',
      '2130706433',
      '1.2.3.4.5',
    ]
    for (const hop of [...wrong, '1.2.3.4:x', '[1.2.3.4', 'a'.repeat(5000), '1.2.3.4, 5.6.7.8\0']) {
      expect(seen('10.0.0.1', `198.51.100.9, ${hop}`), hop).toBe('10.0.0.1')
    }
  })

  it('has one spelling: ports, brackets, zones and IPv4 in IPv6 are cut off', () => {
    expect(seen('::ffff:10.0.0.1', '198.51.100.9:4711')).toBe('198.51.100.9')
    expect(seen('10.0.0.1', '[2001:db8::7]:443')).toBe('2001:db8::7')
    expect(seen('10.0.0.1', '::ffff:198.51.100.9')).toBe('198.51.100.9')
    expect(seen('10.0.0.1', '::ffff:c633:6409')).toBe('198.51.100.9')
    expect(seen('fe80::1%eth0', undefined)).toBe('fe80::1')
  })

  it('reads no more hops than a chain of proxies has', () => {
    const chain = ['203.0.113.5', ...new Array<string>(31).fill('10.0.0.2')]
    expect(seen('10.0.0.1', chain.join(','))).toBe('203.0.113.5')
    expect(seen('10.0.0.1', [...chain, '10.0.0.3'].join(','))).toBe('10.0.0.2')
  })

  it('is an address, for any header', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.array(fc.string()), async (first, more) => {
        const address = seen('10.0.0.1', [first, ...more])
        expect(address).toMatch(/^[0-9a-f.:]{2,45}$/)
      }),
    )
  })
})

describe('parseTrusted', () => {
  it('takes addresses and ranges of both kinds', () => {
    const ranges = trust('::ffff:10.0.0.0/104', '2001:db8::/32', '192.0.2.1')
    expect(seen('10.9.9.9', '198.51.100.9', ranges)).toBe('198.51.100.9')
    expect(seen('2001:db8:7::1', '198.51.100.9', ranges)).toBe('198.51.100.9')
    expect(seen('192.0.2.1', '198.51.100.9', ranges)).toBe('198.51.100.9')
    expect(seen('192.0.2.2', '198.51.100.9', ranges)).toBe('192.0.2.2')
    expect(seen('198.51.100.1', '203.0.113.5', trust('0.0.0.0/0'))).toBe('203.0.113.5')
  })

  it('refuses what is neither', () => {
    const wrong = ['', 'loopback', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0/8', '::/129']
    for (const text of [...wrong, '::ffff:10.0.0.0/8', '10.0.0.0/-1', 'example.org']) {
      expect(parseTrusted(text), text).toBeUndefined()
    }
  })
})

describe('addressBlock', () => {
  it('is an IPv4 address itself, and of IPv6 the network', () => {
    expect(addressBlock('192.0.2.1')).toBe('192.0.2.1')
    expect(addressBlock('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(addressBlock('::1')).toBe(addressBlock('::2'))
  })
})
