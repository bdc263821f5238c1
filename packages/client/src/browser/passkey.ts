/**
 * Passkey: a key store whose secret only a passkey can make, with the finger, face or PIN of its
 * owner. The secret is what WebAuthn's PRF extension answers for a random salt.
 *
 *   handle                        id of the salt (16) ‖ id of the credential (1 to 1,023)
 *   blindcopy-passkeys            the salt, by its id: a database of this site
 *
 * The salt stays here and not in the handle so that it can be forgotten: no script can delete a
 * passkey, and without its salt it makes nothing. Whoever copies the site's storage has the salt,
 * and still needs the passkey.
 *
 * Sources: w3.org/TR/webauthn-3, 10.1.4 "Pseudo-random function extension" and 5.1.10 on signals.
 */
import { formatBase64Url, formatHex } from '@blindcopy/protocol'
import { ClientError } from '../error.ts'
import type { KeyStore, KeyStoreVault } from '../vault/key-store.ts'
import { readObjects, writeObjects } from './browser-database.ts'

export type PasskeyOptions = {
  /** What the passkey is called where its owner chooses among several. */
  readonly name?: string | undefined
  /** What the browser calls this site beside it; the name of its host where it is not given. */
  readonly siteName?: string | undefined
  /** Two minutes where it is not given. */
  readonly timeoutMs?: number | undefined
}

/** The id of every key store that is a passkey. */
export const PASSKEY_ID = 'passkey'

const SALTS = 'blindcopy-passkeys'
const SALT_ID_BYTES = 16
const SALT_BYTES = 32
const USER_ID_BYTES = 32
const CHALLENGE_BYTES = 32
const SECRET_BYTES = 32
const TIMEOUT_MS = 120_000
/** ES256, EdDSA, RS256: what passkeys sign with. Nothing is ever signed; one must be named. */
const ALGORITHMS = [-7, -8, -257]

/**
 * A new passkey each time keys are closed with one; its owner is asked twice then, and once at
 * every opening. Browsers want to be asked in a click (Safari insists): call `openVault` and the
 * like in its handler. Every method throws `key-store-failed`, and `load` `key-store-empty`.
 */
export function passkey(options: PasskeyOptions = {}): KeyStore {
  return {
    id: PASSKEY_ID,
    async create(vault) {
      const saltId = vault.random(SALT_ID_BYTES)
      const salt = vault.random(SALT_BYTES)
      const rawId = await createPasskey(vault, options)
      const handle = new Uint8Array(SALT_ID_BYTES + rawId.length)
      handle.set(saltId)
      handle.set(rawId, SALT_ID_BYTES)
      try {
        // Asked for as at every opening: what cannot answer that is found before it is needed.
        const secret = await evaluate(vault, rawId, salt, options)
        await writeObjects(SALTS, { [formatHex(saltId)]: salt })
        return { secret, handle }
      } catch (error) {
        await tellForgotten(rawId)
        throw error
      }
    },
    async load(vault, handle) {
      const { saltName, rawId } = readHandle(handle)
      const [salt] = await readObjects(SALTS, [saltName])
      if (!(salt instanceof Uint8Array)) {
        throw new ClientError(
          'key-store-empty',
          'this browser has forgotten what the passkey needs: restore the vault, or pair it anew',
        )
      }
      return evaluate(vault, rawId, salt, options)
    },
    async remove(_vault, handle) {
      const { saltName, rawId } = readHandle(handle)
      await writeObjects(SALTS, { [saltName]: undefined })
      await tellForgotten(rawId)
    },
  }
}

function readHandle(handle: Uint8Array): { saltName: string; rawId: Uint8Array } {
  if (handle.length <= SALT_ID_BYTES) throw failed('the key file names no passkey')
  const saltName = formatHex(handle.subarray(0, SALT_ID_BYTES))
  return { saltName, rawId: handle.subarray(SALT_ID_BYTES) }
}

async function createPasskey(
  { vaultId, random }: KeyStoreVault,
  options: PasskeyOptions,
): Promise<Uint8Array> {
  const name = options.name ?? `Blindcopy vault ${vaultId.slice(0, 6)}`
  const credential = await asked(() =>
    credentials().create({
      publicKey: {
        rp: { name: options.siteName ?? location.hostname },
        // By chance: nobody who sees the passkeys of a person learns which vault they are for.
        user: { id: bytes(random(USER_ID_BYTES)), name, displayName: name },
        challenge: bytes(random(CHALLENGE_BYTES)),
        pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
        timeout: options.timeoutMs ?? TIMEOUT_MS,
        extensions: { prf: {} },
      },
    }),
  )
  const rawId = new Uint8Array(credential.rawId)
  if (credential.getClientExtensionResults().prf?.enabled === true) return rawId
  await tellForgotten(rawId)
  throw failed('this kind of passkey keeps no secrets (it lacks PRF): choose another place for it')
}

/** The same for the same passkey and salt. Its owner must prove to be there each time. */
async function evaluate(
  { random }: KeyStoreVault,
  rawId: Uint8Array,
  salt: Uint8Array,
  { timeoutMs = TIMEOUT_MS }: PasskeyOptions,
): Promise<Uint8Array> {
  const credential = await asked(() =>
    credentials().get({
      publicKey: {
        challenge: bytes(random(CHALLENGE_BYTES)),
        allowCredentials: [{ type: 'public-key', id: bytes(rawId) }],
        // An authenticator has another secret for those who have proved nothing.
        userVerification: 'required',
        timeout: timeoutMs,
        extensions: { prf: { eval: { first: bytes(salt) } } },
      },
    }),
  )
  const result = credential.getClientExtensionResults().prf?.results?.first
  if (!(result instanceof ArrayBuffer) || result.byteLength !== SECRET_BYTES) {
    throw failed('it gave no secret')
  }
  return new Uint8Array(result)
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  const credential = await ask().catch((error: unknown) => {
    if (error instanceof ClientError) throw error
    // Why is not told to sites: refused, too late, or no such passkey here.
    const isRefused = error instanceof Error && error.name === 'NotAllowedError'
    throw failed(
      isRefused
        ? 'it was refused, it took too long, or this is not the device that has it: try again'
        : 'the browser could not ask for one here',
    )
  })
  if (credential instanceof PublicKeyCredential) return credential
  throw failed('the browser gave something else')
}

function credentials(): CredentialsContainer {
  const { PublicKeyCredential: kind, navigator } = globalThis as Partial<typeof globalThis>
  if (kind !== undefined && navigator?.credentials !== undefined) return navigator.credentials
  throw failed('this page has no passkeys: serve it over https, to a browser that has them')
}

/** A courtesy: who keeps the passkey may take it from the list. Newer browsers pass it on. */
async function tellForgotten(rawId: Uint8Array): Promise<void> {
  type Signals = {
    signalUnknownCredential?(told: { rpId: string; credentialId: string }): Promise<void>
  }
  const { PublicKeyCredential: signals } = globalThis as { PublicKeyCredential?: Signals }
  const told = { rpId: location.hostname, credentialId: formatBase64Url(rawId) }
  await signals?.signalUnknownCredential?.(told).catch(() => undefined)
}

/** The types of the DOM will not take memory that might be shared; ours never is. */
const bytes = (source: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(source)

const failed = (why: string): ClientError =>
  new ClientError('key-store-failed', `the passkey could not be used: ${why}`)
