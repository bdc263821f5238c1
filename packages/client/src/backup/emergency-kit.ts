/**
 * Emergency kit: the recovery phrase and all that somebody needs with it, as one page to print. The
 * page stands alone: it has no script, loads nothing, and its policy lets it do neither.
 *
 * Its QR code, and a line that is not printed, say the same for a program:
 *   blindcopy-kit:1?words=<24 words, joined by ->&vault=<VaultId>&remote=<address>
 * All three are in it because the words alone do not say where to look. `parseKit` reads the page,
 * the line, or what a scanner made of the code.
 */
import { formatVaultId } from '@blindcopy/protocol'
import { deriveRoot, formatPhrase, parsePhrase } from '@blindcopy/vault'
import encodeQR from 'qr'
import { ClientError, codeOf } from '../error.ts'
import { formatRemoteUrl } from '../transport/http-transport.ts'
import { type KitPage, kitPage } from './kit-page.ts'

export type EmergencyKit = {
  readonly recoveryPhrase: string
  readonly vaultId: string
  readonly remote: string
}

export type EmergencyKitOptions = EmergencyKit & {
  /** Devices of the vault, as a person calls them. */
  readonly deviceNames: readonly string[]
  readonly madeMs: number
}

const SCHEME = 'blindcopy-kit:1?'
/** A code with more than this does not scan well from paper. */
const REMOTE_CHARACTERS_MAX = 300
/** A page is 15 kB; what is much longer is something else. */
const TEXT_CHARACTERS_MAX = 1_000_000

/**
 * The page, as HTML in UTF-8. Throws `wrong-phrase` when the phrase is another vault's: a kit that
 * opens nothing must not be made.
 */
export function makeEmergencyKit(options: EmergencyKitOptions): string {
  const { vaultId, deviceNames, madeMs } = options
  const { phrase, vaultId: found } = readPhrase(options.recoveryPhrase)
  if (found !== vaultId) {
    throw new ClientError(
      'wrong-phrase',
      'the recovery phrase is of another vault than this one: compare the words with your paper',
    )
  }
  const remote = formatRemoteUrl(options.remote)
  if (remote.length > REMOTE_CHARACTERS_MAX) {
    throw new ClientError('invalid-argument', 'the address of the remote is too long for a kit')
  }
  const line = formatKit({ recoveryPhrase: phrase, vaultId, remote })
  const page: KitPage = {
    words: phrase.split(' '),
    ...{ vaultId, remote, deviceNames, madeMs, line },
    code: encodeQR(line, 'raw', { ecc: 'medium', border: 4 }),
  }
  return kitPage(page)
}

/** What the QR code says. */
function formatKit({ recoveryPhrase, vaultId, remote }: EmergencyKit): string {
  const words = recoveryPhrase.replaceAll(' ', '-')
  const address = encodeURIComponent(remote).replaceAll("'", '%27')
  return `${SCHEME}words=${words}&vault=${vaultId}&remote=${address}`
}

/** Whether a text is meant as a kit, rather than as the words of a phrase. */
export const isKit = (text: string): boolean =>
  text.includes('blindcopy-kit:') || /^\s*<(!doctype|html)/i.test(text)

/** What a kit says. Throws `kit-damaged`. */
export function parseKit(text: string): EmergencyKit {
  if (text.length > TEXT_CHARACTERS_MAX) throw damaged('it is too long to be one')
  const match = /blindcopy-kit:(\d+)\?([A-Za-z0-9=&;%._~!*()-]+)/.exec(text)
  if (match === null) throw damaged('it holds no recovery phrase')
  const [, version, query = ''] = match
  if (version !== '1') throw damaged('it is of a later version')
  const parameters = new URLSearchParams(query.replaceAll('&amp;', '&'))
  const words = parameters.get('words')
  const vaultId = parameters.get('vault')
  const remote = parameters.get('remote')
  if (words === null || vaultId === null || remote === null)
    throw damaged('a part of it is missing')
  const { phrase, vaultId: found } = orDamaged(() => readPhrase(words.replaceAll('-', ' ')))
  if (found !== vaultId) throw damaged('its words are of another vault than it says')
  return { recoveryPhrase: phrase, vaultId, remote: orDamaged(() => formatRemoteUrl(remote)) }
}

function orDamaged<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (codeOf(cause) === undefined) throw cause
    throw damaged('a part of it is not what was written', cause)
  }
}

/** The words as they are spelled, and the vault they are of. */
function readPhrase(text: string): { phrase: string; vaultId: string } {
  const rootSecret = parsePhrase(text)
  const root = deriveRoot(rootSecret)
  const phrase = formatPhrase(rootSecret)
  rootSecret.wipe()
  const vaultId = formatVaultId(root.vaultId)
  root.wipe()
  return { phrase, vaultId }
}

function damaged(what: string, cause?: unknown): ClientError {
  return new ClientError('kit-damaged', `this is no emergency kit that can be read: ${what}`, {
    cause,
  })
}
