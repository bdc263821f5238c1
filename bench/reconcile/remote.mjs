/**
 * A real remote on LevelDB, reached by HTTP on loopback: what a range costs there, and the one scan
 * that loads a summary. The vault is made of node:crypto keys and random envelopes, as in the tests
 * of the remote: it cannot tell, and a million seals would only take time.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ChallengeAnswer,
  chainStart,
  concat,
  createSignedBytes,
  encodeBoundHeader,
  encodeCbor,
  encodeKeychainBody,
  encodeKeychainEntry,
  encodeTimestamp,
  formatCursor,
  formatSyncId,
  HASH_NONE,
  keychainEntryHash,
  keychainSignedBytes,
  loginSignedBytes,
  memberIdOf,
  memberProofBytes,
  parseMessage,
  SessionAnswer,
  vaultIdOf,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { serveRemote } from '@blindcopy/remote/node'
import { openLevelStore } from '@blindcopy/secondary'

const PUSH_RECORDS = 1_000

function makeSigner() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const der = publicKey.export({ format: 'der', type: 'spki' })
  const signingKey = new Uint8Array(der.subarray(12))
  return {
    signingKey,
    kemKey: new Uint8Array(randomBytes(1216)),
    memberId: memberIdOf(signingKey),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** A keychain of one device and one epoch. */
function makeChain() {
  const [root, device] = [makeSigner(), makeSigner()]
  const vaultId = vaultIdOf(root.signingKey, root.kemKey)
  const entries = []
  let head = HASH_NONE
  const append = (payload) => {
    const place = { index: entries.length, previous: head, signer: root.memberId, timeMs: 0 }
    const body = encodeKeychainBody(place, payload)
    const signature = root.sign(keychainSignedBytes(vaultId, body))
    entries.push(encodeKeychainEntry(body, signature))
    head = keychainEntryHash(body.slice(), signature)
  }
  const { signingKey, kemKey, memberId } = device
  append({
    type: 'genesis',
    rootSigningKey: root.signingKey,
    rootKemKey: root.kemKey,
    idKeyCommitment: randomBytes(32),
  })
  append({
    type: 'member-add',
    kind: 'device',
    signingKey,
    kemKey,
    proof: device.sign(memberProofBytes(vaultId, device)),
    sealedName: randomBytes(40),
    wrap: null,
    vaultProof: null,
  })
  append({
    type: 'epoch',
    epoch: 1,
    commitment: randomBytes(32),
    wraps: [{ memberId, wrap: randomBytes(WRAP_BYTES) }],
    rootWrap: randomBytes(WRAP_BYTES),
    sealedEpochs: [],
  })
  return { device, vaultId, entries, head }
}

/** Creates the vault and logs in; gives a function that posts a body and answers the bytes. */
async function openDevice(url) {
  const { device, vaultId, entries, head } = makeChain()
  let headers = {}
  const post = async (path, body) => {
    const response = await fetch(url + path, { method: 'POST', headers, body })
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (!response.ok) throw new Error(new TextDecoder().decode(bytes))
    return bytes
  }
  const challenge = async () =>
    parseMessage(ChallengeAnswer, await post('/v1/challenge', encodeCbor({ vaultId })))
  const { memberId } = device
  const creation = { vaultId, memberId, greatestMs: 0, origin: url, entries, keychainHead: head }
  const created = { ...creation, nonce: (await challenge()).nonce }
  const { keychainHead: _, ...request } = created
  const signature = device.sign(createSignedBytes(created))
  await post('/v1/vaults', encodeCbor({ ...request, signature }))
  const login = { vaultId, memberId, origin: url, ...(await challenge()) }
  const loginSignature = device.sign(loginSignedBytes(login))
  const answer = await post('/v1/session', encodeCbor({ ...login, signature: loginSignature }))
  const { token, syncId } = parseMessage(SessionAnswer, answer)
  headers = {
    Authorization: `Bearer ${token}`,
    'Blindcopy-Sync-Id': formatSyncId(syncId),
    'Blindcopy-Cursor': formatCursor({ seq: 0, chain: chainStart(vaultId) }),
  }
  return { memberId, post }
}

/** Pushes records of random ids, without transaction ids as a reconciliation does; their pairs. */
async function fill({ memberId, post }, count) {
  const pairs = []
  for (let first = 0; first < count; first += PUSH_RECORDS) {
    const ops = []
    for (let i = first; i < Math.min(count, first + PUSH_RECORDS); i++) {
      const clock = { milliseconds: 1_700_000_000_000 + i, counter: 0 }
      const timestamp = encodeTimestamp(clock, { deviceId: memberId, tail: randomBytes(4) })
      const recordId = randomBytes(16)
      const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
      ops.push([concat(header, randomBytes(334 - header.length))])
      pairs.push(Buffer.from(concat(recordId, timestamp)))
    }
    await post('/v1/push', encodeCbor({ transactions: [[null, ops]] }))
  }
  return pairs.sort(Buffer.compare)
}

/** Named results, in the order measured; the first of them loads the summary. */
export async function measureRemote(count, { createEnd, measure }) {
  const path = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
  const store = await openLevelStore({ path })
  const remote = await serveRemote({ store, registration: { mode: 'open' } })
  try {
    const device = await openDevice(remote.url)
    const pairs = await fill(device, count)
    const ask = (request) => device.post('/v1/reconcile', request)
    const results = []
    const run = async (name, own) => {
      results.push([`remote: ${name} in ${count}`, await measure(createEnd(own).source, ask)])
    }
    await run('0, with the scan', pairs)
    await run('0', pairs)
    await run('1', pairs.slice(1))
    await run(
      '100',
      pairs.filter((_, i) => i % Math.floor(count / 100) !== 0),
    )
    await run(
      '10,000',
      pairs.filter((_, i) => i % Math.floor(count / 10_000) !== 0),
    )
    await run('all, empty asker', [])
    return results
  } finally {
    await remote.close()
    await store.close()
    await rm(path, { recursive: true, force: true })
  }
}
