/**
 * Admin gate: who may read the numbers and the admin page.
 *
 * The token comes as `Bearer`, as Prometheus sends it, or as the password of `Basic` with any user
 * name, which every browser can ask for without scripts, cookies or anything in a URL (decision
 * 0035). Without a token there is nothing behind the gate.
 */
import { encodeUtf8, equalBytesConstantTime, sha256 } from '@blindcopy/protocol'

/** A function is asked at each request: the token may be changed while the remote runs. */
export type AdminToken = string | (() => string)

/** `off`: there is no token, and nothing to be seen. */
export type Admission = 'admitted' | 'refused' | 'off'

export function judgeAdmission(
  token: AdminToken | undefined,
  authorization: string | undefined,
): Admission {
  const expected = typeof token === 'function' ? token() : token
  // An empty token would let everybody in who leaves the password empty.
  if (expected === undefined || expected.trim() === '') return 'off'
  const offered = offeredToken(authorization ?? '')
  if (offered === undefined) return 'refused'
  // Hashed first: of one length, so that the comparison tells nothing by its time.
  const isRight = equalBytesConstantTime(sha256(encodeUtf8(expected)), sha256(offered))
  return isRight ? 'admitted' : 'refused'
}

const COLON = ':'.charCodeAt(0)

function offeredToken(authorization: string): Uint8Array | undefined {
  const [, scheme = '', credentials = ''] = /^(\w+) +(\S+) *$/.exec(authorization) ?? []
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return encodeUtf8(credentials)
    case 'basic': {
      const pair = decodeBase64(credentials)
      const colon = pair?.indexOf(COLON) ?? -1
      return colon < 0 ? undefined : pair?.subarray(colon + 1)
    }
    default:
      return undefined
  }
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
