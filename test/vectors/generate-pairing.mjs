/**
 * Made pairing.json, once, from the compiled packages. Never run again to make a test pass: a vector
 * that fails tells of a change of format.
 *
 * `random` in a case names the stream SHA-256(label ‖ 0) ‖ SHA-256(label ‖ 1) ‖ … (4-byte counters,
 * big-endian) that stood in for randomness.
 */
import { writeFileSync } from 'node:fs'
import * as p from '../../packages/protocol/dist/index.js'
import { deviceKeysOf } from '../../packages/vault/dist/device.js'
import { memberProof } from '../../packages/vault/dist/member-keys.js'
import { formatPairingCode } from '../../packages/vault/dist/pairing-code.js'
import {
  pairingKeysOfCode,
  pairingKeysOfWords,
  sealPairingMessage,
} from '../../packages/vault/dist/pairing-keys.js'
import { Secret } from '../../packages/vault/dist/secret.js'

const hex = p.formatHex
const utf8 = p.encodeUtf8
const flip = (bytes, offset, mask = 1) => bytes.with(offset, bytes[offset] ^ mask)

function fixedRandom(label) {
  let counter = 0
  let held = new Uint8Array(0)
  return (size) => {
    while (held.length < size) {
      held = p.concat(held, p.sha256(p.concat(utf8(label), p.encodeUint32(counter++))))
    }
    const bytes = held.slice(0, size)
    held = held.slice(size)
    return bytes
  }
}

const drawn = (label, size = 32) => fixedRandom(label)(size)
const device = (label) =>
  deviceKeysOf(
    new Secret('SigningSeed', drawn(`${label} signing`)),
    new Secret('KemSeed', drawn(`${label} kem`)),
  )

const ORIGIN = 'https://sync.example'
const REMOTE = 'https://sync.example/blindcopy'
const secretBytes = drawn('pairing secret', 16)
const secret = () => new Secret('PairingCodeSecret', secretBytes.slice())
const code = formatPairingCode({ secret: secret(), remote: REMOTE })
const words = 'abandon zoo canal wolf zebra abstract'
const payload = (bytes) => `blindcopy-pair:${p.formatBase64Url(bytes)}`

const keysOf = ({ mailboxId, sealingKey }) => ({
  mailboxId: hex(mailboxId),
  sealingKey: hex(sealingKey.bytes),
})

const codes = [
  { expect: 'opens', code, remote: REMOTE, secret: hex(secretBytes), comment: '' },
  {
    expect: 'opens',
    code: ` ${code.slice(0, 40)}\n${code.slice(40)} `.replace('blindcopy-pair', 'Blindcopy-Pair'),
    remote: REMOTE,
    secret: hex(secretBytes),
    comment: 'broken over two lines, the scheme in another case',
  },
  ...[
    [code.slice(15), 'no scheme'],
    [payload(p.concat(Uint8Array.of(2), secretBytes, utf8(REMOTE))), 'version 2'],
    [payload(p.concat(Uint8Array.of(1), secretBytes)), 'no address'],
    [payload(p.concat(Uint8Array.of(1), secretBytes.slice(1))), 'cut'],
    [payload(p.concat(Uint8Array.of(1), secretBytes, Uint8Array.of(0xff))), 'no UTF-8'],
    [`${code}=`, 'padded'],
  ].map(([text, comment]) => ({ expect: 'pairing-code-malformed', code: text, comment })),
].map((one) => ({ kind: 'code', ...one }))

const spelled = [
  ['opens', words, ''],
  ['opens', '1. ABANDON 2. zoo 3. cana 4. wolf, zebra-abst', 'as people type'],
  ['pairing-code-malformed', words.slice(0, words.lastIndexOf(' ')), 'five words'],
  ['pairing-code-malformed', `${words} zoo`, 'seven words'],
  ['pairing-code-malformed', words.replace('canal', 'kanal'), 'not on the list'],
].map(([expect, text, comment]) => ({
  kind: 'words',
  expect,
  text,
  ...(expect === 'opens' ? { words } : {}),
  comment,
}))

const ofCode = pairingKeysOfCode(secret(), ORIGIN)
const ofWords = await pairingKeysOfWords(words, ORIGIN)
const otherOrigin = pairingKeysOfCode(secret(), 'https://other.example')
const otherWords = await pairingKeysOfWords(words.replace('abandon', 'ability'), ORIGIN)
const keys = [
  { expect: 'derives', secret: hex(secretBytes), origin: ORIGIN, ...keysOf(ofCode), comment: '' },
  { expect: 'derives', words, origin: ORIGIN, ...keysOf(ofWords), comment: '' },
  {
    expect: 'differs',
    secret: hex(secretBytes),
    origin: ORIGIN,
    ...keysOf(otherOrigin),
    comment: 'of another origin',
  },
  { expect: 'differs', words, origin: ORIGIN, ...keysOf(otherWords), comment: 'of other words' },
].map((one) => ({ kind: 'keys', ...one }))

const inviter = device('pairing inviter')
const newcomer = device('pairing newcomer')
const vaultId = p.sha256(utf8('pairing vault'))
const nonce = drawn('pairing nonce of the inviter')
const messages = {
  invite: {
    type: 'invite',
    vaultId,
    keychainHead: drawn('pairing head'),
    keychainLength: 3,
    signingKey: inviter.signingKey,
    kemKey: inviter.kemKey,
    commitment: p.pairingCommitment(vaultId, nonce),
  },
  join: {
    type: 'join',
    signingKey: newcomer.signingKey,
    kemKey: newcomer.kemKey,
    proof: memberProof(vaultId, newcomer),
    name: 'téléphone',
    nonce: drawn('pairing nonce of the newcomer'),
  },
  reveal: { type: 'reveal', nonce },
  approve: { type: 'approve', keychainHead: drawn('pairing later head'), checkpoint: drawn('cp', 300) },
  'approve without checkpoint': {
    type: 'approve',
    keychainHead: drawn('pairing later head'),
    checkpoint: null,
  },
  deny: { type: 'deny', reason: 'declined' },
}
const written = Object.entries(messages).flatMap(([name, message]) => {
  const random = `pairing ${name}`
  const slot = p.slotOf(message)
  const sealed = sealPairingMessage(message, ofCode, fixedRandom(random))
  const base = { kind: 'message', name, ...keysOf(ofCode), slot }
  const plain = hex(p.encodePairingMessage(message))
  return [
    { ...base, expect: 'opens', random, plain, sealed: hex(sealed), comment: '' },
    {
      ...base,
      expect: 'tampered',
      slot: (slot + 1) % 4,
      sealed: hex(sealed),
      comment: 'in another slot',
    },
    { ...base, expect: 'tampered', sealed: hex(flip(sealed, 60)), comment: 'a bit off' },
  ]
})
const wrongForms = [
  [0, [0, vaultId, drawn('x'), 0, inviter.signingKey, inviter.kemKey, drawn('y')], 'no keychain'],
  [1, [1, newcomer.signingKey, newcomer.kemKey, drawn('z', 64), 'n'.repeat(255), nonce], 'long name'],
  [2, [2, nonce.slice(1)], 'short nonce'],
  [2, [2, nonce, 1], 'an item more'],
  [3, [3, drawn('x'), new Uint8Array(8193)], 'large checkpoint'],
  [3, [5, 'x'], 'unknown kind'],
  [3, { reason: 'x' }, 'no array'],
].map(([slot, items, comment]) => ({
  kind: 'form',
  expect: 'malformed',
  slot,
  plain: hex(p.encodeCbor(items)),
  comment,
}))

const transcript = {
  mailboxId: ofCode.mailboxId,
  invite: messages.invite,
  join: messages.join,
  nonce,
}
const digits = [
  ['derives', transcript, ''],
  ['differs', { ...transcript, nonce: flip(nonce, 0) }, 'another nonce'],
  ['differs', { ...transcript, join: { ...messages.join, kemKey: inviter.kemKey } }, 'another key'],
].map(([expect, said, comment]) => {
  const hash = p.pairingTranscript(said)
  return {
    kind: 'digits',
    expect,
    mailboxId: hex(ofCode.mailboxId),
    invite: hex(p.encodePairingMessage(messages.invite)),
    join: hex(p.encodePairingMessage(messages.join)),
    nonce: hex(nonce),
    transcript: hex(hash),
    digits: p.pairingDigits(hash),
    comment,
  }
})

const cases = [...codes, ...spelled, ...keys, ...written, ...wrongForms, ...digits]
const description =
  'Pairing: codes and words, the keys they give, sealed messages, and the digits of a transcript.'
writeFileSync(
  new URL('pairing.json', import.meta.url),
  `${JSON.stringify({ description, cases }, null, 2)}\n`,
)
