/**
 * Cases of a member who lies: pushes of envelopes in every odd form, reconciliations of nodes that
 * are none, checkpoints that are signed and false, mailboxes that are fought over. Whatever is
 * taken, the log and the set of the vault must add up afterwards.
 */
import {
  type CheckpointStatement,
  concat,
  encodeCbor,
  encodeNodes,
  encodeTimestamp,
  type Hash,
  type MemberId,
  PushAnswer,
  parseMessage,
  STATUS_BY_CODE,
  type SyncId,
  type Timestamp,
  TRANSACTION_RECORDS_MAX,
  type VaultId,
} from '@blindcopy/protocol'
import { makeCheckpoint } from '../../packages/remote/src/checkpoint.fixture.ts'
import { makeEnvelope, record } from '../../packages/remote/src/remote.fixture.ts'
import type { Chance } from '../simulation/chance.ts'
import { effectOf, type Family, type Outcome, say } from './case.ts'
import { judgeAnswer, must } from './judge.ts'
import { mutate } from './mutate.ts'
import type { Target } from './target.ts'
import { headersOf, mailboxHeaders, TEMPLATES } from './templates.ts'
import { converse, encodeRequest, readAnswers } from './wire.ts'

const dataRequest = (target: Target, method: string, path: string, body: Uint8Array): Buffer =>
  encodeRequest({ method, path, headers: headersOf(target.attacker, 'data'), body })

async function sayOne(
  target: Target,
  chance: Chance,
  request: Buffer,
  success: Outcome['mayChange'],
): Promise<Outcome> {
  const conversation = { pieces: [request], ending: 'wait' } as const
  const { codes } = await say(target, chance, conversation, { min: 1, max: 1 })
  return { codes, mayChange: effectOf(codes, success) }
}

/** A timestamp of some author and time, or none. */
function oddStamp({ attacker, revoked, honest }: Target, chance: Chance): Timestamp {
  const authors = [attacker, attacker, revoked, honest.device].map(({ signer }) => signer.memberId)
  const now = attacker.bench.clock.ms
  const times = [now, now, now - 1e9, 1, now + 299_000, now + 301_000, 2 ** 48 - 1, 2 ** 47]
  if (chance.oneIn(12)) return new Uint8Array(16).fill(chance.pick([0, 1, 255])) as Timestamp
  const counter = chance.pick([0, 1, 65_535])
  const identity = { deviceId: chance.pick(authors), tail: chance.bytes(4) }
  return encodeTimestamp({ milliseconds: chance.pick(times), counter }, identity)
}

function oddEnvelope(target: Target, chance: Chance, timestamp: Timestamp): Uint8Array {
  const { epoch } = target.attacker.chain
  const size = chance.oneIn(4) ? chance.pick([39, 62, 78, 100, 1_000, 300_000, 1_048_577]) : 334
  const recordId = chance.oneIn(6) ? chance.bytes(16) : record(chance.below(12))
  const odd = chance.oneIn(5) ? chance.pick([0, 1, epoch - 1, epoch + 1, 2 ** 32 - 1]) : epoch
  const envelope = makeEnvelope({ recordId, timestamp, epoch: odd, sizeBytes: size })
  if (chance.oneIn(10)) return envelope.subarray(0, chance.below(envelope.length))
  if (chance.oneIn(8)) envelope[chance.below(6)] = chance.below(256)
  return envelope
}

function oddOps(target: Target, chance: Chance, id: Timestamp | null): unknown[] {
  const many = [0, TRANSACTION_RECORDS_MAX, TRANSACTION_RECORDS_MAX + 1]
  const count = chance.oneIn(30) ? chance.pick(many) : 1 + chance.below(4)
  const isLong = count > 10
  return Array.from({ length: count }, (_, i) => {
    const stamp = id === null || chance.oneIn(10) ? oddStamp(target, chance) : id
    const { epoch } = target.attacker.chain
    const envelope = isLong
      ? makeEnvelope({ recordId: record(i), timestamp: stamp, epoch, sizeBytes: 334 })
      : oddEnvelope(target, chance, stamp)
    if (!chance.oneIn(4)) return [envelope]
    const sizes = [15, 17, 0]
    const base = chance.oneIn(5) ? chance.bytes(chance.pick(sizes)) : oddStamp(target, chance)
    return chance.oneIn(10) ? [envelope, base, base] : [envelope, base]
  })
}

/** Transactions that are wrong, beside others that are right. */
export const oddPush: Family = async (target, chance) => {
  const count = chance.oneIn(20) ? 0 : 1 + chance.below(5)
  const transactions: unknown[] = []
  for (let i = 0; i < count; i++) {
    const id = chance.oneIn(4) ? null : oddStamp(target, chance)
    const fresh = chance.oneIn(2) ? target.attacker.stamp() : id
    const again = transactions.length > 0 && chance.oneIn(6)
    transactions.push(again ? transactions[0] : [fresh, oddOps(target, chance, fresh)])
  }
  const body = encodeCbor({ transactions })
  const request = dataRequest(target, 'POST', '/v1/push', body)
  return {
    what: `a push of ${count} odd transactions, ${body.length} bytes`,
    async run() {
      const conversation = { pieces: [request], ending: 'wait' } as const
      const { codes, answers } = await say(target, chance, conversation, { min: 1, max: 1 })
      if (codes[0] === undefined) {
        judgeVerdicts(new Uint8Array(answers[0]?.body ?? []), transactions.length)
      }
      return { codes, mayChange: effectOf(codes, 'vault') }
    },
  }
}

function judgeVerdicts(body: Uint8Array, count: number): void {
  const { verdicts } = parseMessage(PushAnswer, body)
  must(verdicts.length === count, `${verdicts.length} verdicts for ${count} transactions`)
  for (const verdict of verdicts) {
    if (verdict.type !== 'refused') continue
    must(verdict.code in STATUS_BY_CODE && verdict.code !== 'internal', `a verdict ${verdict.code}`)
    must(verdict.message.length < 400, 'a verdict is long')
  }
}

/** Nodes packed in every odd form: depths beyond, prefixes that overlap, too many, cut. */
export const oddReconcile: Family = async (target, chance) => {
  const digits = (count: number): string =>
    Array.from({ length: count }, () => chance.below(16).toString(16)).join('')
  const count = chance.pick([0, 1, 2, 30, 2_048, 2_049])
  const nodes = Array.from({ length: count }, () => ({
    node: digits(chance.pick([0, 1, 2, 3, 31, 32])),
    list: chance.oneIn(2),
  }))
  if (chance.oneIn(2)) nodes.sort((a, b) => (a.node < b.node ? -1 : 1))
  const packed = encodeNodes(nodes)
  if (chance.oneIn(3) && packed.length > 0) packed[chance.below(packed.length)] = chance.below(256)
  const cut = chance.oneIn(4) ? packed.subarray(0, chance.below(packed.length + 1)) : packed
  const body = encodeCbor({
    count: chance.pick([0, 3, 2 ** 32 - 1, 2 ** 32]),
    fingerprint: chance.bytes(chance.oneIn(8) ? 15 : 16),
    nodes: chance.oneIn(20) ? chance.bytes(300_000) : cut,
  })
  const request = dataRequest(target, 'POST', '/v1/reconcile', body)
  const what = `reconcile about ${count} nodes in ${body.length} bytes`
  return { what, run: () => sayOne(target, chance, request, 'nothing') }
}

/** Signed as it should be, and not true; or changed after it was signed. */
export const oddCheckpoint: Family = async (target, chance) => {
  const { attacker, revoked, honest } = target
  const lies: readonly Partial<CheckpointStatement>[] = [
    { vaultId: honest.device.chain.vaultId },
    { vaultId: chance.bytes(32) as Uint8Array as VaultId },
    { memberId: honest.device.signer.memberId },
    { memberId: revoked.signer.memberId },
    { memberId: chance.bytes(8) as Uint8Array as MemberId },
    { number: 0 },
    { number: Number.MAX_SAFE_INTEGER },
    { syncId: chance.bytes(16) as Uint8Array as SyncId },
    { position: { seq: 2 ** 53 - 1, chain: chance.bytes(32) as Uint8Array as Hash } },
    { position: { seq: 1, chain: chance.bytes(32) as Uint8Array as Hash } },
    { unopened: Array.from({ length: chance.pick([1, 100, 101]) }, () => chance.bytes(32)) },
    { late: [new Uint8Array(32), new Uint8Array(32)] },
    { fingerprint: chance.bytes(31) },
    { timeMs: 2 ** 53 - 1, count: 2 ** 53 - 1, epoch: 2 ** 53 - 1 },
    {},
  ]
  const signer = chance.pick([attacker.signer, attacker.signer, revoked.signer])
  const number = 1 + chance.below(2 ** 40)
  const good = makeCheckpoint(attacker, { number, ...chance.pick(lies) }, signer)
  const { what, bytes } = chance.oneIn(2)
    ? { what: 'a lie', bytes: good }
    : mutate(good, chance, concat(good))
  const request = dataRequest(target, 'PUT', '/v1/checkpoints', bytes)
  return { what: `checkpoint: ${what}`, run: () => sayOne(target, chance, request, 'vault') }
}

/** Slots of few mailboxes, by members, strangers and members of others, in any order. */
export const oddMailbox: Family = async (target, chance) => {
  const id = new Uint8Array(chance.oneIn(15) ? 15 : 16).fill(chance.below(6))
  const devices = [target.attacker, target.honest.device, target.revoked]
  const headers = chance.oneIn(3) ? {} : headersOf(chance.pick(devices), 'member')
  const method = chance.pick(['POST', 'POST', 'GET', 'DELETE'])
  const size = chance.pick([0, 1, 500, 16_384, 16_385])
  const body = encodeCbor({
    mailboxId: id,
    slot: chance.pick([0, 1, 2, 3, 4, -1, 1.5]),
    message: chance.bytes(size),
  })
  const about = { ...headers, 'Blindcopy-Mailbox-Id': mailboxIdOf(target, id) }
  const request =
    method === 'POST'
      ? encodeRequest({ method, path: '/v1/mailboxes', headers, body })
      : encodeRequest({ method, path: '/v1/mailboxes', headers: about })
  const what = `${method} a mailbox, message of ${size} bytes`
  return { what, run: () => sayOne(target, chance, request, 'nothing') }
}

const mailboxIdOf = (target: Target, id: Uint8Array): string =>
  mailboxHeaders(target.attacker, id)['Blindcopy-Mailbox-Id'] ?? ''

/** The same push many times at once, or many that contend for one record. */
export const burst: Family = async (target, chance) => {
  const template = TEMPLATES.find(({ path }) => path === '/v1/push') as (typeof TEMPLATES)[number]
  const count = 2 + chance.below(12)
  const isSame = chance.oneIn(2)
  const requests: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const body = (await template.make(target.attacker, chance)) as Uint8Array
    requests.push(dataRequest(target, 'POST', '/v1/push', body))
  }
  return {
    what: `${count} pushes at once${isSame ? ', all the same' : ''}`,
    async run() {
      const sent = requests.map((request) => (isSame ? (requests[0] as Buffer) : request))
      const heard = await Promise.all(
        sent.map((piece) => converse(target.port, { pieces: [piece], ending: 'wait' })),
      )
      const answers = heard.flatMap(({ bytes }) => readAnswers(bytes).answers)
      must(answers.length === count, `${answers.length} answers to ${count} pushes`)
      const codes = answers.map(judgeAnswer)
      if (isSame) {
        // What heals has no id, and is taken each time anew.
        const verdicts = new Set(answers.map(({ body }) => firstVerdict(concat(body))))
        must(verdicts.size === 1, `one transaction is answered in ${verdicts.size} ways`)
      }
      return { codes, mayChange: effectOf(codes, 'vault') }
    },
  }
}

const firstVerdict = (body: Uint8Array): string =>
  Buffer.from(encodeCbor(parseMessage(PushAnswer, body).verdicts[0])).toString('hex')
