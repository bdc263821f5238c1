/**
 * Session: logging in, and registering a vault that the remote does not have yet.
 *
 * Both answer a challenge of the remote with a signature over the remote's origin as this device
 * knows it, so a phishing host can pass on neither.
 */
import {
  type Capabilities,
  type CreateAnswer,
  createSignedBytes,
  loginSignedBytes,
  type MemberId,
  negotiateProtocol,
  ProtocolError,
  parseKeychainEntry,
  type SessionAnswer,
  type Signature,
  type VaultId,
} from '@blindcopy/protocol'
import type { Transport } from './transport.ts'

export type LoginIdentity = {
  readonly vaultId: VaultId
  readonly memberId: MemberId
  sign(message: Uint8Array): Signature
}

export type LoggedIn = SessionAnswer & { readonly limits: Capabilities['limits'] }

/** Throws `unsupported-protocol` when the two ends have no version in common. */
export async function logIn(transport: Transport, identity: LoginIdentity): Promise<LoggedIn> {
  const { protocol, limits } = await transport.capabilities()
  negotiateProtocol(protocol)
  const { vaultId, memberId } = identity
  const { nonce, expiresMs } = await transport.challenge(vaultId)
  const statement = { vaultId, memberId, nonce, expiresMs, origin: transport.origin }
  const signature = identity.sign(loginSignedBytes(statement))
  return { ...(await transport.session({ ...statement, nonce, signature })), limits }
}

export async function registerVault(
  transport: Transport,
  identity: LoginIdentity,
  options: {
    entries: readonly Uint8Array[]
    greatestMs: number
    registrationToken?: string | undefined
  },
): Promise<CreateAnswer> {
  const { vaultId, memberId } = identity
  const last = options.entries[options.entries.length - 1]
  if (last === undefined) throw new ProtocolError('keychain-invalid', 'there is no keychain')
  const { nonce } = await transport.challenge(vaultId)
  const statement = {
    vaultId,
    memberId,
    nonce,
    keychainHead: parseKeychainEntry(last).hash,
    greatestMs: options.greatestMs,
    origin: transport.origin,
  }
  const signature = identity.sign(createSignedBytes(statement))
  const { registrationToken } = options
  return transport.create({
    vaultId,
    memberId,
    nonce,
    greatestMs: options.greatestMs,
    origin: transport.origin,
    entries: [...options.entries],
    signature,
    ...(registrationToken === undefined ? {} : { registrationToken }),
  })
}
