/**
 * Conformance suite of key stores: what every one of them must do, as named cases that throw when
 * one does not. No test runner, so that it also runs in a page.
 */
import type { KeyStore, KeyStoreVault } from './key-store.ts'

export type KeyStoreCase = { readonly name: string; run(): Promise<void> }

/** `reopen` gives the store as another process would have it: with nothing in memory. */
export function keyStoreCases(
  reopen: () => KeyStore,
  random: (size: number) => Uint8Array,
): readonly KeyStoreCase[] {
  const vaultOf = (letter: string): KeyStoreVault => ({ vaultId: letter.repeat(43), random })
  const [one, other] = [vaultOf('A'), vaultOf('B')]
  return [
    {
      name: 'has an id that a key file carries, the same each time',
      async run() {
        const [id, again] = [reopen().id, reopen().id]
        check(/^[a-z0-9-]{1,32}$/.test(id) && id === again, 'the id')
      },
    },
    {
      name: 'gives a secret of 32 bytes again, in another process too, as often as it is asked',
      async run() {
        const { secret, handle } = await reopen().create(one)
        check(secret.length === 32 && secret.some((byte) => byte !== 0), 'the secret')
        check(handle.length <= 2048, 'the handle')
        for (let i = 0; i < 2; i++) same(await reopen().load(one, handle), secret, 'another secret')
        await reopen().remove(one, handle)
      },
    },
    {
      name: 'makes another secret each time, for one vault and for two',
      async run() {
        const store = reopen()
        const made = [await store.create(one), await store.create(one), await store.create(other)]
        const spelled = new Set(made.map(({ secret }) => secret.join()))
        check(spelled.size === 3, 'a secret is given twice')
        for (const [i, { secret, handle }] of made.entries()) {
          const vault = i === 2 ? other : one
          same(await store.load(vault, handle), secret, 'the secrets are mixed up')
          await store.remove(vault, handle)
        }
      },
    },
    {
      name: 'hands out copies: what the caller wipes is there again',
      async run() {
        const store = reopen()
        const { secret, handle } = await store.create(one)
        const kept = secret.slice()
        secret.fill(0)
        ;(await store.load(one, handle)).fill(0)
        same(await store.load(one, handle), kept, 'it was wiped in the store')
        await store.remove(one, handle)
      },
    },
    {
      name: 'forgets one secret and no other, and what it has forgotten already',
      async run() {
        const store = reopen()
        const [gone, left] = [await store.create(one), await store.create(one)]
        await store.remove(one, gone.handle)
        await store.remove(one, gone.handle)
        same(await reopen().load(one, left.handle), left.secret, 'the other one')
        const code = await reopen()
          .load(one, gone.handle)
          .then(
            () => 'it is still there',
            (error: { code?: string }) => error.code,
          )
        check(code === 'key-store-empty', `forgotten: ${code}`)
        await store.remove(one, left.handle)
      },
    },
  ]
}

function check(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`the key store does not conform: ${what}`)
}

function same(a: Uint8Array, b: Uint8Array, what: string): void {
  check(a.length === b.length && a.every((byte, i) => byte === b[i]), what)
}
