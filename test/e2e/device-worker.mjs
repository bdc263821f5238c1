/**
 * A device in a process of its own, driven over stdio: a line of JSON in is a call, a line out its
 * answer or an event. It runs the built package, as an app would.
 *
 *   in   {id, op, …}
 *   out  {id, value} · {id, error: {code, message}} · {event, …}
 */
import { createInterface } from 'node:readline'
import { codeOf, createVault, openVault, restoreVault } from '@blindcopy/client'

let vault
/** Declared at every opening, as an app does before it syncs. */
const MUTATIONS = {
  async increment(transaction, { collection, key, by }) {
    const records = transaction.collection(vault.collection(collection))
    const before = await records.get(key)
    await records.put(key, { ...before, count: (before?.count ?? 0) + by })
  },
}
/** Custom policies by name, as a call cannot carry a function. */
const RESOLVERS = {
  union: {
    custom: ({ local, remote }) => ({
      tags: [...new Set([...(local?.tags ?? []), ...(remote?.tags ?? [])])].sort(),
    }),
  },
}
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

const OPS = {
  async create(options) {
    const created = await createVault(options)
    vault = created.vault
    return created.recoveryPhrase
  },
  async restore(options) {
    vault = await restoreVault(options)
  },
  async open(options) {
    vault = await openVault(options)
  },
  /** From now on the clock of this machine stands still; before a vault is opened. */
  freeze({ ms }) {
    Date.now = () => ms
  },
  /** How an app declares its collections: `{name: options}`. */
  declare({ collections }) {
    for (const [name, { conflict }] of Object.entries(collections)) {
      vault.collection(name, { conflict: RESOLVERS[conflict] ?? conflict })
    }
    vault.mutations(MUTATIONS)
  },
  mutate: ({ name, args }) => vault.mutate(name, args),
  /** Many records, a thousand a transaction. */
  async fill({ collection, prefix, first, count, text }) {
    for (let begin = first; begin < first + count; begin += 1000) {
      await vault.transaction(async (transaction) => {
        const records = transaction.collection(vault.collection(collection))
        for (let i = begin; i < Math.min(begin + 1000, first + count); i++) {
          await records.put(`${prefix}${i}`, { i, text })
        }
      })
    }
  },
  put: ({ collection, key, fields }) => vault.collection(collection).put(key, fields),
  get: async ({ collection, key }) => (await vault.collection(collection).get(key)) ?? null,
  delete: ({ collection, key }) => vault.collection(collection).delete(key),
  /** Writes of one transaction: fields of null delete. */
  transaction: ({ writes }) =>
    vault.transaction(async (transaction) => {
      for (const { collection, key, fields } of writes) {
        const records = transaction.collection(vault.collection(collection))
        if (fields === null) await records.delete(key)
        else await records.put(key, fields)
      }
    }),
  /** Puts one record after the other, and says of each that it was acknowledged. */
  async burst({ collection, prefix, count }) {
    for (let i = 0; i < count; i++) {
      await vault.collection(collection).put(`${prefix}${i}`, { i })
      say({ event: 'acknowledged', key: `${prefix}${i}`, i })
    }
  },
  sync: () => vault.sync.once(),
  /** Exchanges until it succeeds, for a remote that is killed meanwhile, with all sessions. */
  async persist({ attemptsMax }) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await vault.sync.once()
      } catch (error) {
        const isPassing = ['network', 'session-required'].includes(codeOf(error))
        if (!isPassing || attempt >= attemptsMax) throw error
      }
    }
  },
  start() {
    vault.sync.start()
  },
  stop: () => vault.sync.stop(),
  async watchProgress() {
    void (async () => {
      for await (const { progress, phase } of vault.sync.watch()) {
        say({ event: 'progress', phase, ...progress })
      }
    })()
  },
  /** Says every change of the status from now on. */
  async watchStatus() {
    void (async () => {
      for await (const status of vault.sync.watch()) say({ event: 'status', status })
    })()
  },
  /** Resolves when a record is as given, wherever it was written. */
  async until({ collection, key, fields }) {
    const wanted = JSON.stringify(fields)
    for await (const items of vault.collection(collection).watch()) {
      const found = items.find((item) => item.key === key)
      if (JSON.stringify(found?.fields ?? null) === wanted) return
    }
  },
  status: () => vault.sync.status,
  quarantined: () => vault.quarantined(),
  async export() {
    const lines = []
    for await (const record of vault.records()) {
      lines.push(JSON.stringify([record.collection, record.key, record.fields]))
    }
    return lines.sort().join('\n')
  },
  devices: () => vault.devices(),
  conflicts: () => vault.conflicts.list(),
  resolve: ({ conflictId, choice }) => vault.conflicts.resolve(conflictId, choice),
  attention: () => vault.attention.list(),
  setRegistrationToken: ({ token }) => vault.setRegistrationToken(token),
  async close() {
    await vault.close()
    vault = undefined
  },
}

for await (const text of createInterface({ input: process.stdin })) {
  const { id, op, ...options } = JSON.parse(text)
  void (async () => {
    try {
      say({ id, value: (await OPS[op](options)) ?? null })
    } catch (error) {
      say({ id, error: { code: codeOf(error) ?? null, message: error.message } })
    }
  })()
}
process.exit(0)
