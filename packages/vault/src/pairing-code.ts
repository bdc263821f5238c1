/**
 * Pairing code: what the inviting device shows as a QR code, or as one line to be pasted. It names
 * the remote, so that nothing has to be typed.
 *
 *   blindcopy-pair: ‖ base64url of
 *   offset  size  field
 *        0     1  version, 1
 *        1    16  secret, random
 *       17     …  address of the remote, UTF-8
 *
 * Whoever has read it within its ten minutes can ask to join, and is shown to the person who
 * invited; nobody who has not can open anything of the pairing.
 */
import {
  concat,
  decodeUtf8,
  encodeUtf8,
  formatBase64Url,
  parseBase64Url,
} from '@blindcopy/protocol'
import { VaultError } from './error.ts'
import type { RandomBytes } from './random.ts'
import { Secret } from './secret.ts'

const PAIRING_SECRET_BYTES = 16

/** What a code holds; the kind of key that is made of it is another. */
export type PairingCodeSecret = Secret<'PairingCodeSecret'>

export type PairingCode = {
  readonly secret: PairingCodeSecret
  /** As it was written: not checked to be an address. */
  readonly remote: string
}

const SCHEME = 'blindcopy-pair:'
const VERSION = 1
const REMOTE_OFFSET = 1 + PAIRING_SECRET_BYTES
const CODE_LETTERS_MAX = 1_024

export function generatePairingSecret(random: RandomBytes): PairingCodeSecret {
  return new Secret('PairingCodeSecret', random(PAIRING_SECRET_BYTES))
}

export function formatPairingCode({ secret, remote }: PairingCode): string {
  const bytes = concat(Uint8Array.of(VERSION), secret.bytes, encodeUtf8(remote))
  return `${SCHEME}${formatBase64Url(bytes)}`
}

/**
 * Takes it with space around and within, and with the scheme in any case, as it comes out of chats
 * and scanners. Throws `pairing-code-malformed`.
 */
export function parsePairingCode(text: string): PairingCode {
  const code = text.replace(/\s+/gu, '')
  if (code.slice(0, SCHEME.length).toLowerCase() !== SCHEME) {
    throw malformed(`a pairing code begins with ${SCHEME}`)
  }
  const bytes = code.length <= CODE_LETTERS_MAX ? decode(code.slice(SCHEME.length)) : undefined
  if (bytes === undefined || bytes.length <= REMOTE_OFFSET) {
    throw malformed('the pairing code is cut, or has a letter that is wrong: copy it again')
  }
  if (bytes[0] !== VERSION) {
    throw malformed('the pairing code is of a later version of this program: update this one')
  }
  const secret = new Secret('PairingCodeSecret', bytes.slice(1, REMOTE_OFFSET))
  return { secret, remote: readRemote(bytes.subarray(REMOTE_OFFSET)) }
}

function decode(text: string): Uint8Array | undefined {
  try {
    return parseBase64Url(text)
  } catch {
    return undefined
  }
}

function readRemote(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes)
  } catch {
    // Without the cause: it would hold bytes of the code.
    throw malformed('the pairing code names no address of a remote: copy it again')
  }
}

function malformed(why: string): VaultError {
  return new VaultError('pairing-code-malformed', why)
}
