/**
 * Keys, measured: what stretching a passphrase costs in time and memory, and what the rest of
 * recovery takes beside it.
 *
 * WebAssembly's memory only grows, so each size of Argon2id has a process of its own: the memory
 * told is what the resident set grew by at most.
 *
 *   npm run bench:keys
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  combineShares,
  decodeRecoveryFile,
  encodeRecoveryFile,
  generateRecoverySeed,
  pooledRandom,
  recoveryKeysOf,
  splitSeed,
} from '@blindcopy/vault'
import { stretchPassphrase } from '../../packages/vault/dist/argon2id.js'

const SIZES_MIB = [64, 256, 512]
const PASSES = 3
const ROUNDS = 5

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

async function timed(run, rounds = ROUNDS) {
  const all = []
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now()
    await run()
    all.push(performance.now() - startMs)
  }
  return median(all)
}

async function measureStretching(mib) {
  const stretch = (memoryKib) =>
    stretchPassphrase('correct horse', new Uint8Array(16), { passes: PASSES, memoryKib })
  await stretch(8)
  const rssBefore = process.memoryUsage.rss()
  const ms = await timed(() => stretch(mib * 1024))
  const grown = process.resourceUsage().maxRSS * 1024 - rssBefore
  process.send({ ms, grownMib: grown / 2 ** 20 })
  process.disconnect()
}

async function measureRest() {
  const random = pooledRandom()
  const seed = generateRecoverySeed(random)
  const file = {
    seed,
    vaultId: random(32),
    keychainHead: random(32),
    keychainLength: 1,
    madeAtMs: Date.now(),
    remote: 'https://sync.example.org',
  }
  const passphrase = 'correct horse battery'
  const text = await encodeRecoveryFile(file, passphrase, random)
  const words = (await splitSeed({ seed, threshold: 3, count: 5, random })).map(
    (share) => share.words,
  )
  const mistyped = words[0].replace(/\w+$/, words[0].endsWith('zoo') ? 'zone' : 'zoo')
  const refused = (running) =>
    running.then(
      () => Promise.reject(new Error('taken')),
      () => {},
    )
  return [
    ['key file, made', await timed(() => encodeRecoveryFile(file, passphrase, random))],
    ['key file, opened', await timed(() => decodeRecoveryFile(text, passphrase))],
    ['seed split, 3 of 5', await timed(() => splitSeed({ seed, threshold: 3, count: 5, random }))],
    ['3 shares combined', await timed(() => combineShares(words.slice(0, 3)))],
    ['a wrong word of a share, found', await timed(() => refused(combineShares([mistyped])))],
    ['key pairs of a recovery key', await timed(() => recoveryKeysOf(seed).wipe())],
  ]
}

if (process.argv[2] === undefined) {
  for (const mib of SIZES_MIB) {
    const child = fork(import.meta.filename, [String(mib)])
    const [{ ms, grownMib }] = await once(child, 'message')
    const name = `Argon2id, ${mib} MiB, ${PASSES} passes`.padEnd(34)
    console.log(`${name}${ms.toFixed(0).padStart(7)} ms${grownMib.toFixed(0).padStart(7)} MiB`)
  }
  for (const [name, ms] of await measureRest()) {
    console.log(`${name.padEnd(34)}${ms.toFixed(1).padStart(7)} ms`)
  }
} else {
  await measureStretching(Number(process.argv[2]))
}
