/**
 * Origin: the addresses under which a remote is known, compared with what a member signed.
 *
 * They are configured, and never taken from what a request says of its host: whoever relays a login
 * from a phishing address would say the right one.
 */
import { ProtocolError } from '@blindcopy/protocol'

/** Scheme, host and port, as browsers spell them. Throws `malformed`. */
export function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url !== undefined && isWeb && url.href === `${url.origin}/`) return url.origin
  throw new ProtocolError('malformed', `${text} is no address such as https://sync.example.org`)
}

/** Throws `origin-refused`. */
export function checkOrigin(
  { origins }: { readonly origins: readonly string[] },
  origin: string,
): void {
  if (origins.includes(origin)) return
  throw new ProtocolError(
    'origin-refused',
    'the remote is not known under the address that was signed: its owner adds it with --origin',
  )
}
