/**
 * `npm start`: the main job on real documents, through the real command, every step checked.
 *
 * A remote on the embedded database; a vault on a "phone", restored on a "laptop" from its recovery
 * phrase; edits on both while the remote is away; and what its host has seen. All of it lives in
 * .blindcopy/start and is made anew each time. On a terminal the remote goes on serving.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gatherDocuments } from './documents.mjs'
import {
  answer,
  blindcopy,
  bold,
  chapter,
  check,
  dim,
  explain,
  indented,
  say,
  serve,
} from './stage.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const HOME = join(ROOT, '.blindcopy', 'start')
const DATA = join(HOME, 'remote')
const DOCUMENTS = join(HOME, 'documents')
const PHONE = ['--vault', join(HOME, 'phone')]
const LAPTOP = ['--vault', join(HOME, 'laptop')]
/** Planted in what is written, and looked for in everything the remote holds. */
const CANARY = 'a walrus in the harbour'

const shown = (path) => relative(process.cwd(), path) || '.'
const number = (value) => value.toLocaleString('en-US')
const KIB = 1024
const SHOWN_LINES = 20
const DIGITS_SHOWN = 32

let remote
process.once('SIGTERM', () => {
  remote?.kill()
  process.exit(143)
})

try {
  await run()
} catch (error) {
  remote?.kill()
  console.error(`\n✗ ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}

async function run() {
  const startMs = Date.now()
  begin()
  const documents = gather()
  await startRemote()
  const phrase = await fillPhone(documents)
  await restoreLaptop(phrase)
  const edits = await editApart()
  await converge(edits)
  await lookAsHost()
  console.log(`\n${bold('All of it holds.')} ${dim(`${seconds(startMs)} in all.`)}`)
  if (process.stdout.isTTY && process.stdin.isTTY) return goOn()
  await remote.end()
  console.log(dim('The remote has ended too; on a terminal it would go on serving.'))
}

function begin() {
  const lock = join(HOME, 'running')
  const pid = Number(readIfThere(lock))
  if (pid > 0 && isAlive(pid)) {
    throw new Error(`npm start is still running (process ${pid}): end it there with Ctrl-C`)
  }
  rmSync(HOME, { recursive: true, force: true })
  mkdirSync(HOME, { recursive: true })
  writeFileSync(lock, String(process.pid))
  console.log(`${bold('Blindcopy')}: records in sync through a remote that cannot read them.`)
  console.log(dim(`Everything below happens in ${shown(HOME)}.`))
}

function gather() {
  chapter('Documents')
  explain('Real input: the Markdown, texts and licences of what is installed here.')
  const documents = gatherDocuments(ROOT, DOCUMENTS)
  const size = number(Math.round(documents.bytes / KIB))
  say(`${number(documents.files)} documents, ${size} KiB of text.`)
  check(documents.files >= 100, 'enough of them: more than 100')
  return documents
}

async function startRemote() {
  chapter('A remote')
  explain('It stores sealed records and passes them on. No key ever reaches it.')
  remote = await serve(['--data', DATA, '--port', '0'])
  say(`blindcopy serve → ${bold(remote.url)}, registration by ${remote.registration}`)
}

async function fillPhone(documents) {
  chapter('A vault on the phone')
  explain('Each record is sealed on this device before it is stored or sent.')
  const { vaultId, recoveryPhrase } = await answer([
    ...['init', ...PHONE, '--name', 'phone', '--remote', remote.url],
    ...['--registration-token', remote.registrationToken],
  ])
  say(`blindcopy init → vault ${vaultId}`)
  check(recoveryPhrase.split(' ').length === 24, 'its recovery phrase has 24 words')
  let startMs = Date.now()
  const { stored, skipped } = await answer(['import', 'documents', DOCUMENTS, ...PHONE])
  say(`blindcopy import → ${number(stored)} records, sealed on this disk, in ${seconds(startMs)}`)
  check(stored + skipped.length === documents.files, 'each document is stored, or listed')
  await blindcopy(['put', 'notes', 'shared', JSON.stringify({ text: CANARY }), ...PHONE])
  await blindcopy(['put', 'notes', 'old', JSON.stringify({ text: `${CANARY}, twice` }), ...PHONE])
  startMs = Date.now()
  await blindcopy(['sync', ...PHONE])
  say(`blindcopy sync → sent, in ${seconds(startMs)}`)
  return recoveryPhrase
}

async function restoreLaptop(phrase) {
  chapter('The same vault on the laptop, from the phrase')
  explain('As if every device were lost: it is given the address and the 24 words.')
  const startMs = Date.now()
  const restore = ['restore', ...LAPTOP, '--name', 'laptop', '--remote', remote.url]
  const { devices } = await answer(restore, { input: phrase })
  say(`blindcopy restore → ${devices.map(({ name }) => name).join(', ')}, in ${seconds(startMs)}`)
  const lines = await checkSame()
  const documents = lines.filter(({ collection }) => collection === 'documents')
  const isSame = documents.every(
    ({ key, fields }) => fields.body === textOf(readFileSync(join(DOCUMENTS, key))),
  )
  check(documents.length > 0 && isSame, 'every document on the laptop is the file it was')
}

async function editApart() {
  chapter('Both edit while the remote is away')
  explain('Everything works offline, and waits on the disk until it can be sent.')
  await remote.end()
  say('The remote is down.')
  const edit = (who, key, text) =>
    blindcopy(['put', 'notes', key, JSON.stringify({ text }), ...who])
  await edit(PHONE, 'shared', 'as the phone has it')
  await edit(LAPTOP, 'shared', 'as the laptop has it, a little later')
  await edit(PHONE, 'from-phone', 'written on the train')
  await edit(LAPTOP, 'from-laptop', 'geschrieben im Café, 在咖啡馆, в кафе')
  await blindcopy(['delete', 'notes', 'old', ...LAPTOP])
  await blindcopy(['sync', ...PHONE], { exit: 4 })
  for (const [who, name, writes] of [
    [PHONE, 'phone', 2],
    [LAPTOP, 'laptop', 3],
  ]) {
    const { pending } = await answer(['status', ...who])
    check(pending === writes, `the ${name} keeps ${writes} writes for later`)
  }
  return { shared: 'as the laptop has it, a little later', keys: 3 }
}

async function converge({ shared, keys }) {
  chapter('The remote is back')
  explain('Whoever syncs first, all devices must end with the same bytes.')
  const { port } = new URL(remote.url)
  remote = await serve(['--data', DATA, '--port', port])
  for (const who of [PHONE, LAPTOP, PHONE]) await blindcopy(['sync', ...who])
  const lines = await checkSame()
  const notes = lines.filter(({ collection }) => collection === 'notes')
  const textByKey = new Map(notes.map(({ key, fields }) => [key, fields.text]))
  check(textByKey.get('shared') === shared, 'of two edits of one note the later one stands')
  check(!textByKey.has('old'), 'what one deleted is deleted on both')
  check(textByKey.size === keys && textByKey.has('from-phone'), 'new notes of each are on both')
}

/** Both exports, byte for byte. Returns what they hold. */
async function checkSame() {
  const phone = await blindcopy(['export', ...PHONE])
  const laptop = await blindcopy(['export', ...LAPTOP])
  const lines = phone.trimEnd().split('\n')
  for (const [name, text] of Object.entries({ phone, laptop })) {
    const digest = createHash('sha256').update(text).digest('hex').slice(0, DIGITS_SHOWN)
    say(`blindcopy export on the ${name.padEnd(6)} → ${dim('sha256')} ${digest}…`)
  }
  check(phone === laptop, `phone and laptop hold the same ${number(lines.length)} records`)
  return lines.map((line) => JSON.parse(line))
}

async function lookAsHost() {
  chapter('What the host has seen')
  const env = { COLUMNS: String(indented()) }
  const text = await blindcopy(['inspect', '--as-remote', ...PHONE], { env })
  const lines = text.trimEnd().split('\n')
  for (const line of lines.slice(0, SHOWN_LINES)) say(dim(line))
  say(dim(`… and ${number(lines.length - SHOWN_LINES)} lines more`))
  const files = readdirSync(DATA, { recursive: true, withFileTypes: true }).filter((f) =>
    f.isFile(),
  )
  const held = files.map((file) => readFileSync(join(file.parentPath ?? file.path, file.name)))
  const size = held.reduce((sum, bytes) => sum + bytes.length, 0)
  check(size > 100 * KIB, `its disk holds ${number(Math.round(size / KIB))} KiB of it`)
  const planted = [CANARY, 'from-phone', 'documents', 'laptop', 'Permission is hereby granted']
  const isBlind = planted.every((text) => held.every((bytes) => !bytes.includes(text)))
  check(isBlind, 'none of it can be read: no word, key, collection or name of a device')
}

async function goOn() {
  const [phone, laptop] = ['phone', 'laptop'].map((name) => shown(join(HOME, name)))
  console.log(`
The remote goes on at ${bold(remote.url)}. In another terminal:

  export BLINDCOPY_VAULT=${phone}
  npx blindcopy list
  npx blindcopy put notes hello '{"text":"Hello"}'
  npx blindcopy sync
  npx blindcopy --vault ${laptop} sync
  npx blindcopy --vault ${laptop} get notes hello
  npx blindcopy --help

${dim('Ctrl-C ends it.')}`)
  process.on('SIGINT', () => undefined)
  await remote.exited
}

function seconds(startMs) {
  return `${((Date.now() - startMs) / 1000).toFixed(1)} s`
}

/** As an import reads it: in UTF-8, without the mark some files begin with. */
function textOf(bytes) {
  return new TextDecoder().decode(bytes)
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
