/**
 * Warnings: settings that are allowed and yet are hardly meant, told once at the start, each with
 * what to do. Nothing is refused for them.
 */
import type { Env } from '../data-folder.ts'
import { nearest } from './nearest.ts'
import type { ReadSettings } from './read-settings.ts'
import { SETTINGS } from './settings.ts'

export type Warning = { readonly code: string; readonly message: string }

/** Of other commands, and of this one alone. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'BLINDCOPY_CONFIG',
  'BLINDCOPY_VAULT',
  'BLINDCOPY_PASSPHRASE',
  'BLINDCOPY_NEW_PASSPHRASE',
  'BLINDCOPY_KEY_HELPER',
  'BLINDCOPY_KEY_FILE_PASSPHRASE',
  'BLINDCOPY_ADMIN_SOCKET',
])

export function warningsOf(read: ReadSettings, env: Env): Warning[] {
  return [...exposure(read), ...proxies(read), ...openFile(read), ...misspelt(env)]
}

export const isLoopback = (host: string): boolean =>
  /^(127\.|localhost$|\[?::1\]?$|::ffff:127\.)/.test(host)

function exposure({ settings: { host, origin } }: ReadSettings): Warning[] {
  const isExposed = !isLoopback(host)
  if (isExposed && !origin.some((one) => one.startsWith('https:'))) {
    return [
      {
        code: 'exposed',
        message: `it listens on ${host} and has no https address: who may log in is secret only behind TLS. Put a reverse proxy with TLS before it, listen on 127.0.0.1, and name the public address with --origin https://…`,
      },
    ]
  }
  const bare = origin.find((one) => one.startsWith('http:') && !isLoopback(new URL(one).hostname))
  if (bare === undefined) return []
  const message = `${bare} has no TLS: whoever is on the way can take over a session. Use https`
  return [{ code: 'exposed', message }]
}

function proxies({ settings: { trustProxy } }: ReadSettings): Warning[] {
  if (!trustProxy.some((range) => /\/0+$/.test(range))) return []
  return [
    {
      code: 'trusts-everybody',
      message:
        'trust-proxy takes in every address: any client can then say that it is another one. Name your proxy alone',
    },
  ]
}

function openFile({ file }: ReadSettings): Warning[] {
  if (file === undefined || !file.isOpen || !file.valueByName.has('registration-token')) return []
  return [
    {
      code: 'open-file',
      message: `others may read ${file.path}, which holds the registration token: chmod 600 it, or use registration-token-file`,
    },
  ]
}

/** A variable that is nearly one of ours counts for nothing, and nobody would see it. */
function misspelt(env: Env): Warning[] {
  const known = SETTINGS.map(({ variable }) => variable)
  return Object.keys(env).flatMap((name) => {
    const isOurs = name.startsWith('BLINDCOPY_') && !OTHER_VARIABLES.has(name)
    if (!isOurs || known.includes(name)) return []
    const near = nearest(name, known)
    if (near === undefined) return []
    return [{ code: 'unknown-variable', message: `${name} is no setting; did you mean ${near}?` }]
  })
}
