/**
 * Backups, measured: a vault of 100,000 notes is written into a file, checked without keys and with
 * them, and restored onto an empty device without a remote. Each step is a process of its own, and
 * its memory is the most that this process has held. No step needs the network.
 *
 *   npm run bench:backup
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  backupFile,
  createVault,
  openVault,
  restoreBackup,
  verifyBackup,
  verifyBackupByPhrase,
  writeBackupFile,
} from '@blindcopy/client'
import { keyOf, noteOf } from '../main-job/notes.mjs'

const NOTES = Number(process.env.NOTES ?? 100_000)
const TRANSACTION_RECORDS = 1_000
/** Nothing answers there. */
const REMOTE = 'http://127.0.0.1:9'

async function fill(path) {
  const { vault, recoveryPhrase } = await createVault({ path, remote: REMOTE })
  const notes = vault.collection('notes')
  for (let first = 0; first < NOTES; first += TRANSACTION_RECORDS) {
    await vault.transaction(async (transaction) => {
      const target = transaction.collection(notes)
      for (let i = first; i < Math.min(NOTES, first + TRANSACTION_RECORDS); i++) {
        await target.put(keyOf(i), noteOf(i))
      }
    })
  }
  await vault.close()
  return recoveryPhrase
}

const STEPS = {
  async open({ path }) {
    const vault = await openVault({ path })
    return () => vault.close()
  },
  async create({ path, file }) {
    const vault = await openVault({ path })
    await timed(() => writeBackupFile(vault, file))
    await vault.close()
  },
  async whole({ file }) {
    const { count } = await timed(() => verifyBackup(backupFile(file)))
    if (count !== NOTES) throw new Error(`${count} versions of ${NOTES}`)
  },
  async phrase({ file, recoveryPhrase }) {
    const { opened } = await timed(() => verifyBackupByPhrase(backupFile(file), recoveryPhrase))
    if (opened !== NOTES) throw new Error(`${opened} versions of ${NOTES} open`)
  },
  async drill({ path, file }) {
    const vault = await openVault({ path })
    const { same } = await timed(() => vault.backup.verify(backupFile(file)))
    if (same !== NOTES) throw new Error(`${same} versions of ${NOTES} are the same`)
    await vault.close()
  },
  async restore({ other, file, recoveryPhrase }) {
    const options = { path: other, remote: REMOTE, recoveryPhrase, backup: backupFile(file) }
    const { vault, report } = await timed(() => restoreBackup(options))
    if (report.received !== NOTES) throw new Error(`${report.received} notes of ${NOTES}`)
    await vault.close()
  },
}

let spentMs = 0

async function timed(work) {
  const startMs = performance.now()
  const result = await work()
  spentMs = performance.now() - startMs
  return result
}

function runStep(step, options) {
  const args = [fileURLToPath(import.meta.url), step, JSON.stringify(options)]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

function tell(label, { ms, mebibytes }, sizeBytes) {
  const speed = `${Math.round(NOTES / (ms / 1000)).toLocaleString('en-US')} notes/s`
  const volume = `${(sizeBytes / 1e6 / (ms / 1000)).toFixed(0)} MB/s`
  const cells = [`${(ms / 1000).toFixed(2)} s`, speed, volume, `${mebibytes} MiB`]
  console.log(`${label.padEnd(34)}${cells.map((cell) => cell.padStart(16)).join('')}`)
}

const [, , step, given] = process.argv
if (step !== undefined) {
  await (await STEPS[step](JSON.parse(given)))?.()
  const mebibytes = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log(JSON.stringify({ ms: spentMs, mebibytes }))
} else {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-bench-'))
  try {
    const [path, other, file] = ['vault', 'other', 'v.backup'].map((name) => join(folder, name))
    const options = { path, other, file, recoveryPhrase: await fill(path) }
    const opened = runStep('open', options)
    console.log(`an opened vault holds ${opened.mebibytes} MiB`)
    const created = runStep('create', options)
    const { size } = await stat(file)
    console.log(`${NOTES.toLocaleString('en-US')} notes are ${(size / 1e6).toFixed(1)} MB`)
    tell('create, all of it unsent', created, size)
    tell('verify, no keys', runStep('whole', options), size)
    tell('verify, by the phrase', runStep('phrase', options), size)
    tell('verify, beside a device', runStep('drill', options), size)
    tell('restore', runStep('restore', options), size)
    const again = { path: other, file: join(folder, 'again.backup') }
    tell('create, where nothing waits', runStep('create', again), size)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
