/**
 * Address: who asks, seen through the proxies in front that are trusted, and through no others.
 *
 *   X-Forwarded-For: a, b, c     socket: d
 *
 *   d is whoever connected. Only when it is a trusted proxy is c believed, which is what that proxy
 *   saw; only when c is one too is b; and so on. The first that is not trusted is the client. What
 *   stands to the left of it was said by the client itself, and counts for nothing.
 *
 * A hop that is no address ends the walk at the proxy that passed it on. Addresses have one
 * spelling: IPv4 in IPv6 is IPv4, and zones are cut off.
 */
import ipaddr from 'ipaddr.js'

/** Ranges of addresses whose word is taken; made by `parseTrust`. */
export type Trust = readonly Range[]
type Address = ipaddr.IPv4 | ipaddr.IPv6
type Range = readonly [Address, number]

export const TRUST_NONE: Trust = []

/** What a request says of its way here; both from Node's request. */
export type Hops = {
  readonly forwardedFor: string | readonly string[] | undefined
  /** Of the socket itself. Undefined when it is gone already. */
  readonly socketAddress: string | undefined
}

/** More hops than any chain of proxies has; what lies beyond is not read. */
const HOPS_MAX = 32
const HOP_CHARACTERS_MAX = 64
const IPV4_BITS = 32
const IPV6_BITS = 128

/** Undefined when the text is neither an address nor a range such as 10.0.0.0/8. */
export function parseTrusted(text: string): Range | undefined {
  const [address = '', bits, more] = text.split('/')
  const parsed = parseAddress(address)
  if (parsed === undefined || more !== undefined) return undefined
  const isMapped = address.includes(':') && parsed.kind() === 'ipv4'
  const bitsMax = parsed.kind() === 'ipv4' ? IPV4_BITS : IPV6_BITS
  if (bits === undefined) return [parsed, bitsMax]
  if (!/^\d{1,3}$/.test(bits)) return undefined
  const count = Number(bits) - (isMapped ? IPV6_BITS - IPV4_BITS : 0)
  return count >= 0 && count <= bitsMax ? [parsed, count] : undefined
}

/** The address of the client in its one spelling, or undefined when even the socket tells none. */
export function clientAddress(hops: Hops, trust: Trust): string | undefined {
  const socket = parseAddress(hops.socketAddress ?? '')
  if (socket === undefined) return undefined
  let client = socket
  for (const text of hopsFromRight(hops.forwardedFor)) {
    if (!isIn(client, trust)) break
    const next = parseAddress(withoutPort(text))
    if (next === undefined) break
    client = next
  }
  return client.toString()
}

/** What whoever runs the app has put into its environment: the address of the client. */
export function requestAddress(env: unknown): string | undefined {
  if (typeof env !== 'object' || env === null) return undefined
  const address = Reflect.get(env, 'address')
  return typeof address === 'string' ? address : undefined
}

/**
 * What counts as one asker: an IPv4 address, or the 64 bits that one IPv6 network has, inside of
 * which everybody may take any number of addresses.
 */
export function addressBlock(address: string): string {
  const parsed = parseAddress(address)
  if (parsed === undefined || parsed instanceof ipaddr.IPv4) return address
  return `${parsed.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

export function isTrusted(address: string, trust: Trust): boolean {
  const parsed = parseAddress(address)
  return parsed !== undefined && isIn(parsed, trust)
}

function isIn(address: Address, trust: Trust): boolean {
  return trust.some(
    ([range, bits]) => range.kind() === address.kind() && address.match(range as never, bits),
  )
}

/** Several headers are one list, in their order. */
function hopsFromRight(forwardedFor: Hops['forwardedFor']): string[] {
  const headers = typeof forwardedFor === 'string' ? [forwardedFor] : (forwardedFor ?? [])
  const hops = headers.flatMap((header) => header.split(',')).slice(-HOPS_MAX)
  return hops.map((hop) => hop.trim()).reverse()
}

/** Some proxies add the port: 1.2.3.4:56 and [::1]:56. */
function withoutPort(text: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text) ?? []
  if (bracketed !== undefined) return bracketed
  const [, dotted] = /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text) ?? []
  return dotted ?? text
}

function parseAddress(text: string): Address | undefined {
  if (text.length > HOP_CHARACTERS_MAX) return undefined
  const [plain = ''] = text.split('%')
  // Only four plain numbers: 010.1 and 0x7f000001 are other addresses to other programs.
  if (!plain.includes(':')) {
    return ipaddr.IPv4.isValidFourPartDecimal(plain) ? ipaddr.IPv4.parse(plain) : undefined
  }
  if (!ipaddr.IPv6.isValid(plain)) return undefined
  const address = ipaddr.IPv6.parse(plain)
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}
