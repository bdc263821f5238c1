/**
 * Strings that no remote may ever see, planted wherever a person can put one, and searched for in
 * every byte that leaves a device: all that travels, in both directions and on the live socket, all
 * files of the remote, all it prints; and in every file of the devices' own folders. The wire is
 * plain HTTP on loopback, so whatever is not sealed lies open before the search.
 *
 * Threats: 29 to 31 (sizes and names), 34, 38. Lessons: C12. Design 2.1.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { formatPhrase, generateRootSecret, parsePhrase } from '@blindcopy/vault'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  DeviceProcess,
  filesBelow,
  REGISTRATION_TOKEN,
  startRemote,
  temporaryFolder,
} from './processes.ts'

type Canary = { readonly name: string; readonly bytes: Buffer }
type Haystack = { readonly name: string; readonly bytes: Buffer }

/** A text in every spelling in which it could leak. */
function spellings(name: string, text: string): Canary[] {
  const utf8 = Buffer.from(text, 'utf8')
  return [
    { name, bytes: utf8 },
    { name: `${name}, UTF-16`, bytes: Buffer.from(text, 'utf16le') },
    { name: `${name}, hex`, bytes: Buffer.from(utf8.toString('hex')) },
    { name: `${name}, in a URL`, bytes: Buffer.from(encodeURIComponent(text)) },
    { name: `${name}, escaped`, bytes: Buffer.from(escaped(text)) },
    ...base64Of(name, utf8),
  ]
}

const escaped = (text: string): string =>
  text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Whatever stands before it: its base64 at each of the three places, cut to what is certain. */
function base64Of(name: string, bytes: Buffer): Canary[] {
  return [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const certain = whole
      .slice(before === 0 ? 0 : 4)
      .replace(/=+$/, '')
      .slice(0, -1)
    const url = certain.replaceAll('+', '-').replaceAll('/', '_')
    return [certain, url].map((text) => ({
      name: `${name}, base64 at ${before}`,
      bytes: Buffer.from(text),
    }))
  })
}

/** Any three words in a row, in the spellings a program would join them by. */
function phraseCanaries(phrase: string): Canary[] {
  const words = phrase.split(' ')
  return words.slice(0, -2).flatMap((_, i) =>
    [' ', '-', ',', '\n', '', '","'].map((between) => ({
      name: `words ${i + 1} to ${i + 3} of the phrase`,
      bytes: Buffer.from(words.slice(i, i + 3).join(between)),
    })),
  )
}

function rootSecretCanaries(phrase: string): Canary[] {
  const bytes = Buffer.from(parsePhrase(phrase).bytes)
  const hex = bytes.toString('hex')
  return [
    { name: 'the root secret', bytes },
    { name: 'half of the root secret', bytes: bytes.subarray(0, 16) },
    { name: 'the other half of the root secret', bytes: bytes.subarray(16) },
    { name: 'the root secret, hex', bytes: Buffer.from(hex) },
    { name: 'the root secret, HEX', bytes: Buffer.from(hex.toUpperCase()) },
    ...base64Of('the root secret', bytes),
  ]
}

function search(haystacks: readonly Haystack[], canaries: readonly Canary[]): string[] {
  return haystacks.flatMap((haystack) =>
    canaries
      .filter(({ bytes }) => haystack.bytes.includes(bytes))
      .map(({ name }) => `${name} in ${haystack.name}`),
  )
}

type Tap = {
  readonly url: string
  readonly heard: () => Haystack[]
  passTo(port: number): void
}

/** Passes everything on between devices and remote, and keeps it. */
async function startTap(): Promise<Tap> {
  let port = 0
  const lines: { up: Buffer[]; down: Buffer[] }[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const remote = createConnection({ host: '127.0.0.1', port })
    const line = { up: [] as Buffer[], down: [] as Buffer[] }
    lines.push(line)
    for (const [from, to, kept] of [
      [client, remote, line.up],
      [remote, client, line.down],
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk) => kept.push(chunk))
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port: tapPort } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${tapPort}`,
    passTo(remotePort) {
      port = remotePort
    },
    heard: () =>
      lines.flatMap(({ up, down }, i) => [
        { name: `what was sent on line ${i}`, bytes: Buffer.concat(up) },
        { name: `what was received on line ${i}`, bytes: Buffer.concat(down) },
        { name: `live frames sent on line ${i}`, bytes: unmaskedFrames(Buffer.concat(up)) },
      ]),
  }
}

/** What a client sends on a WebSocket is masked: each frame after the handshake, taken off. */
function unmaskedFrames(bytes: Buffer): Buffer {
  if (!bytes.includes('Upgrade: websocket')) return Buffer.alloc(0)
  let at = bytes.indexOf('\r\n\r\n', bytes.indexOf('Upgrade: websocket')) + 4
  const frames: Buffer[] = []
  while (at + 6 <= bytes.length) {
    let length = (bytes[at + 1] as number) & 0x7f
    at += 2
    if (length === 126) {
      length = bytes.readUInt16BE(at)
      at += 2
    }
    const mask = bytes.subarray(at, at + 4)
    const body = Buffer.from(bytes.subarray(at + 4, at + 4 + length))
    for (let i = 0; i < body.length; i++) body[i] = (body[i] as number) ^ (mask[i % 4] as number)
    frames.push(body)
    at += 4 + length
  }
  return Buffer.concat(frames)
}

/** Long enough to be there by no accident; in several scripts, with marks and without. */
const PLANTED = {
  collection: 'canary-collection-Ω',
  key: 'canary-key-ключ-записи',
  otherKey: 'canary-鍵-number-two',
  field: 'canaryFieldName',
  fieldHebrew: 'שדה-קנרית-ארוך',
  text: 'The canary sings at half past four.',
  arabic: 'العصفور يغني عند الفجر',
  hindi: 'कनारी पक्षी गाता है',
  japanese: 'カナリアは夜明けに鳴く',
  emoji: '🐤🕊️🐥🦜🐦 canary',
  deleted: 'a canary that was let go',
  offline: 'a canary that flew offline',
  firstDevice: 'canary phone of Ada',
  secondDevice: 'canary laptop of Grace',
} as const

async function planted(root: string): Promise<{
  phrase: string
  heard: Haystack[]
  printed: Haystack[]
  remoteFiles: Haystack[]
  deviceFiles: Haystack[]
}> {
  // Devices know the remote by the address of the tap.
  const tap = await startTap()
  const remote = await startRemote(join(root, 'remote'), 0, [tap.url])
  tap.passTo(remote.port)
  const first = new DeviceProcess(join(root, 'first'))
  const phrase = await first.create(tap.url, { deviceName: PLANTED.firstDevice })
  const { collection, key, otherKey } = PLANTED
  const fields = {
    [PLANTED.field]: PLANTED.text,
    [PLANTED.fieldHebrew]: [PLANTED.arabic, { [PLANTED.hindi]: PLANTED.japanese }],
    many: Array.from({ length: 400 }, () => PLANTED.emoji),
  }
  await first.put(key, fields, collection)
  await first.put('gone', { text: PLANTED.deleted }, collection)
  await first.sync()
  await first.call('delete', { collection, key: 'gone' })
  await first.call('start')
  const second = new DeviceProcess(join(root, 'second'))
  await second.restore(tap.url, phrase, { deviceName: PLANTED.secondDevice })
  await second.put('mine', { text: PLANTED.offline }, collection)
  await second.call('start')
  await second.call('until', { collection, key, fields })
  await first.put(otherKey, { text: PLANTED.text }, collection)
  await second.call('until', { collection, key: otherKey, fields: { text: PLANTED.text } })
  await first.call('until', { collection, key: 'mine', fields: { text: PLANTED.offline } })
  // Errors are where secrets slip out.
  await expect(first.put('x'.repeat(600), fields, collection)).rejects.toThrow()
  const wrong = new DeviceProcess(join(root, 'wrong'))
  const turned = phrase.split(' ').reverse().join(' ')
  await expect(wrong.restore(tap.url, turned)).rejects.toThrow()
  for (const device of [first, second]) {
    await device.call('stop')
    await device.call('close')
    await device.kill()
  }
  await remote.child.kill('SIGTERM')
  await once(remote.child, 'exit')
  const read = (folder: string): Haystack[] =>
    filesBelow(join(root, folder)).map(({ path, bytes }) => ({ name: path, bytes }))
  return {
    phrase,
    heard: tap.heard(),
    printed: [{ name: 'the log', bytes: Buffer.from(remote.output()) }],
    remoteFiles: read('remote'),
    deviceFiles: [...read('first'), ...read('second')],
  }
}

describe('what must stay secret', () => {
  it('is nowhere on the wire, at the remote, in its log or in a local file', async () => {
    const root = temporaryFolder()
    const { phrase, heard, printed, remoteFiles, deviceFiles } = await planted(root)
    const canaries = [
      ...Object.entries(PLANTED).flatMap(([name, text]) => spellings(name, text)),
      ...phraseCanaries(phrase),
      ...rootSecretCanaries(phrase),
    ]
    expect(search([...heard, ...printed, ...remoteFiles, ...deviceFiles], canaries)).toEqual([])
    // What was searched is all there is: requests, frames of both directions, and every file.
    const all = Buffer.concat(heard.map(({ bytes }) => bytes)).toString('latin1')
    for (const part of ['POST /v1/push', 'GET /v1/changes', 'Upgrade: websocket', '200 OK']) {
      expect(all).toContain(part)
    }
    expect(printed[0]?.bytes.toString()).toContain('/v1/push')
    for (const files of [remoteFiles, deviceFiles]) expect(files.length).toBeGreaterThan(3)
    expect(deviceFiles.map(({ name }) => name).join()).toContain('device.keys')
    // No id and no token stands in a URL or in the log.
    const vaultJson = deviceFiles.find(({ name }) => name.endsWith('vault.json'))
    const { vaultId } = JSON.parse(vaultJson?.bytes.toString() ?? '{}') as { vaultId: string }
    const tokens = [...all.matchAll(/authorization: Bearer ([\w-]+)/gi)].map(([, token]) => token)
    expect(tokens.length).toBeGreaterThan(0)
    const lines = all.match(/^(GET|POST) \S+ HTTP/gm)?.join('\n') ?? ''
    const log = printed[0]?.bytes.toString() ?? ''
    for (const secret of [vaultId, REGISTRATION_TOKEN, ...tokens]) {
      expect(lines).not.toContain(secret)
      expect(log).not.toContain(secret)
    }
  }, 60_000)

  it('would be found: the search sees what is planted in the open', async () => {
    const root = temporaryFolder()
    const phrase = formatPhrase(generateRootSecret((size) => new Uint8Array(randomBytes(size))))
    const secret = Buffer.from(parsePhrase(phrase).bytes)
    const leaks = [
      `text ${PLANTED.hindi} in the open`,
      JSON.stringify(phrase.split(' ')),
      `x${secret.toString('base64url')}`,
      Buffer.concat([Buffer.from('ab'), Buffer.from(PLANTED.text)]).toString('base64'),
    ]
    for (const leak of leaks) {
      const file = join(root, 'leak')
      writeFileSync(file, leak)
      const haystacks = filesBelow(root).map(({ path, bytes }) => ({ name: path, bytes }))
      const canaries = [
        ...Object.entries(PLANTED).flatMap(([name, text]) => spellings(name, text)),
        ...phraseCanaries(phrase),
        ...rootSecretCanaries(phrase),
      ]
      expect(search(haystacks, canaries), leak).not.toEqual([])
    }
    // And on the wire: a name that is in the open on purpose is found in what was recorded.
    const tap = await startTap()
    const remote = await startRemote(join(root, 'remote'))
    tap.passTo(remote.port)
    const answer = await fetch(`${tap.url}/v1/capabilities?${PLANTED.field}`)
    await answer.arrayBuffer()
    const found = search(tap.heard(), spellings('field', PLANTED.field))
    expect(found).not.toEqual([])
  }, 60_000)
})
