/**
 * For tests of reading: collections over a store in memory, with everything counted that a reading
 * costs, a store that can be spoiled, and no vault around them.
 */
import { createMemoryStore, type Store } from '@blindcopy/secondary'
import {
  deriveRoot,
  foundKeychain,
  generateDeviceKeys,
  generateRootSecret,
  pooledRandom,
} from '@blindcopy/vault'
import { LocalSecondary } from '../local/local-secondary.ts'
import { idText } from '../local/row-batch.ts'
import { Membership } from '../vault/membership.ts'
import { Collection, type IndexOf } from './collection.ts'
import { Sealer } from './sealer.ts'
import { runTransaction, type WriteContext } from './transaction.ts'

const NOW_MS = 1_800_000_000_000
const VERSION_SECTION = 'v'.charCodeAt(0)

export type ReadingFixture = {
  readonly context: WriteContext
  /** How many records were opened. */
  readonly counts: { opened: number; scans: number }
  /** The records that were told to be damaged, by `idText`. */
  readonly damaged: string[]
  /** Called before each reading of records, so that something can happen in between. */
  beforeRead: () => Promise<void>
  collection<T extends object>(name: string, indexes?: readonly IndexOf<T>[]): Collection<T>
  put<T extends object>(
    target: Collection<T>,
    records: Iterable<[string, NoInfer<T> | null]>,
  ): Promise<void>
  /** Changes a byte in every version that is stored now. */
  spoilAll(): Promise<void>
  close(): Promise<void>
}

export async function readingFixture(): Promise<ReadingFixture> {
  const random = pooledRandom()
  const root = deriveRoot(generateRootSecret(random))
  const device = generateDeviceKeys(random)
  const { entries } = foundKeychain({
    root,
    device,
    deviceName: 'test device',
    nowMs: NOW_MS,
    random,
  })
  const membership = Membership.open({ vaultId: root.vaultId, entries, device })
  const counts = { opened: 0, scans: 0 }
  const memory = createMemoryStore()
  const local = await LocalSecondary.open({
    store: memory,
    vaultId: root.vaultId,
    clockIdentity: { deviceId: device.memberId, tail: random(4) },
    nowMs: () => NOW_MS,
  })
  interrupt(local, counts, () => fixture.beforeRead())
  const sealer = new Sealer(membership, random)
  const open = sealer.open.bind(sealer)
  sealer.open = (version) => {
    counts.opened++
    return open(version)
  }
  const damaged: string[] = []
  const end = new AbortController()
  let keyNumber = 0
  const context: WriteContext = {
    local,
    sealer,
    newKey: () => `new${keyNumber++}`,
    ended: end.signal,
    setTimer: () => () => undefined,
    declarations: new Map(),
    history: async () => ({ versions: [], isWhole: true, retentionMs: 0 }),
    mutations: new Map(),
    onDamaged: (recordId) => damaged.push(idText(recordId)),
  }
  const fixture: ReadingFixture = {
    context,
    counts,
    damaged,
    beforeRead: async () => undefined,
    collection: (name, indexes) =>
      new Collection(name, context, indexes === undefined ? {} : { indexes: indexes as never }),
    put: (target, records) =>
      runTransaction(context, async (transaction) => {
        const inside = transaction.collection(target)
        for (const [key, fields] of records) {
          if (fields === null) await inside.delete(key)
          else await inside.put(key, fields as never)
        }
      }),
    spoilAll: () => spoilVersions(memory),
    async close() {
      end.abort()
      await local.close()
      membership.close()
    },
  }
  return fixture
}

/** Lets something happen before each reading of records, and counts the scans. */
function interrupt(
  local: LocalSecondary,
  counts: { scans: number },
  beforeRead: () => Promise<void>,
): void {
  const read = local.read.bind(local)
  local.read = async (recordId) => {
    await beforeRead()
    return read(recordId)
  }
  const readMany = local.readMany.bind(local)
  local.readMany = async (recordIds) => {
    await beforeRead()
    return readMany(recordIds)
  }
  const pages = local.pages.bind(local)
  local.pages = async function* (tag) {
    counts.scans++
    await beforeRead()
    yield* pages(tag)
  }
}

async function spoilVersions(store: Store): Promise<void> {
  for await (const page of store.pages({})) {
    const versions = page.filter(([key]) => key[0] === VERSION_SECTION)
    const spoilt = versions.map(([key, value]) => {
      const bytes = value.slice()
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      return { type: 'put', key, value: bytes } as const
    })
    await store.write(spoilt, { sync: false })
  }
}
