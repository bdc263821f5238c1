/**
 * Key store: what keeps, or makes again, the secret that closes this device's key file: the
 * keychain of an operating system, a passkey, a hardware token. A port; no code.
 *
 * It never sees a key of the vault, and no vault sees how it keeps its secret. What is sealed, and
 * how, is the key file's affair (decision 0028). docs/key-stores.md says how to write one; its
 * conformance suite is key-store.suite.ts.
 */

/** What a key store is told of whom it keeps a secret for. */
export type KeyStoreVault = {
  /** Base64url, 43 characters: it may be shown, and is no secret. */
  readonly vaultId: string
  /** Bytes of a cryptographic generator. */
  readonly random: (size: number) => Uint8Array
}

export type KeptSecret = {
  /** 32 bytes that nobody can guess. The caller wipes them. */
  readonly secret: Uint8Array
  /**
   * What the key store needs to give them again: up to 2,048 bytes, which stand readable in the key
   * file. Bound into it: a changed one opens nothing.
   */
  readonly handle: Uint8Array
}

/**
 * Whatever it throws with the code `key-store-failed` or `key-store-empty` reaches the person as it
 * is; anything else becomes `key-store-failed`. Its messages hold no secret.
 */
export interface KeyStore {
  /** Of its kind: 1 to 32 of a–z, 0–9 and "-". Stands in the key file, and never changes. */
  readonly id: string
  /** Makes a new secret, which `load` is sure to give again, also in another process. */
  create(vault: KeyStoreVault): Promise<KeptSecret>
  /**
   * The same 32 bytes; the caller wipes them. May ask the person. Throws `key-store-empty` when
   * there is none any more, `key-store-failed` when it cannot be had now.
   */
  load(vault: KeyStoreVault, handle: Uint8Array): Promise<Uint8Array>
  /** Forgets a secret, as far as it can. One that is not there is forgotten already. */
  remove(vault: KeyStoreVault, handle: Uint8Array): Promise<void>
}
