/**
 * A vault on one device, without a network: what an app can rely on before there is any sync.
 */
import type { Store } from '@blindcopy/secondary'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type TestPlatform, testPlatform } from '../platform.fixture.ts'
import type { Vault } from './vault.ts'
import { createVaultOn, openVaultOn } from './vault-doors.ts'

const REMOTE = 'http://127.0.0.1:9'
let platform: TestPlatform
let vault: Vault

beforeEach(async () => {
  platform = testPlatform()
  vault = (await createVaultOn(platform, { path: 'phone', remote: REMOTE })).vault
})
afterEach(() => vault.close())

const values = {
  zero: 0,
  negativeZero: -0,
  empty: '',
  no: false,
  nothing: null,
  missing: undefined,
  notANumber: Number.NaN,
  far: Number.POSITIVE_INFINITY,
  large: 2 ** 53,
  larger: 2n ** 90n,
  small: 5n,
  date: new Date(1),
  bytes: new Uint8Array([0, 255]),
  scripts: '記録 летопись 😀',
  nested: { list: [1, [undefined, null], {}], map: { '': 0 } },
}

describe('a collection', () => {
  it('gives back every value exactly, also after the vault was closed', async () => {
    const fields = Object.defineProperty({ ...values }, '__proto__', {
      value: 'a key like any other',
      enumerable: true,
      configurable: true,
      writable: true,
    })
    await vault.collection('values').put('v', fields)
    expect(await vault.collection('values').get('v')).toStrictEqual(fields)
    await vault.close()
    vault = await openVaultOn(platform, { path: 'phone' })
    const again = await vault.collection('values').get('v')
    expect(again).toStrictEqual(fields)
    expect(Object.keys(again ?? {})).toEqual(Object.keys(fields))
  })

  it('stores what the fields were when put was called', async () => {
    const fields = { list: [1] }
    const put = vault.collection('c').put('k', fields)
    fields.list.push(2)
    await put
    expect(await vault.collection('c').get('k')).toEqual({ list: [1] })
  })

  it('hands out copies', async () => {
    const things = vault.collection<{ list: number[] }>('c')
    await things.put('k', { list: [1] })
    ;(await things.get('k'))?.list.push(2)
    expect(await things.get('k')).toEqual({ list: [1] })
  })

  it('updates, deletes, adds and lists by key', async () => {
    const notes = vault.collection<{ title: string; done?: boolean }>('notes')
    await notes.put('n2', { title: 'two' })
    await notes.put('n1', { title: 'one' })
    expect(await notes.update('n1', { done: true })).toEqual({ title: 'one', done: true })
    expect(await notes.delete('n2')).toBe(true)
    expect(await notes.delete('n2')).toBe(false)
    expect(await notes.get('n2')).toBeUndefined()
    const key = await notes.add({ title: 'three' })
    expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect((await notes.list()).map((item) => item.key)).toEqual([key, 'n1'].sort())
    await expect(notes.update('n2', { done: true })).rejects.toMatchObject({ code: 'not-found' })
  })

  it('keeps collections apart', async () => {
    await vault.collection('a').put('bc', { v: 1 })
    await vault.collection('ab').put('c', { v: 2 })
    expect(await vault.collection('a').get('bc')).toEqual({ v: 1 })
    expect(await vault.collection('ab').get('c')).toEqual({ v: 2 })
    expect(await vault.collection('abc').list()).toEqual([])
  })

  it('loses no update when many run at once', async () => {
    const counters = vault.collection<{ count: number }>('counters')
    await counters.put('c', { count: 0 })
    const increment = () =>
      vault.transaction(async (transaction) => {
        const target = transaction.collection(counters)
        const { count } = (await target.get('c')) ?? { count: 0 }
        await target.put('c', { count: count + 1 })
      })
    await Promise.all(Array.from({ length: 20 }, increment))
    expect(await counters.get('c')).toEqual({ count: 20 })
  })

  it('refuses what it cannot carry, with the path, and stores nothing', async () => {
    const things = vault.collection('c')
    const refusals: [unknown, string][] = [
      [{ a: { b: [1, () => 1] } }, 'fields.a.b[1]'],
      [{ a: '\ud800' }, 'fields.a'],
      [{ a: new Map() }, 'fields.a'],
    ]
    for (const [fields, path] of refusals) {
      await expect(things.put('k', fields as never)).rejects.toMatchObject({
        code: 'not-carried',
        details: { path },
      })
    }
    for (const fields of [null, undefined, 3, 'text', [1], new Date(0), new Uint8Array(1)]) {
      await expect(things.put('k', fields as never)).rejects.toMatchObject({
        code: 'invalid-argument',
      })
    }
    expect(await things.list()).toEqual([])
    expect(vault.sync.status.pending).toBe(0)
  })

  it('refuses names and keys beyond their limits, and takes those at it', async () => {
    const things = vault.collection('x'.repeat(128))
    await things.put('é'.repeat(256), { at: 'the limit' })
    expect(await things.get('é'.repeat(256))).toEqual({ at: 'the limit' })
    for (const key of ['', 'x'.repeat(513), `${'é'.repeat(256)}x`, '\udc00']) {
      await expect(things.get(key)).rejects.toMatchObject({ code: 'invalid-argument' })
    }
    expect(() => vault.collection('x'.repeat(129))).toThrow(/at most 128 bytes/)
    expect(() => vault.collection('')).toThrow(/not empty/)
    expect(() => vault.collection('$own')).toThrow(/reserved/)
  })

  it('refuses a record that is too large, and takes the next', async () => {
    const things = vault.collection('c')
    const body = 'x'.repeat(1_100_000)
    await expect(things.put('k', { body })).rejects.toMatchObject({ code: 'record-too-large' })
    await things.put('k', { body: 'small' })
    expect(await things.get('k')).toEqual({ body: 'small' })
  })
})

describe('a schema', () => {
  const Note = z.object({ title: z.string().min(1), done: z.boolean().default(false) })

  it('checks what is written, and what it gives back is stored', async () => {
    const notes = vault.collection('notes', { schema: Note })
    // A field with a default may be left out of what is written, and is there in what is read.
    await notes.put('n', { title: 'x' })
    const done: boolean | undefined = (await notes.get('n'))?.done
    expect(done).toBe(false)
    expect(await notes.get('n')).toEqual({ title: 'x', done: false })
    await expect(notes.put('n', { title: '', done: true })).rejects.toMatchObject({
      code: 'schema-refused',
      details: { path: 'title' },
    })
    await expect(notes.update('n', { title: 3 as never })).rejects.toMatchObject({
      code: 'schema-refused',
    })
    expect(await notes.get('n')).toEqual({ title: 'x', done: false })
  })
})

describe('a transaction', () => {
  it('writes all or nothing, and reads its own writes', async () => {
    const things = vault.collection('c')
    const failing = vault.transaction(async (transaction) => {
      const target = transaction.collection(things)
      await target.put('a', { v: 1 })
      expect(await target.get('a')).toEqual({ v: 1 })
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await things.list()).toEqual([])
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(things)
      await target.put('a', { v: 1 })
      await target.put('b', { v: 2 })
      expect(await target.delete('a')).toBe(true)
      expect(await target.get('a')).toBeUndefined()
    })
    expect((await things.list()).map(({ key }) => key)).toEqual(['b'])
    expect(vault.sync.status.pending).toBe(1)
  })

  it('runs again when a record changes between two of its reads', async () => {
    const counts = vault.collection<{ n: number }>('c')
    await counts.put('k', { n: 1 })
    let runs = 0
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(counts)
      const read = await target.get('k')
      if (runs++ === 0) await counts.put('k', { n: 10 })
      await target.update('k', { n: (read?.n ?? 0) + 1 })
    })
    expect([await counts.get('k'), runs]).toEqual([{ n: 11 }, 2])
  })

  it('takes 1,000 records and refuses 1,001', async () => {
    const things = vault.collection('c')
    const write = (count: number) =>
      vault.transaction(async (transaction) => {
        const target = transaction.collection(things)
        for (let i = 0; i < count; i++) await target.put(`k${i}`, { i })
      })
    await write(1_000)
    await expect(write(1_001)).rejects.toMatchObject({ code: 'transaction-too-large' })
    expect(vault.sync.status.pending).toBe(1)
  })

  it('refuses more than 4 MiB, and stores nothing of it', async () => {
    const things = vault.collection('c')
    const body = 'x'.repeat(1_000_000)
    const large = vault.transaction(async (transaction) => {
      for (let i = 0; i < 5; i++) await transaction.collection(things).put(`k${i}`, { body })
    })
    await expect(large).rejects.toMatchObject({ code: 'transaction-too-large' })
    expect(await things.list()).toEqual([])
  })

  it('is over when its function is', async () => {
    let escaped: Promise<void> | undefined
    const things = vault.collection('c')
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(things)
      await target.put('a', {})
      escaped = Promise.resolve().then(async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve()
        await target.put('b', {})
      })
      escaped.catch(() => undefined)
    })
    await expect(escaped).rejects.toMatchObject({ code: 'closed' })
    expect((await things.list()).map(({ key }) => key)).toEqual(['a'])
  })
})

describe('watch', () => {
  it('gives the result now and after each change to it', async () => {
    const notes = vault.collection<{ n: number; open: boolean }>('notes')
    await notes.put('a', { n: 1, open: true })
    const results = notes.watch({ where: { open: true }, orderBy: { n: 'desc' }, limit: 2 })
    const next = async (): Promise<string[]> => {
      const step = await results.next()
      return step.done ? [] : step.value.map(({ key }) => key)
    }
    expect(await next()).toEqual(['a'])
    await notes.put('b', { n: 2, open: true })
    expect(await next()).toEqual(['b', 'a'])
    await vault.collection('others').put('b', { n: 9, open: true })
    await notes.put('c', { n: 3, open: false })
    await notes.update('a', { open: false })
    expect(await next()).toEqual(['b'])
    await notes.delete('b')
    expect(await next()).toEqual([])
    await results.return(undefined)
  })

  it('misses nothing that changes while it reads', async () => {
    const notes = vault.collection<{ n: number }>('notes')
    for (let i = 0; i < 50; i++) await notes.put(`k${i}`, { n: i })
    const results = notes.watch()
    const first = results.next()
    await notes.put('late', { n: -1 })
    let seen = ((await first).value ?? []).length
    if (seen === 50) seen = ((await results.next()).value ?? []).length
    expect(seen).toBe(51)
    await results.return(undefined)
  })

  it('ends when the vault is closed, and so does a watch of the status', async () => {
    const results = vault.collection('notes').watch({}, new AbortController().signal)
    const statuses = vault.sync.watch()
    await Promise.all([results.next(), statuses.next()])
    const pending = Promise.all([results.next(), statuses.next()])
    await vault.close()
    expect((await pending).map(({ done }) => done)).toEqual([true, true])
  })

  it('ends when its signal does', async () => {
    const end = new AbortController()
    const results = vault.collection('notes').watch({}, end.signal)
    await results.next()
    const pending = results.next()
    end.abort()
    expect((await pending).done).toBe(true)
  })
})

describe('the doors', () => {
  it('refuse what is not there, what is there already, and addresses that are none', async () => {
    await expect(openVaultOn(platform, { path: 'other' })).rejects.toMatchObject({
      code: 'not-a-vault',
    })
    const again = createVaultOn(platform, { path: 'phone', remote: REMOTE })
    await expect(again).rejects.toMatchObject({ code: 'vault-exists' })
    for (const remote of ['', 'example.org', 'ftp://x', 'http://u:p@x', 'http://x/?q=1', 'x y']) {
      const created = createVaultOn(platform, { path: 'new', remote })
      await expect(created).rejects.toMatchObject({ code: 'invalid-argument' })
    }
    await expect(openVaultOn(platform, { path: '' })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
  })

  it('open a vault again only with its passphrase', async () => {
    const options = { path: 'locked', remote: REMOTE, passphrase: 'correct horse' }
    const { vault: locked } = await createVaultOn(platform, options)
    await locked.collection('c').put('k', { v: 1 })
    await locked.close()
    const open = (passphrase?: string) =>
      openVaultOn(platform, { path: 'locked', ...(passphrase === undefined ? {} : { passphrase }) })
    await expect(open()).rejects.toMatchObject({ code: 'passphrase-required' })
    await expect(open('wrong')).rejects.toMatchObject({ code: 'passphrase-wrong' })
    const opened = await open('correct horse')
    expect(await opened.collection('c').get('k')).toEqual({ v: 1 })
    await opened.close()
  })

  it('leave no vault behind when a step fails, and can be tried again', async () => {
    const folder = platform.openFolder('fails') as ReturnType<typeof platform.openFolder>
    const { finish } = folder
    folder.finish = () => Promise.reject(new Error('the disk failed'))
    const options = { path: 'fails', remote: REMOTE }
    await expect(createVaultOn(platform, options)).rejects.toThrow('the disk failed')
    await expect(openVaultOn(platform, options)).rejects.toMatchObject({ code: 'not-a-vault' })
    folder.finish = finish
    const { vault: second } = await createVaultOn(platform, options)
    await second.close()
  })

  it('say so when something is used after it was closed', async () => {
    const notes = vault.collection('notes')
    await vault.close()
    expect(() => vault.collection('notes')).toThrow(/closed/)
    const closed = { code: 'closed' }
    await expect(notes.put('k', {})).rejects.toMatchObject(closed)
    await expect(notes.get('k')).rejects.toMatchObject(closed)
    await expect(notes.add({})).rejects.toMatchObject(closed)
    await expect(vault.setRegistrationToken('t')).rejects.toMatchObject(closed)
    await expect(vault.sync.once()).rejects.toMatchObject(closed)
    await expect(vault.sync.retry()).rejects.toMatchObject(closed)
    expect(() => vault.sync.start()).toThrow(/closed/)
    await vault.close()
  })

  it('are closed when close resolves, however often it is called', async () => {
    const { store } = platform.folders.get('phone') as { store: Store }
    const write = store.write.bind(store)
    let written = false
    store.write = async (...batch) => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      await write(...batch)
      written = true
    }
    const put = vault.collection('notes').put('k', {})
    void vault.close()
    await vault.close()
    expect(written).toBe(true)
    await put
  })

  it('leave no vault behind whose phrase nobody was told', async () => {
    const folder = platform.openFolder('fails')
    const { openStore } = folder
    folder.openStore = async () => {
      const store = await openStore()
      let writes = 0
      const write: Store['write'] = async (batch, durability) => {
        if (++writes > 1) throw new Error('the disk failed')
        await store.write(batch, durability)
      }
      return { ...store, write }
    }
    const options = { path: 'fails', remote: REMOTE, registrationToken: 'token' }
    await expect(createVaultOn(platform, options)).rejects.toThrow('the disk failed')
    await expect(openVaultOn(platform, options)).rejects.toMatchObject({ code: 'not-a-vault' })
  })
})

describe('without a network', () => {
  it('writes go on, and sync says that the remote cannot be reached', async () => {
    const notes = vault.collection('notes')
    await notes.put('a', { v: 1 })
    await expect(vault.sync.once()).rejects.toMatchObject({ code: 'network' })
    await notes.put('b', { v: 2 })
    expect(vault.sync.status).toMatchObject({
      phase: 'resting',
      pending: 2,
      initialSyncComplete: false,
      problem: { code: 'network' },
    })
  })
})
