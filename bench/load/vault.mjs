/**
 * A vault of the load benchmark: keychains of node:crypto keys and random wraps, and envelopes
 * around random bytes. The remote cannot tell, and making them costs the load next to nothing.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import {
  createSignedBytes,
  decodeCbor,
  encodeBoundHeader,
  encodeCbor,
  encodeKeychainBody,
  encodeKeychainEntry,
  encodeTimestamp,
  formatCursor,
  formatSyncId,
  HASH_NONE,
  HEADER_CURSOR,
  HEADER_SYNC_ID,
  keychainEntryHash,
  keychainSignedBytes,
  loginSignedBytes,
  memberIdOf,
  memberProofBytes,
  vaultIdOf,
  WRAP_BYTES,
} from '@blindcopy/protocol'
import { WebSocket } from 'ws'

const random = (sizeBytes) => new Uint8Array(randomBytes(sizeBytes))

function makeSigner() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const signingKey = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(12))
  return {
    signingKey,
    kemKey: random(1216),
    memberId: memberIdOf(signingKey),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** Genesis, as many devices as wanted, and the first epoch: one chain. */
function makeChain(deviceCount) {
  const root = makeSigner()
  const vaultId = vaultIdOf(root.signingKey, root.kemKey)
  const devices = Array.from({ length: deviceCount }, makeSigner)
  const entries = []
  let head = HASH_NONE
  const append = (signer, payload) => {
    const place = { index: entries.length, previous: head, signer: signer.memberId, timeMs: 1 }
    const body = encodeKeychainBody(place, payload)
    const signature = signer.sign(keychainSignedBytes(vaultId, body))
    entries.push(encodeKeychainEntry(body, signature))
    head = keychainEntryHash(body.slice(), signature)
  }
  const { signingKey: rootSigningKey, kemKey: rootKemKey } = root
  append(root, { type: 'genesis', rootSigningKey, rootKemKey, idKeyCommitment: random(32) })
  for (const device of devices) {
    append(root, {
      type: 'member-add',
      kind: 'device',
      signingKey: device.signingKey,
      kemKey: device.kemKey,
      proof: device.sign(memberProofBytes(vaultId, device)),
      sealedName: random(40),
      wrap: null,
      vaultProof: null,
    })
  }
  append(devices[0], {
    type: 'epoch',
    epoch: 1,
    commitment: random(32),
    wraps: devices.map(({ memberId }) => ({ memberId, wrap: random(WRAP_BYTES) })),
    rootWrap: random(WRAP_BYTES),
    sealedEpochs: [],
  })
  return { vaultId, entries, head, devices }
}

/** A vault at the remote, and its devices, logged in. */
export async function openVault(line, deviceCount = 1) {
  const chain = makeChain(deviceCount)
  const [first] = chain.devices
  const { nonce } = await line.cbor('POST', '/v1/challenge', { vaultId: chain.vaultId })
  const statement = {
    vaultId: chain.vaultId,
    memberId: first.memberId,
    nonce,
    greatestMs: 0,
    origin: line.origin,
  }
  const signature = first.sign(createSignedBytes({ ...statement, keychainHead: chain.head }))
  await line.cbor('POST', '/v1/vaults', { ...statement, entries: chain.entries, signature })
  const devices = []
  for (const signer of chain.devices) devices.push(await logIn(line, chain.vaultId, signer))
  return devices
}

async function logIn(line, vaultId, signer) {
  const { nonce, expiresMs } = await line.cbor('POST', '/v1/challenge', { vaultId })
  const statement = { vaultId, memberId: signer.memberId, nonce, expiresMs, origin: line.origin }
  const signature = signer.sign(loginSignedBytes(statement))
  const session = await line.cbor('POST', '/v1/session', { ...statement, signature })
  const [seq, chain] = session.head
  return new LoadDevice(line, { ...session, vaultId, seq, chain, memberId: signer.memberId })
}

const NOTE_BYTES = 400
const FILLING = random(NOTE_BYTES)

class LoadDevice {
  #line
  #session
  #counter = 0
  #tail = random(4)

  constructor(line, session) {
    this.#line = line
    this.#session = session
  }

  #headers() {
    const { token, syncId, seq, chain } = this.#session
    return {
      Authorization: `Bearer ${token}`,
      [HEADER_SYNC_ID]: formatSyncId(syncId),
      [HEADER_CURSOR]: formatCursor({ seq, chain }),
    }
  }

  #stamp() {
    const identity = { deviceId: this.#session.memberId, tail: this.#tail }
    const counter = this.#counter++
    const milliseconds = Date.now() + Math.floor(counter / 65_536)
    return encodeTimestamp({ milliseconds, counter: counter % 65_536 }, identity)
  }

  /** Transactions of so many records each, all of them new ones or among the first `among`. */
  transaction(records, among) {
    const timestamp = this.#stamp()
    const ops = []
    const used = new Set()
    while (ops.length < records) {
      const recordId = random(16)
      if (among !== undefined) {
        const number = Math.floor(Math.random() * among)
        if (used.has(number)) continue
        used.add(number)
        recordId.fill(0)
        new DataView(recordId.buffer).setUint32(0, number * 2_654_435_761)
        new DataView(recordId.buffer).setUint32(12, number)
      }
      const header = encodeBoundHeader({ tombstone: false, epoch: 1, recordId, timestamp })
      const envelope = new Uint8Array(NOTE_BYTES)
      envelope.set(FILLING)
      envelope.set(header)
      ops.push([envelope])
    }
    return [timestamp, ops]
  }

  async push(transactions) {
    const message = { transactions }
    const answer = await this.#line.cbor('POST', '/v1/push', message, this.#headers())
    for (const verdict of answer.verdicts) {
      if (verdict.type !== 'applied') throw new Error(`a push was ${verdict.type}`)
      // Others of the vault may have come between; what is mine is in the log all the same.
      this.#session.seq = verdict.seq
      this.#session.chain = verdict.chain
    }
    return answer
  }

  /** Everything after the cursor; returns how many bytes that was. */
  async pull(since) {
    const query = since === undefined ? '' : `?since=${since}`
    const bytes = await this.#line.request('GET', `/v1/changes${query}`, undefined, this.#headers())
    return bytes.length
  }

  /** Resolves when the remote says that it is joined; calls back with each later frame. */
  async goLive(onFrame) {
    const socket = new WebSocket(this.#line.liveUrl)
    socket.binaryType = 'nodebuffer'
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    const { token, syncId, seq, chain } = this.#session
    const ready = new Promise((resolve, reject) => {
      socket.once('message', resolve)
      socket.once('close', () => reject(new Error('a live socket was refused')))
    })
    socket.send(encodeCbor({ protocol: 1, token, syncId, cursor: [seq, chain] }))
    await ready
    socket.on('message', (data) => onFrame?.(decodeCbor(new Uint8Array(data))))
    return socket
  }
}
