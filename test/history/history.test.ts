/** History as an app meets it: earlier versions are listed, read and brought back. */
import {
  decodeCbor,
  encodeMessage,
  HistoryAnswer,
  type HistoryAnswer as HistoryAnswerType,
  parseMessage,
  type RecordId,
  SESSION_TOKEN_MS,
  type Timestamp,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { expectSame, type Held, join, makeFleet, put, syncAll, textOf } from '../keys/keys.ts'
import { exportOf, refusal } from '../simulation/world.ts'

const codeOfRefusal = async (attempt: Promise<unknown>): Promise<unknown> =>
  ((await refusal(attempt)) as { code?: unknown }).code

const textsOf = (versions: readonly { readonly fields: object | null }[]): unknown[] =>
  versions.map(({ fields }) => (fields === null ? null : (fields as { text: string }).text))

const notesOf = ({ vault }: Held) => vault.collection('notes')

async function writeAndSync(held: Held, key: string, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    await put(held.vault, key, text)
    await held.vault.sync.once()
  }
}

describe('a history', () => {
  it('has every version that was superseded, whoever wrote it, and the one that is shown', async () => {
    const { held } = await makeFleet(9101, 2)
    const [a, b] = held as [Held, Held]
    await writeAndSync(a, 'n', 'one', 'two')
    await b.vault.sync.once()
    await writeAndSync(b, 'n', 'three')
    await syncAll(held)
    for (const one of held) {
      const history = await notesOf(one).history('n')
      expect(textsOf(history.versions)).toEqual(['three', 'two', 'one'])
      expect(history).toMatchObject({ unreadable: 0, isWhole: true })
      expect(history.retentionMs).toBe(30 * 24 * 60 * 60_000)
      const [shown, ...older] = history.versions
      expect(shown?.supersededMs).toBeNull()
      expect(older.every(({ supersededMs }) => (supersededMs ?? 0) > 0)).toBe(true)
      const authors = history.versions.map(({ writtenBy }) => writtenBy)
      const ids = [b, a, a].map(({ vault }) => vault.deviceId.slice(0, 5))
      expect(authors).toEqual(ids)
    }
  })

  it('brings a deleted record back, on every device', async () => {
    const { held } = await makeFleet(9102, 2)
    const [a] = held as [Held, Held]
    await writeAndSync(a, 'n', 'kept after all')
    await notesOf(a).delete('n')
    await syncAll(held)
    const { versions } = await notesOf(a).history('n')
    expect(textsOf(versions)).toEqual([null, 'kept after all'])
    const restored = await notesOf(a).restore('n', versions[1]?.version as string)
    expect(restored).toEqual({ text: 'kept after all' })
    await expectSame(held)
    for (const { vault } of held) expect(await textOf(vault, 'n')).toBe('kept after all')
  })

  it('is read under keys of before a rotation', async () => {
    const { held, world, recoveryPhrase } = await makeFleet(9103, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', 'under the first key')
    await a.vault.keys.rotate()
    await writeAndSync(a, 'n', 'under the second')
    const late = await join(world, recoveryPhrase, 'late')
    await late.vault.sync.once()
    const { versions } = await notesOf(late).history('n')
    expect(textsOf(versions)).toEqual(['under the second', 'under the first key'])
  })

  it('gives the newest when fewer are asked for, and of an unknown record none', async () => {
    const { held } = await makeFleet(9104, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2', '3', '4')
    const history = await notesOf(a).history('n', { limit: 2 })
    expect(textsOf(history.versions)).toEqual(['4', '3', '2'])
    expect(history.isWhole).toBe(false)
    expect((await notesOf(a).history('n', { limit: 3 })).isWhole).toBe(true)
    expect(await notesOf(a).history('nothing')).toMatchObject({ versions: [], isWhole: true })
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      expect(await codeOfRefusal(notesOf(a).history('n', { limit }))).toBe('invalid-argument')
    }
  })

  it('of a collection that stays here is the version that is shown', async () => {
    const { held } = await makeFleet(9105, 1)
    const [a] = held as [Held]
    const own = a.vault.collection('own', { localOnly: true })
    await own.put('n', { text: 'here' })
    a.device.network.fetch = async () => {
      throw new Error('no request may leave')
    }
    expect(textsOf((await own.history('n')).versions)).toEqual(['here'])
  })

  it('says that it needs the remote', async () => {
    const { held } = await makeFleet(9106, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2')
    const { versions } = await notesOf(a).history('n')
    const before = await exportOf(a.vault)
    a.device.network.fetch = async () => {
      throw new TypeError('offline')
    }
    expect(await codeOfRefusal(notesOf(a).history('n'))).toBe('network')
    const version = versions[1]?.version as string
    expect(await codeOfRefusal(notesOf(a).restore('n', version))).toBe('network')
    expect(await exportOf(a.vault)).toBe(before)
  })

  it('takes no version that it does not have', async () => {
    const { held } = await makeFleet(9107, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2')
    for (const version of ['', 'AAAAAAAAAAAAAAAAAAAAAA', '!']) {
      expect(await codeOfRefusal(notesOf(a).restore('n', version))).toBe('not-found')
    }
    expect(await textOf(a.vault, 'n')).toBe('2')
  })
})

describe('the requests of a history', () => {
  const routesOf = (held: Held): string[] => {
    const routes: string[] = []
    const honest = held.device.network.fetch
    held.device.network.fetch = (request, carry) => {
      routes.push(new URL(request.url).pathname)
      return honest(request, carry)
    }
    return routes
  }

  it('log in once for many records, and again when the session is over or the SyncId new', async () => {
    const { held, world } = await makeFleet(9130, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2')
    const routes = routesOf(a)
    for (let i = 0; i < 200; i++) await notesOf(a).history('n')
    expect(routes.filter((route) => route === '/v1/session')).toHaveLength(1)
    world.clock.ms += SESSION_TOKEN_MS
    expect(textsOf((await notesOf(a).history('n')).versions)).toEqual(['2', '1'])
    expect(routes.filter((route) => route === '/v1/session')).toHaveLength(2)
    const [vault] = (await (await world.remote.admin.request('/vaults')).text()).split('\n')
    const { id } = JSON.parse(vault as string) as { id: string }
    await world.remote.admin.request(`/vaults/${id}/reset?keep=1`, { method: 'POST' })
    expect(textsOf((await notesOf(a).history('n')).versions)).toEqual(['2', '1'])
    expect(routes.filter((route) => route === '/v1/session')).toHaveLength(3)
  })

  it('of a version that is brought back ask for it alone', async () => {
    const { held } = await makeFleet(9131, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2', '3', '4')
    const { versions } = await notesOf(a).history('n')
    const asked: unknown[] = []
    const honest = a.device.network.fetch
    a.device.network.fetch = async (request, carry) => {
      const answer = await honest(request, carry)
      if (new URL(request.url).pathname !== '/v1/history') return answer
      const { versions: served, next } = parseMessage(
        HistoryAnswer,
        new Uint8Array(await answer.clone().arrayBuffer()),
      )
      asked.push([served.length, next])
      return answer
    }
    const second = versions.find(({ fields }) => (fields as { text: string }).text === '2')
    await notesOf(a).restore('n', second?.version as string)
    expect(await textOf(a.vault, 'n')).toBe('2')
    expect(asked).toEqual([[2, null]])
  })
})

describe('a remote that lies about a history', () => {
  type Lie = (answer: HistoryAnswerType, asked: Asked) => HistoryAnswerType
  type Asked = { readonly id: RecordId; readonly before: Timestamp | null }

  async function under(seed: number, lie: Lie): Promise<Held> {
    const { held } = await makeFleet(seed, 1)
    const [a] = held as [Held]
    await writeAndSync(a, 'n', '1', '2', '3')
    await writeAndSync(a, 'other', '1', '2')
    const honest = a.device.network.fetch
    a.device.network.fetch = async (request, carry) => {
      if (new URL(request.url).pathname !== '/v1/history') return honest(request, carry)
      const asked = decodeCbor(new Uint8Array(await request.clone().arrayBuffer())) as Asked
      const response = await honest(request, carry)
      const bytes = new Uint8Array(await response.arrayBuffer())
      const answer = lie(parseMessage(HistoryAnswer, bytes), asked)
      const body = encodeMessage(HistoryAnswer, answer) as Uint8Array<ArrayBuffer>
      return new Response(body, { headers: response.headers })
    }
    return a
  }

  const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
    bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))

  const LIES: readonly (readonly [string, Lie])[] = [
    ['the versions in another order', (a) => ({ ...a, versions: [...a.versions].reverse() })],
    ['a version twice', (a) => ({ ...a, versions: [...a.versions, ...a.versions.slice(-1)] })],
    [
      'a version of another record',
      (a) => ({
        ...a,
        versions: a.versions.map(([ms, e]) => [ms, flipped(e, 10)]),
      }),
    ],
    [
      'no versions, and that there are more',
      (a, { id }) => ({ ...a, versions: [], next: id as never }),
    ],
    ['the same page again and again', (a) => ({ ...a, next: new Uint8Array(16).fill(9) as never })],
    ['what is no envelope', (a) => ({ ...a, versions: [[1, new Uint8Array(3)]] })],
  ]

  it.each(LIES)('is found out: %s', async (_name, lie) => {
    const a = await under(9120, lie)
    const before = await exportOf(a.vault)
    expect(['integrity', 'malformed', 'unsupported-version']).toContain(
      await codeOfRefusal(notesOf(a).history('n')),
    )
    expect(await exportOf(a.vault)).toBe(before)
  })

  it('shows nothing that does not open, and says how many those were', async () => {
    const a = await under(9121, (answer) => ({
      ...answer,
      versions: answer.versions.map(([ms, e], i) => [ms, i === 0 ? flipped(e, e.length - 1) : e]),
    }))
    const history = await notesOf(a).history('n')
    expect(textsOf(history.versions)).toEqual(['3', '1'])
    expect(history.unreadable).toBe(1)
  })
})
