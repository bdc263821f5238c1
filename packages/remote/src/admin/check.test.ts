/**
 * Check and repair: each thing that can be spoiled is found by its name, what can be put right is,
 * nothing sound is touched, and what cannot is left as it was.
 */
import { CreateAnswer, encodeUint32, encodeUint64, formatHex } from '@blindcopy/protocol'
import {
  type Entry,
  recordVersion,
  recordVersionTimestamp,
  type StoreOp,
} from '@blindcopy/secondary'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeLogEntry } from '../log-entry.ts'
import { dump, must, random } from '../remote.fixture.ts'
import { decodeVaultState, encodeVaultState, type VaultState } from '../vault-state.ts'
import {
  addVault,
  admin,
  backup,
  contentOf,
  type Hosted,
  inspect,
  judge,
  openHosted,
  write,
} from './admin.fixture.ts'
import { DEFECTS } from './defects.ts'
import { sections } from './store-scan.ts'

type Range = Parameters<Hosted['store']['pages']>[0]

async function rows({ store }: Hosted, range: Range): Promise<Entry[]> {
  const found: Entry[] = []
  for await (const page of store.pages(range)) found.push(...page)
  return found
}

const row = async (hosted: Hosted, range: Range, index = 0): Promise<Entry> => {
  const found = (await rows(hosted, range)).at(index)
  if (found === undefined) throw new Error('nothing there to spoil')
  return found
}

const change = (hosted: Hosted, ...batch: StoreOp[]): Promise<void> =>
  hosted.store.write(batch, { sync: false })
const put = (key: Uint8Array, value: Uint8Array): StoreOp => ({ type: 'put', key, value })
const drop = (key: Uint8Array): StoreOp => ({ type: 'delete', key })

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const spoiled = bytes.slice()
  const index = at < 0 ? spoiled.length + at : at
  spoiled[index] = (spoiled[index] as number) ^ 1
  return spoiled
}

async function changeState(
  hosted: Hosted,
  how: (state: VaultState) => Partial<VaultState>,
): Promise<void> {
  const state = decodeVaultState((await hosted.store.get(hosted.keys.state)) as Uint8Array)
  await change(hosted, put(hosted.keys.state, encodeVaultState({ ...state, ...how(state) })))
}

type Spoiling = (hosted: Hosted) => Promise<void>

/** What is spoiled, and every name that it is found by. */
const SPOILED: readonly (readonly [what: string, names: string[], spoil: Spoiling])[] = [
  [
    'an envelope that is gone',
    ['envelope-lost', 'count-differs', 'fingerprint-differs', 'bytes-differ'],
    async (hosted) => change(hosted, drop((await row(hosted, sections.envelopes(hosted.keys)))[0])),
  ],
  [
    'an envelope of another record',
    ['envelope-lost', 'envelope-misplaced', 'count-differs', 'fingerprint-differs', 'bytes-differ'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.envelopes(hosted.keys))
      await change(hosted, put(key, flipped(value, 10)))
    },
  ],
  [
    'an envelope that is none',
    ['envelope-lost', 'envelope-misplaced', 'count-differs', 'fingerprint-differs', 'bytes-differ'],
    async (hosted) => {
      const [key] = await row(hosted, sections.envelopes(hosted.keys))
      await change(hosted, put(key, new Uint8Array(3)))
    },
  ],
  [
    'an envelope where no entry of the log is',
    ['envelope-stray'],
    async (hosted) => {
      const [, value] = await row(hosted, sections.envelopes(hosted.keys))
      const place = { seq: 900, opIndex: 0, sizeBytes: value.length }
      const version = recordVersion(new Uint8Array(16) as never, place)
      await change(hosted, put(hosted.keys.envelope(version), value))
    },
  ],
  [
    'an envelope that was superseded and stands there still',
    ['envelope-superseded', 'count-differs', 'fingerprint-differs', 'bytes-differ'],
    async (hosted) => {
      const history = await row(hosted, sections.history(hosted.keys))
      const envelope = history[1].subarray(8)
      const seq = await seqOf(hosted, envelope.subarray(22, 38))
      const place = { seq, opIndex: 0, sizeBytes: envelope.length }
      const version = recordVersion(envelope.subarray(22, 38) as never, place)
      await change(hosted, put(hosted.keys.envelope(version), envelope))
    },
  ],
  [
    'a row of the index that is gone',
    ['index-missing'],
    async (hosted) => change(hosted, drop((await row(hosted, sections.records(hosted.keys)))[0])),
  ],
  [
    'a row of the index that names a place where nothing is',
    ['envelope-lost', 'index-wrong'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.records(hosted.keys))
      const timestamp = recordVersionTimestamp(value as never).slice()
      timestamp[0] = 0
      const place = { seq: 901, opIndex: 1, sizeBytes: 334 }
      await change(hosted, put(key, recordVersion(timestamp as never, place)))
    },
  ],
  [
    'a row of the index that says another size',
    ['envelope-lost', 'index-wrong'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.records(hosted.keys))
      await change(hosted, put(key, flipped(value, -1)))
    },
  ],
  [
    'a row of the index that is cut',
    ['envelope-lost', 'index-wrong'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.records(hosted.keys))
      await change(hosted, put(key, value.slice(0, 20)))
    },
  ],
  [
    'a transaction id that is gone',
    ['transaction-missing'],
    async (hosted) =>
      change(hosted, drop((await row(hosted, sections.transactions(hosted.keys)))[0])),
  ],
  [
    'a transaction id that leads elsewhere',
    ['transaction-missing', 'transaction-stray'],
    async (hosted) => {
      const [key] = await row(hosted, sections.transactions(hosted.keys))
      await change(hosted, put(key, encodeUint64(2)))
    },
  ],
  [
    'a transaction id of nothing',
    ['transaction-stray'],
    async (hosted) => change(hosted, put(hosted.keys.transaction(random(16) as never), random(8))),
  ],
  [
    'an old version that is no envelope',
    ['history-count-differs', 'history-damaged'],
    async (hosted) => {
      const [key] = await row(hosted, sections.history(hosted.keys))
      await change(hosted, put(key, new Uint8Array(2)))
    },
  ],
  [
    'an old version under the name of another',
    ['history-damaged', 'expiry-stray'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.history(hosted.keys))
      await change(hosted, drop(key), put(flipped(key, -1), value))
    },
  ],
  [
    'an old version that never expires',
    ['expiry-missing'],
    async (hosted) => change(hosted, drop((await row(hosted, hosted.keys.expiries(undefined)))[0])),
  ],
  [
    'an expiry of nothing',
    ['expiry-stray'],
    async (hosted) => {
      const version = { recordId: random(16), timestamp: random(16), supersededMs: 5 } as never
      await change(hosted, put(hosted.keys.expiry(version), encodeUint32(9)))
    },
  ],
  [
    'a checkpoint that its device has not signed so',
    ['checkpoint-damaged'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.checkpoints(hosted.keys))
      await change(hosted, put(key, flipped(value, -1)))
    },
  ],
  [
    'the place of a keychain entry',
    ['keychain-place-differs'],
    async (hosted) => {
      const [key, value] = await row(hosted, hosted.keys.keychainFrom(0), 1)
      await change(hosted, put(key, flipped(value, 7)))
    },
  ],
  [
    'the count',
    ['count-differs'],
    (hosted) => changeState(hosted, ({ count }) => ({ count: count + 1 })),
  ],
  [
    'the fingerprint',
    ['fingerprint-differs'],
    (hosted) =>
      changeState(hosted, ({ fingerprint }) => ({ fingerprint: flipped(fingerprint, 3) })),
  ],
  ['the bytes', ['bytes-differ'], (hosted) => changeState(hosted, () => ({ bytes: 1 }))],
  [
    'the sizes of the history',
    ['history-count-differs'],
    (hosted) => changeState(hosted, () => ({ historyBytes: 7 })),
  ],
  [
    'the greatest time',
    ['greatest-time-low'],
    (hosted) => changeState(hosted, () => ({ greatestMs: 5 })),
  ],
  [
    'the size of the keychain',
    ['keychain-count-differs'],
    (hosted) => changeState(hosted, () => ({ keychainBytes: 5 })),
  ],
  [
    'the way of a recovery key',
    ['recovery-index-missing'],
    async (hosted) => {
      const all = await dump(hosted.store)
      const isWay = (key: Uint8Array) => key.length === 33 && key[32] === 'i'.charCodeAt(0)
      const ways = all.filter(([key, to]) => isWay(key) && formatHex(to) === hosted.id)
      await change(hosted, ...ways.map(([key]) => drop(key)))
    },
  ],
]

/** Of which nothing is put right. */
const BROKEN: readonly (readonly [what: string, names: string[], spoil: Spoiling])[] = [
  [
    'an entry of the log that is gone',
    ['log-gap'],
    async (hosted) => change(hosted, drop(hosted.keys.logEntry(4))),
  ],
  [
    'an entry of the log that is none',
    ['log-damaged'],
    async (hosted) => change(hosted, put(hosted.keys.logEntry(4), random(5))),
  ],
  [
    'an entry of the log that names another record',
    ['chain-differs'],
    async (hosted) => {
      const [key, value] = await row(hosted, sections.log(hosted.keys), 4)
      await change(hosted, put(key, flipped(value, 60)))
    },
  ],
  [
    'the last entry of the log that is gone',
    ['head-differs'],
    async (hosted) => change(hosted, drop((await row(hosted, sections.log(hosted.keys), -1))[0])),
  ],
  [
    'an entry of the keychain',
    ['keychain-damaged'],
    async (hosted) => {
      const [key, value] = await row(hosted, hosted.keys.keychainFrom(0), 1)
      await change(hosted, put(key, flipped(value, -1)))
    },
  ],
  [
    'an entry of the keychain that is gone',
    ['keychain-damaged'],
    async (hosted) => change(hosted, drop((await row(hosted, hosted.keys.keychainFrom(0), 1))[0])),
  ],
  [
    'the state',
    ['state-damaged'],
    async (hosted) => change(hosted, put(hosted.keys.state, new Uint8Array([77, 1, 2]))),
  ],
]

async function seqOf(hosted: Hosted, id: Uint8Array): Promise<number> {
  const entries = await rows(hosted, sections.log(hosted.keys))
  const index = entries.findIndex(([, value]) => {
    const entry = decodeLogEntry(value)
    return (
      entry.type === 'transaction' && entry.id !== null && formatHex(entry.id) === formatHex(id)
    )
  })
  return index + 1
}

describe('check', () => {
  it('finds nothing in sound vaults, and changes nothing', async () => {
    const hosted = await openHosted()
    await addVault(hosted)
    const before = await dump(hosted.store)
    expect(await judge(hosted)).toEqual({})
    expect(await judge(hosted, '/repair')).toEqual({})
    expect(await dump(hosted.store)).toEqual(before)
  })

  it('names a key that this program does not know, and repair leaves it', async () => {
    const hosted = await openHosted()
    const key = new Uint8Array([...hosted.vaultId, 'q'.charCodeAt(0), 1])
    await change(hosted, put(key, random(4)))
    expect(await judge(hosted)).toEqual({ [hosted.id]: ['key-unknown'] })
    expect(await judge(hosted, '/repair')).toEqual({ [hosted.id]: ['key-unknown'] })
    expect(await hosted.store.get(key)).toBeDefined()
  })

  it('finds ways of recovery keys that lead to no vault', async () => {
    const hosted = await openHosted()
    const key = new Uint8Array([...random(32), 'i'.charCodeAt(0)])
    await change(hosted, put(key, random(32)))
    expect(await judge(hosted)).toEqual({ store: ['recovery-index-stray'] })
    await admin(hosted, '/repair', { method: 'POST' })
    expect(await hosted.store.get(key)).toBeUndefined()
    expect(await judge(hosted)).toEqual({})
  })
})

describe('what is spoiled', () => {
  for (const [what, names, spoil] of SPOILED) {
    it(`is found and put right: ${what}`, async () => {
      const hosted = await openHosted()
      const other = await addVault(hosted)
      const kept = await contentOf(hosted.store, other.vaultId)
      const { syncId } = await inspect(hosted, hosted.id)
      await spoil(hosted)
      const before = await dump(hosted.store)
      hosted.bench.restart()
      const found = await judge(hosted)
      expect(Object.keys(found)).toEqual([hosted.id])
      for (const name of names) expect(found[hosted.id]).toContain(name)
      expect(await dump(hosted.store)).toEqual(before)
      expect(await judge(hosted, '/repair')).toEqual({})
      expect(await judge(hosted)).toEqual({})
      expect(await contentOf(hosted.store, other.vaultId)).toEqual(kept)
      const isHealed = names.some((name) => DEFECTS[name as keyof typeof DEFECTS] === 'heal')
      const after = await inspect(hosted, hosted.id)
      expect(after.syncId !== syncId).toBe(isHealed)
      await hosted.device.join()
      await write(hosted.device, 0)
      expect(await judge(hosted)).toEqual({})
    })
  }

  for (const [what, names, spoil] of BROKEN) {
    it(`is found and left as it is: ${what}`, async () => {
      const hosted = await openHosted()
      const other = await addVault(hosted)
      await spoil(hosted)
      hosted.bench.restart()
      const before = await dump(hosted.store)
      const found = await judge(hosted)
      expect(Object.keys(found)).toEqual([hosted.id])
      for (const name of names) expect(found[hosted.id]).toContain(name)
      expect((await judge(hosted, '/repair'))[hosted.id]).toBeDefined()
      expect(await dump(hosted.store)).toEqual(before)
      // Neither the list nor a backup nor the way out of it needs what is broken.
      await admin(hosted, '/vaults')
      const isBackedUp = await backup(hosted, `/vaults/${hosted.id}/backup`).catch(String)
      if (names[0] === 'state-damaged') expect(isBackedUp).toContain('unmendable')
      else expect(isBackedUp).toBeInstanceOf(Uint8Array)
      if (/^(keychain|state)-/.test(names[0] ?? '')) {
        await expect(inspect(hosted, hosted.id)).rejects.toThrow('unmendable')
        const reset = admin(hosted, `/vaults/${hosted.id}/reset`, { method: 'POST' })
        await expect(reset).rejects.toThrow('unmendable')
      }
      expect(await dump(hosted.store)).toEqual(before)
      await admin(hosted, `/vaults/${hosted.id}`, { method: 'DELETE' })
      expect(await judge(hosted)).toEqual({})
      expect((await inspect(hosted, other.id)).records).toBe(7)
      must(CreateAnswer, await hosted.device.create())
    })
  }

  it('is mended whatever rows are gone together, and the log is never touched', async () => {
    const which = fc.uniqueArray(fc.nat({ max: 200 }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(which, async (indexes) => {
        const hosted = await openHosted(6)
        const { keys, store } = hosted
        const parts = [
          sections.envelopes(keys),
          sections.records(keys),
          sections.transactions(keys),
        ]
        const all: Entry[] = []
        for (const range of parts) all.push(...(await rows(hosted, range)))
        const gone = indexes.map((index) => all[index % all.length] as Entry)
        await change(hosted, ...gone.map(([key]) => drop(key)))
        const log = await rows(hosted, sections.log(keys))
        hosted.bench.restart()
        expect(await judge(hosted, '/repair')).toEqual({})
        expect(await judge(hosted)).toEqual({})
        expect(await rows(hosted, sections.log(keys))).toEqual(log)
        await store.close()
      }),
      { numRuns: process.env.SLOW === '1' ? 100 : 8 },
    )
  })
})
