/**
 * Key helper: a key store whose secrets a program keeps that the person names, as Git has it with
 * its credential helpers: the keychain of the system, a password manager, a token.
 *
 *   PROGRAM [ARGUMENTS] store | get | erase
 *
 *   stdin     vault=<43 characters>, id=<32 hexadecimal digits>, and for `store`
 *             secret=<43 characters of Base64url>; each on a line of its own, then an empty line
 *   stdout    of `get`: secret=<…>; nothing at all when there is none
 *   exit      0, or the person is told that it failed
 *
 * It is run without a shell, no secret stands in its arguments, and its environment lacks our
 * passphrases. It has a minute, for it may ask the person, and may say 4 KiB. What it says on
 * stderr goes to ours; nothing of what it says goes into an error.
 */
import { spawn } from 'node:child_process'
import { equalBytes, formatBase64Url, formatHex, parseBase64Url } from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { KeyStore, KeyStoreVault } from '../vault/key-store.ts'

export type KeyHelperOptions = {
  /** The program, by its path or its name on the PATH. */
  readonly program: string
  readonly arguments?: readonly string[] | undefined
  /** A minute where it is not given. */
  readonly timeoutMs?: number | undefined
}

type Action = 'store' | 'get' | 'erase'

const ID_BYTES = 16
const SECRET_BYTES = 32
const TIMEOUT_MS = 60_000
const OUTPUT_BYTES_MAX = 4096
const HIDDEN = ['BLINDCOPY_PASSPHRASE', 'BLINDCOPY_NEW_PASSPHRASE']

/** The id of every key store that is a helper, whatever its program. */
export const KEY_HELPER_ID = 'helper'

/** Throws `invalid-argument`. */
export function keyHelper(options: KeyHelperOptions): KeyStore {
  if (typeof options.program !== 'string' || options.program === '') {
    throw new ClientError('invalid-argument', 'a key helper is the path of a program')
  }
  const get = async (vault: KeyStoreVault, handle: Uint8Array): Promise<Uint8Array> => {
    const output = await run(options, 'get', linesOf(vault, handle))
    const secret = secretIn(output)
    output.fill(0)
    return secret
  }
  return {
    id: KEY_HELPER_ID,
    async create(vault) {
      const handle = vault.random(ID_BYTES)
      const secret = vault.random(SECRET_BYTES)
      const line = `secret=${formatBase64Url(secret)}`
      ;(await run(options, 'store', [...linesOf(vault, handle), line])).fill(0)
      // One that keeps nothing is found before the keys are closed with what it should keep.
      const kept = await get(vault, handle)
      const isKept = equalBytes(kept, secret)
      kept.fill(0)
      if (!isKept) throw failed('it did not give back what it was given')
      return { secret, handle }
    },
    load: get,
    async remove(vault, handle) {
      ;(await run(options, 'erase', linesOf(vault, handle))).fill(0)
    },
  }
}

const linesOf = ({ vaultId }: KeyStoreVault, handle: Uint8Array): string[] => [
  `vault=${vaultId}`,
  `id=${formatHex(handle)}`,
]

/** Throws `key-store-empty` where there is none, `key-store-failed` for what is no secret. */
function secretIn(output: Uint8Array): Uint8Array {
  const lines = Buffer.from(output.buffer, output.byteOffset, output.length)
    .toString('utf8')
    .split(/\r?\n/u)
  const text = lines.find((line) => line.startsWith('secret='))?.slice('secret='.length)
  if (text === undefined || text === '') {
    throw new ClientError(
      'key-store-empty',
      'the key helper has no secret for this vault: use the one that the vault was closed with, or restore the vault',
    )
  }
  let secret: Uint8Array
  try {
    secret = parseBase64Url(text)
  } catch {
    throw failed('what it gave is no secret')
  }
  if (secret.length !== SECRET_BYTES) throw failed('what it gave is no secret')
  return secret
}

/** What it wrote to stdout. Settles when the program has ended, or has had its time. */
function run(
  { program, arguments: given = [], timeoutMs = TIMEOUT_MS }: KeyHelperOptions,
  action: Action,
  lines: readonly string[],
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !HIDDEN.includes(name)),
    )
    const child = spawn(program, [...given, action], {
      env,
      shell: false,
      stdio: ['pipe', 'pipe', 'inherit'],
      windowsHide: true,
    })
    const chunks: Buffer[] = []
    let sizeBytes = 0
    const end = (failure?: ClientError): void => {
      clearTimeout(timer)
      if (failure !== undefined) {
        child.kill('SIGKILL')
        reject(failure)
      } else resolve(new Uint8Array(Buffer.concat(chunks)))
      for (const chunk of chunks) chunk.fill(0)
      // What it has started itself may hold them open.
      child.stdin.destroy()
      child.stdout.destroy()
    }
    const timer = setTimeout(() => end(failed(`it took more than ${timeoutMs} ms`)), timeoutMs)
    child.stdout.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > OUTPUT_BYTES_MAX) end(failed('it says too much'))
      else chunks.push(chunk)
    })
    // One that does not read what it is told has said so by how it ends.
    child.stdin.on('error', () => undefined)
    child.on('error', () => end(failed('it cannot be run')))
    child.on('close', (code) => {
      end(code === 0 ? undefined : failed(`it ended with ${code ?? 'a signal'}`))
    })
    child.stdin.end(`${lines.join('\n')}\n\n`)
  })
}

function failed(why: string): ClientError {
  return new ClientError('key-store-failed', `the key helper failed: ${why}`)
}
