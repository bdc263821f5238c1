/**
 * Argon2id (RFC 9106), for passphrases only: the one place that loads libsodium's larger build,
 * which alone has it, and only when a passphrase is used.
 *
 * Parameters come from a file that may have been changed: a floor keeps guessing expensive, a
 * ceiling keeps a file from exhausting the machine. Both are compiled in.
 */
import { encodeUtf8 } from '@blindcopy/protocol'
import { VaultError } from './error.ts'
import { type PassphraseKey, SECRET_BYTES, Secret } from './secret.ts'

export const SALT_BYTES = 16

export type Argon2idParameters = { readonly passes: number; readonly memoryKib: number }
export type Argon2idBounds = {
  readonly floor: Argon2idParameters
  readonly ceiling: Argon2idParameters
}

/** 64 MiB and 3 passes: the second recommendation of RFC 9106, section 4; 0.23 s. */
export const ARGON2ID_BOUNDS: Argon2idBounds = {
  floor: { passes: 3, memoryKib: 64 * 1024 },
  ceiling: { passes: 10, memoryKib: 1024 * 1024 },
}

/** Throws `parameters-refused`. */
export function checkParameters(parameters: Argon2idParameters, bounds: Argon2idBounds): void {
  const { floor, ceiling } = bounds
  const { passes, memoryKib } = parameters
  const isWithin =
    passes >= floor.passes &&
    passes <= ceiling.passes &&
    memoryKib >= floor.memoryKib &&
    memoryKib <= ceiling.memoryKib
  if (isWithin) return
  throw new VaultError(
    'parameters-refused',
    `Argon2id with ${passes} passes over ${memoryKib} KiB is outside what is taken: ` +
      `${floor.passes} to ${ceiling.passes} passes, ${floor.memoryKib} to ${ceiling.memoryKib} KiB`,
  )
}

/** Throws `memory-refused`. */
export async function stretchPassphrase(
  passphrase: string,
  salt: Uint8Array,
  parameters: Argon2idParameters,
): Promise<PassphraseKey> {
  const { default: sodium } = await import('libsodium-wrappers-sumo')
  await sodium.ready
  // NFC, as RFC 8265 (OpaqueString) has it: keyboards spell one accented letter in two ways.
  const password = encodeUtf8(passphrase.normalize('NFC'))
  try {
    const key = sodium.crypto_pwhash(
      SECRET_BYTES,
      password,
      salt,
      parameters.passes,
      parameters.memoryKib * 1024,
      sodium.crypto_pwhash_ALG_ARGON2ID13,
    )
    return new Secret('PassphraseKey', key)
  } catch {
    // Within the bounds nothing else fails, and libsodium's sentence is a different one.
    throw new VaultError(
      'memory-refused',
      `this device does not give the ${parameters.memoryKib / 1024} MiB that the passphrase needs`,
    )
  } finally {
    password.fill(0)
  }
}
