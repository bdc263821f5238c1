/**
 * Raw limits of the machine, measured in the same run, so that every figure is also a ratio: LevelDB
 * batches of the same keys and sizes, sealing alone, and HTTP alone.
 */
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { openLevelStore } from '@blindcopy/secondary'

// Only the vault has libsodium, so that nothing else can reach it; here it is borrowed from there.
const sodium = createRequire(new URL('../../packages/vault/package.json', import.meta.url))(
  'libsodium-wrappers',
)

const RECORD_BYTES = 430
const BATCH_RECORDS = 1_000
const BATCHES = 50

const perSecond = (count, startMs) => Math.round(count / ((performance.now() - startMs) / 1_000))

/** Three keys a record, as a local write has, through the same store. */
export async function rawStore(path) {
  const store = await openLevelStore({ path })
  const value = crypto.getRandomValues(new Uint8Array(RECORD_BYTES))
  const batches = Array.from({ length: BATCHES }, () => {
    const ops = []
    for (let i = 0; i < BATCH_RECORDS; i++) {
      const id = crypto.getRandomValues(new Uint8Array(33))
      ops.push({ type: 'put', key: id, value })
      ops.push({ type: 'put', key: id.subarray(0, 17), value: id })
      ops.push({ type: 'put', key: id.subarray(0, 25), value: id.subarray(0, 16) })
    }
    return ops
  })
  const startMs = performance.now()
  for (const batch of batches) await store.write(batch, { sync: false })
  const writes = perSecond(BATCHES * BATCH_RECORDS, startMs)
  const syncStartMs = performance.now()
  for (const batch of batches.slice(0, 10)) await store.write(batch, { sync: true })
  const syncedWrites = perSecond(10 * BATCH_RECORDS, syncStartMs)
  await store.close()
  return { writes, syncedWrites }
}

export async function rawSeal() {
  await sodium.ready
  const key = sodium.randombytes_buf(32)
  const nonce = sodium.randombytes_buf(24)
  const message = new Uint8Array(352)
  const associatedData = new Uint8Array(91)
  const count = 50_000
  const startMs = performance.now()
  for (let i = 0; i < count; i++) {
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(message, associatedData, null, nonce, key)
  }
  return perSecond(count, startMs)
}

/** Bodies of 1,000 records to a server that only reads them, in this process. */
export async function rawHttp() {
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => response.end('ok'))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}/`
  const body = new Uint8Array(RECORD_BYTES * BATCH_RECORDS)
  const post = async (data) => (await fetch(url, { method: 'POST', body: data })).arrayBuffer()
  await post(body)
  const startMs = performance.now()
  for (let i = 0; i < BATCHES; i++) await post(body)
  const records = perSecond(BATCHES * BATCH_RECORDS, startMs)
  const smallStartMs = performance.now()
  for (let i = 0; i < 500; i++) await post(body.subarray(0, RECORD_BYTES))
  const smallMs = (performance.now() - smallStartMs) / 500
  server.close()
  server.closeAllConnections()
  return { records, smallMs }
}
