/**
 * Cases of keychains that fork or lie: entries by the wrong member, cut, out of order, twice, of
 * another vault, signed as they should be and false within. Either both ends' own rules take what
 * is stored then, entry by entry with every signature, or nothing was stored.
 */
import {
  concat,
  decodeCbor,
  encodeCbor,
  encodeKeychainEntry,
  equalBytes,
  type Hash,
  KeychainAnswer,
  type KeychainPayload,
  keychainSignedBytes,
  parseMessage,
  replayKeychain,
} from '@blindcopy/protocol'
import { verifySignature } from '../../packages/remote/src/node.ts'
import {
  type Chain,
  Device,
  makeChain,
  makeSigner,
  type Signer,
} from '../../packages/remote/src/remote.fixture.ts'
import type { Chance } from '../simulation/chance.ts'
import { effectOf, type Family, say } from './case.ts'
import { must } from './judge.ts'
import { mutate } from './mutate.ts'
import { hex, type Target } from './target.ts'
import { headersOf, makeCreate } from './templates.ts'
import { converse, encodeRequest, readAnswers } from './wire.ts'

/** A vault that is only here to be lied about; another one when somebody got a lie into it. */
const labs = new WeakMap<Target, Device>()

async function labOf(target: Target): Promise<Device> {
  const found = labs.get(target)
  if (found !== undefined) return await found.join()
  const { chain, device: signer } = makeChain()
  const device = new Device(target.bench, chain, signer)
  must((await device.create()).status === 200, 'a vault for lies is made')
  await device.join()
  chain.addDevice(signer)
  chain.addRecovery(signer)
  must((await device.append(chain.entries.slice(-2))).status === 200, 'and gets members')
  labs.set(target, device)
  return device
}

type Lie = (lab: Device, target: Target, chance: Chance) => readonly Uint8Array[]

const last = (chain: Chain, count = 1): Uint8Array[] => chain.entries.slice(-count)

/** The newest entries of a chain that goes on from the lab's. */
function grown(lab: Device, grow: (chain: Chain, signer: Signer) => void): Uint8Array[] {
  const chain = lab.chain.fork()
  grow(chain, lab.signer)
  return chain.entries.slice(lab.chain.entries.length)
}

const LIES: Readonly<Record<string, Lie>> = {
  'by a stranger': (lab) => grown(lab, (chain) => chain.addDevice(makeSigner())),
  'by a member of another vault': (lab, { attacker }) =>
    grown(lab, (chain) => chain.addDevice(attacker.signer)),
  'of another vault': (_lab, { honest }) => honest.device.chain.entries,
  'twice the same': (lab) => {
    const [one] = grown(lab, (chain, signer) => chain.addDevice(signer))
    return one === undefined ? [] : [one, one]
  },
  'in another order': (lab) =>
    grown(lab, (chain, signer) => {
      chain.addDevice(signer)
      chain.addDevice(signer)
    }).reverse(),
  'with one left out': (lab) =>
    grown(lab, (chain, signer) => {
      chain.addDevice(signer)
      chain.addDevice(signer)
    }).slice(1),
  'what is there': (lab) => last(lab.chain, 2),
  'what is there, and more': (lab) => [
    ...last(lab.chain),
    ...grown(lab, (chain, signer) => chain.addDevice(signer)),
  ],
  'a fork': (lab) => {
    const chain = makeForkBase(lab)
    chain.addDevice(lab.signer)
    return last(chain)
  },
  'a revocation without its epoch': (lab) =>
    grown(lab, (chain, signer) => chain.revoke(signer, [chain.members[1] as Signer])).slice(0, 1),
  'a revocation of oneself': (lab) => grown(lab, (chain, signer) => chain.revoke(signer, [signer])),
  'a revocation of the root': (lab) =>
    grown(lab, (chain, signer) => chain.revoke(signer, [chain.root])),
  'a replacement that is not by the root': (lab) =>
    grown(lab, (chain, signer) => {
      const payload = { type: 'replace', replaced: [chain.head], greatestEpoch: 1 } as const
      chain.append(signer, payload)
      chain.addEpoch(signer)
    }),
  'an epoch of a strange number': (lab, _target, chance) =>
    withPayload(lab, 'epoch', { epoch: chance.pick([0, 1, 3, 2 ** 32 - 1, 2 ** 53 - 1]) }),
  'an epoch for some': (lab) => withPayload(lab, 'epoch', { wraps: [] }),
  'an epoch that seals nothing': (lab) => withPayload(lab, 'epoch', { sealedEpochs: [] }),
  'a member without proof': (lab) =>
    withPayload(lab, 'member-add', { proof: new Uint8Array(64) as never }),
  'a member with a weak key': (lab) =>
    withPayload(lab, 'member-add', { signingKey: new Uint8Array(32) as never }),
  'an index that is none': (lab, _target, chance) =>
    signedBody(lab, (items) => {
      items[2] = chance.pick([0, 1, 2 ** 32, 2 ** 53 - 1])
    }),
  'a time beyond all': (lab) =>
    signedBody(lab, (items) => {
      items[5] = 2 ** 53 - 1
    }),
  'a type of a later time': (lab, _target, chance) =>
    signedBody(lab, (items) => {
      items[chance.below(2)] = chance.pick([5, 255, 2 ** 40, 'x'.repeat(5_000), [[[]]]])
    }),
  'changed within, and signed': (lab, _target, chance) => {
    const [entry] = grown(lab, (chain, signer) => chain.addDevice(signer))
    const [body] = decodeCbor(entry as Uint8Array) as [Uint8Array]
    return [signed(lab, mutate(body, chance, body).bytes)]
  },
  'changed after it was signed': (lab, _target, chance) => {
    const [entry = new Uint8Array(0)] = grown(lab, (chain, signer) => chain.addDevice(signer))
    return [mutate(entry, chance, entry).bytes]
  },
  'a thousand times': (lab, _target, chance) => {
    const [entry = new Uint8Array(0)] = last(lab.chain)
    return new Array<Uint8Array>(chance.pick([1_000, 10_000, 10_001])).fill(entry.subarray(0, 40))
  },
  nothing: () => [],
}

/** The lab's chain without its newest entry. */
function makeForkBase(lab: Device): Chain {
  const chain = lab.chain.fork()
  chain.entries.pop()
  const [body] = decodeCbor(last(lab.chain)[0] as Uint8Array) as [Uint8Array]
  chain.head = (decodeCbor(body) as unknown[])[3] as Hash
  return chain
}

/** An entry of a kind with some of its fields others, signed as it should be. */
function withPayload<Type extends KeychainPayload['type']>(
  lab: Device,
  type: Type,
  changes: Partial<Extract<KeychainPayload, { type: Type }>>,
): Uint8Array[] {
  const chain = lab.chain.fork()
  const append = chain.append.bind(chain)
  chain.append = (signer, payload) =>
    append(signer, payload.type === type ? ({ ...payload, ...changes } as typeof payload) : payload)
  if (type === 'epoch') chain.addEpoch(lab.signer)
  else chain.addDevice(lab.signer)
  return last(chain)
}

function signedBody(lab: Device, change: (items: unknown[]) => void): Uint8Array[] {
  const [entry] = grown(lab, (chain, signer) => chain.addDevice(signer))
  const [body] = decodeCbor(entry as Uint8Array) as [Uint8Array]
  const items = decodeCbor(body) as unknown[]
  change(items)
  return [signed(lab, encodeCbor(items))]
}

function signed(lab: Device, body: Uint8Array): Uint8Array {
  const own = body.slice()
  return encodeKeychainEntry(own, lab.signer.sign(keychainSignedBytes(lab.chain.vaultId, own)))
}

/** A lie, appended by a member or offered by whoever. */
export const keychainLie: Family = async (target, chance) => {
  const lab = await labOf(target)
  const [name, lie] = chance.pick(Object.entries(LIES))
  const entries = lie(lab, target, chance)
  const isOffer = chance.oneIn(3)
  const request = isOffer
    ? await offerOf(lab, entries, chance)
    : appendOf(lab, entries, chance, target)
  return {
    what: `keychain, ${isOffer ? 'offered' : 'appended'}: ${name}`,
    async run() {
      const conversation = { pieces: [request], ending: 'wait' } as const
      const { codes } = await say(target, chance, conversation, { min: 1, max: 1 })
      const grew = await checkStored(target, lab)
      if (grew) labs.delete(target)
      must(codes[0] === undefined || !grew, `refused with ${codes[0]}, and stored`)
      return { codes, mayChange: effectOf(codes, [hex(lab.chain.vaultId)]) }
    },
  }
}

function appendOf(lab: Device, entries: readonly Uint8Array[], chance: Chance, target: Target) {
  const heads = [lab.chain.head, target.honest.device.chain.head, chance.bytes(32)]
  const previous = chance.oneIn(4) ? chance.pick(heads) : lab.chain.head
  const body = encodeCbor({ previous, entries: [...entries] })
  const headers = headersOf(lab, 'member')
  return encodeRequest({ method: 'POST', path: '/v1/keychain', headers, body })
}

async function offerOf(lab: Device, entries: readonly Uint8Array[], chance: Chance) {
  const chain = lab.chain.fork()
  if (chance.oneIn(4)) chain.entries.splice(0)
  chain.entries.push(...entries)
  const signer = chance.pick([lab.signer, makeSigner(), lab.chain.root])
  const body = encodeCbor(await makeCreate(lab, { chain, signer }))
  return encodeRequest({ method: 'POST', path: '/v1/vaults', headers: {}, body })
}

/** Reads the chain back and checks every entry and signature. Whether it has grown. */
async function checkStored(target: Target, lab: Device): Promise<boolean> {
  const headers = headersOf(lab, 'member')
  const piece = encodeRequest({ method: 'GET', path: '/v1/keychain', headers })
  const heard = await converse(target.port, { pieces: [piece], ending: 'wait' })
  const [answer] = readAnswers(heard.bytes).answers
  must(answer?.status === 200, 'the keychain can be read')
  const { entries } = parseMessage(KeychainAnswer, concat(answer.body))
  replayKeychain(lab.chain.vaultId, entries, verifySignature)
  const isSame = lab.chain.entries.every((entry, i) =>
    equalBytes(entry, entries[i] ?? new Uint8Array()),
  )
  must(isSame, 'an entry that was there is another one')
  return entries.length > lab.chain.entries.length
}
