/**
 * Made phrase, derivation, envelope, keychain, wrap, record and ed25519 .json, once, from the compiled
 * packages. Never run again to make a test pass: a vector that fails tells of a change of format.
 *
 * `random` in a case names the stream SHA-256(label ‖ 0) ‖ SHA-256(label ‖ 1) ‖ … (4-byte counters,
 * big-endian) that stood in for randomness.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import * as p from '../../packages/protocol/dist/index.js'
import { commitToEpoch } from '../../packages/vault/dist/commitment.js'
import { derive, SUBKEYS } from '../../packages/vault/dist/derivation.js'
import { deviceKeysOf } from '../../packages/vault/dist/device.js'
import { replaceBranches } from '../../packages/vault/dist/keychain-branch.js'
import {
  addMember,
  beginEpoch,
  foundKeychain,
  revokeMembers,
} from '../../packages/vault/dist/keychain-writer.js'
import { Keyring, openKeyring } from '../../packages/vault/dist/keyring.js'
import { memberProof } from '../../packages/vault/dist/member-keys.js'
import { openMemberName } from '../../packages/vault/dist/member-name.js'
import { sealOlderEpoch } from '../../packages/vault/dist/older-epoch.js'
import { formatPhrase } from '../../packages/vault/dist/phrase.js'
import { encodeRecord } from '../../packages/vault/dist/record.js'
import {
  recoveryKeysOf,
  recoveryVaultProof,
} from '../../packages/vault/dist/recovery/recovery-key.js'
import { deriveRoot } from '../../packages/vault/dist/root.js'
import { SEAL_ROOM_BYTES, sealRecord, sealWork } from '../../packages/vault/dist/seal.js'
import { Secret } from '../../packages/vault/dist/secret.js'
import { signingPairOf, verifySignature } from '../../packages/vault/dist/sodium.js'
import { wrapKeys } from '../../packages/vault/dist/wrap.js'

const hex = p.formatHex
const utf8 = p.encodeUtf8

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

const drawn = (label) => fixedRandom(label)(32)
const secret = (name, label) => new Secret(name, drawn(label))
const flip = (bytes, offset, mask = 1) => bytes.with(offset, bytes[offset] ^ mask)

function write(name, description, cases) {
  writeFileSync(
    new URL(`${name}.json`, import.meta.url),
    `${JSON.stringify({ description, cases }, null, 2)}\n`,
  )
}

function phrases() {
  const opens = [
    ['zeros', new Uint8Array(32), 'BIP-39 reference vector'],
    ['7f', new Uint8Array(32).fill(0x7f), 'BIP-39 reference vector'],
    ['80', new Uint8Array(32).fill(0x80), 'BIP-39 reference vector'],
    ['ff', new Uint8Array(32).fill(0xff), 'BIP-39 reference vector'],
    ['random', drawn('phrase'), ''],
  ].map(([name, root, comment]) => {
    const phrase = formatPhrase(new Secret('RootSecret', root.slice()))
    return { name, expect: 'opens', phrase, canonical: phrase, root: hex(root), comment }
  })
  const { phrase, root } = opens[4]
  const words = phrase.split(' ')
  const spelled = (name, text, comment) => ({
    name,
    expect: 'opens',
    phrase: text,
    canonical: phrase,
    root,
    comment,
  })
  const refused = (name, expect, text, comment) => ({ name, expect, phrase: text, comment })
  const malformed = 'phrase-malformed'
  write(
    'phrase',
    'A recovery phrase, the root secret it spells (hex), and its canonical spelling.',
    [
      ...opens,
      spelled('capitals', phrase.toUpperCase(), 'case does not matter'),
      spelled('spacing', ` \t${words.join('\u3000\n ')}\r\n`, 'nor does spacing, of any script'),
      refused('empty', malformed, '', 'no word'),
      refused(
        'twelve words',
        malformed,
        words.slice(0, 12).join(' '),
        'a phrase of half the length',
      ),
      refused('23 words', malformed, words.slice(1).join(' '), 'one is missing'),
      refused('25 words', malformed, `${phrase} zoo`, 'one too many'),
      refused('unknown word', malformed, words.with(3, 'absract').join(' '), 'a letter is missing'),
      refused('joined', malformed, words.join(''), 'no spaces'),
      spelled('commas', words.join(','), 'commas part words'),
      refused(
        'other list',
        malformed,
        words.with(0, 'abaisser').join(' '),
        'a word of the French list',
      ),
      refused(
        'accent',
        malformed,
        words.with(0, 'abándon').join(' '),
        'an accent the list does not have',
      ),
      refused(
        'swapped',
        'phrase-checksum',
        [words[1], words[0], ...words.slice(2)].join(' '),
        'order matters',
      ),
      refused(
        'last word',
        'phrase-checksum',
        words.with(23, words[23] === 'zoo' ? 'zone' : 'zoo').join(' '),
        'a wrong checksum',
      ),
      refused(
        'zeros',
        'phrase-checksum',
        Array(24).fill('abandon').join(' '),
        'the right last word is "art"',
      ),
    ],
  )
}

function derivations() {
  const cases = Object.entries(SUBKEYS).flatMap(([name, row], i) => {
    const input = drawn(`derivation ${row.from}`)
    const output = hex(derive(name, new Secret(row.from, input.slice())).bytes)
    const names = Object.keys(SUBKEYS)
    const other = names[(i + 1) % names.length]
    const wrong = derive(other, new Secret(SUBKEYS[other].from, input.slice()))
    return [
      {
        name,
        expect: 'derives',
        context: row.context,
        number: row.number,
        input: hex(input),
        output,
        comment: `${row.from} to ${row.to}`,
      },
      {
        name,
        expect: 'differs',
        input: hex(input),
        output: hex(wrong.bytes),
        comment: `what ${other} derives from the same bytes`,
      },
    ]
  })
  const root = deriveRoot(secret('RootSecret', 'derivation root'))
  const rootSecret = hex(drawn('derivation root'))
  const { vaultId, memberId } = root
  cases.push(
    {
      name: 'root',
      expect: 'derives',
      input: rootSecret,
      vaultId: hex(vaultId),
      memberId: hex(memberId),
      kemKeyHash: hex(p.sha256(root.kemKey)),
      comment: 'vault id, member id and SHA-256 of the KEM key of a root secret',
    },
    {
      name: 'root',
      expect: 'differs',
      input: rootSecret,
      vaultId: hex(flip(vaultId, 31)),
      memberId: hex(flip(memberId, 7)),
      kemKeyHash: hex(flip(p.sha256(root.kemKey), 0)),
      comment: 'a bit off',
    },
  )
  write(
    'derivation',
    'Subkeys by the name of their row, and the ids that follow from a root secret.',
    cases,
  )
}

const vaultId = p.sha256(utf8('vectors: vault'))
const otherVaultId = p.sha256(utf8('vectors: another vault'))
const keyringOf = (epochs, vault = vaultId) =>
  new Keyring(
    vault,
    secret('IdKey', 'id key'),
    new Map(epochs.map((n) => [n, secret('EpochKey', `epoch key ${n}`)])),
  )
const timestamp = (n) => p.concat(p.encodeUint64(n), drawn(`tail ${n}`).slice(0, 8))
const RECORDS = [
  [
    'note',
    {
      collection: 'notes',
      key: 'k1',
      fields: { title: 'Groceries', done: false },
      base: null,
      transactionSize: 1,
    },
  ],
  [
    'every kind of value',
    {
      collection: 'ñ',
      key: '🙂',
      fields: {
        a: 0,
        b: '',
        c: false,
        d: null,
        e: undefined,
        f: -0,
        g: Number.NaN,
        h: 12345678901234567890n,
        i: -5n,
        j: new Date(1_700_000_000_000),
        k: Uint8Array.of(0, 255),
        l: [1, [2, {}]],
        m: { n: { o: 1.5 } },
      },
      base: timestamp(77),
      transactionSize: 255,
    },
  ],
  [
    'deletion',
    { collection: 'notes', key: 'k1', fields: null, base: timestamp(78), transactionSize: 1000 },
  ],
  ['no fields', { collection: '', key: '', fields: {}, base: null, transactionSize: 24 }],
  [
    'four kilobytes',
    {
      collection: 'notes',
      key: 'long',
      fields: { body: 'x'.repeat(4100) },
      base: null,
      transactionSize: 2,
    },
  ],
  [
    '__proto__',
    {
      collection: 'notes',
      key: 'p',
      fields: JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}'),
      base: null,
      transactionSize: 23,
    },
  ],
  [
    'field clocks',
    {
      collection: 'notes',
      key: 'k1',
      fields: { title: 'x', done: false, body: '' },
      base: timestamp(79),
      transactionSize: 1,
      fieldClocks: {
        editedAt: null,
        deletedAt: timestamp(76),
        groups: [
          [timestamp(77), ['done']],
          [timestamp(78), ['body', 'gone']],
          [null, ['__proto__']],
        ],
      },
    },
  ],
  [
    'outcome of a merge, with a schema version',
    {
      collection: 'notes',
      key: 'k1',
      fields: { title: 'x' },
      base: timestamp(79),
      transactionSize: 1,
      fieldClocks: {
        editedAt: timestamp(78),
        deletedAt: null,
        groups: [[timestamp(78), ['title']]],
      },
      schemaVersion: 2 ** 31 - 1,
    },
  ],
  [
    'older deletion',
    {
      collection: 'notes',
      key: 'k1',
      fields: null,
      base: timestamp(79),
      transactionSize: 1,
      fieldClocks: { editedAt: null, deletedAt: timestamp(78), groups: [] },
    },
  ],
  [
    'schema version',
    {
      collection: 'notes',
      key: 'k1',
      fields: {},
      base: null,
      transactionSize: 1,
      schemaVersion: 1,
    },
  ],
]
const hexOrNull = (bytes) => (bytes === null ? null : hex(bytes))
const clocksHex = ({ editedAt, deletedAt, groups }) => ({
  editedAt: hexOrNull(editedAt),
  deletedAt: hexOrNull(deletedAt),
  groups: groups.map(([clock, names]) => [hexOrNull(clock), names]),
})
const recordHex = (record) => ({
  collection: record.collection,
  key: record.key,
  fields: record.fields === null ? null : hex(p.encodeValue(record.fields)),
  base: hexOrNull(record.base),
  transactionSize: record.transactionSize,
  fieldClocks: record.fieldClocks ? clocksHex(record.fieldClocks) : null,
  schemaVersion: record.schemaVersion ?? 0,
})

function padded(cbor, size = p.paddedSize(4 + cbor.length), length = cbor.length) {
  const bytes = new Uint8Array(size)
  bytes.set(p.encodeUint32(length))
  bytes.set(cbor, 4)
  return bytes
}

const cborOf = (places) => p.encodeCbor(places).slice()
const PLACES = ['notes', 'k1', { title: 'x' }, null, 1]
const WRONG_PLAINTEXTS = [
  ['empty list', padded(cborOf([]))],
  ['four places', padded(cborOf(PLACES.slice(0, 4)))],
  ['eight places', padded(cborOf([...PLACES, null, 1, 1]))],
  ['a map', padded(cborOf({ collection: 'notes' }))],
  ['collection is a number', padded(cborOf(PLACES.with(0, 7)))],
  ['key is bytes', padded(cborOf(PLACES.with(1, Uint8Array.of(1))))],
  ['fields are a list', padded(cborOf(PLACES.with(2, [1])))],
  ['fields are a text', padded(cborOf(PLACES.with(2, 'x')))],
  ['base of 15 bytes', padded(cborOf(PLACES.with(3, new Uint8Array(15))))],
  ['transaction of none', padded(cborOf(PLACES.with(4, 0)))],
  ['transaction of 1001', padded(cborOf(PLACES.with(4, 1001)))],
  ['field clocks of nothing', padded(cborOf([...PLACES, null]))],
  ['field clocks are a map', padded(cborOf([...PLACES, { title: timestamp(7) }]))],
  ['schema version 0', padded(cborOf([...PLACES, [null, null], 0]))],
  ['schema version 2^31', padded(cborOf([...PLACES, null, 2 ** 31]))],
  ['a group of no name', padded(cborOf([...PLACES, [null, null, [timestamp(7)]]]))],
  [
    'a name in two groups',
    padded(cborOf([...PLACES, [null, null, [timestamp(7), 'a'], [timestamp(8), 'a']]])),
  ],
  ['an own field named', padded(cborOf([...PLACES, [null, null, [null, 'title']]]))],
  ['edited before deleted', padded(cborOf([...PLACES, [timestamp(7), timestamp(8)]]))],
  ['edited deletion', padded(cborOf([...PLACES.with(2, null), [timestamp(7), null]]))],
  ['padding is not zero', padded(cborOf(PLACES)).with(255, 1)],
  ['padded too far', padded(cborOf(PLACES), 272)],
  ['padded too little', padded(cborOf(PLACES), 240)],
  ['length beyond the end', padded(cborOf(PLACES), 256, 253)],
  ['length one short', padded(cborOf(PLACES), 256, cborOf(PLACES).length - 1)],
  ['length one long', padded(cborOf(PLACES), 256, cborOf(PLACES).length + 1)],
  [
    'key twice',
    padded(
      p.concat(
        cborOf(['notes', 'k1']).with(0, 0x85),
        Uint8Array.of(0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2, 0xf6, 1),
      ),
    ),
  ],
  [
    'indefinite list',
    padded(p.concat(Uint8Array.of(0x9f), cborOf(PLACES).subarray(1), Uint8Array.of(0xff))),
  ],
  ['nothing', new Uint8Array(256)],
]

function records() {
  const keyring = keyringOf([1])
  const good = RECORDS.map(([name, record]) => ({
    name,
    expect: 'opens',
    ...recordHex(record),
    padded: hex(encodeRecord(record)),
    idKey: hex(drawn('id key')),
    recordId: hex(keyring.recordIdOf(record.collection, record.key)),
    collectionTag: hex(keyring.collectionTag(record.collection)),
    comment: '',
  }))
  const wrong = WRONG_PLAINTEXTS.map(([name, bytes]) => ({
    name,
    expect: 'refused',
    padded: hex(bytes),
    comment: 'sealed well, it must be refused too',
  }))
  write(
    'record',
    'The padded plaintext of records. `fields` is the CBOR of the fields; record id and collection tag are under `idKey`.',
    [...good, ...wrong],
  )
}

function envelopes() {
  const both = { vaultId: hex(vaultId), idKey: hex(drawn('id key')) }
  const epochKeys = (...epochs) =>
    Object.fromEntries(epochs.map((n) => [n, hex(drawn(`epoch key ${n}`))]))
  const at = timestamp(1000)
  const good = RECORDS.map(([name, record], i) => {
    const random = `envelope ${name}`
    const epochs = i % 2 === 0 ? [1] : [1, 7]
    const envelope = sealRecord(keyringOf(epochs), record, at, fixedRandom(random))
    return {
      name,
      expect: 'opens',
      ...both,
      epochKeys: epochKeys(...epochs),
      ...recordHex(record),
      timestamp: hex(at),
      random,
      envelope: hex(envelope),
      comment: `under epoch ${epochs.at(-1)}`,
    }
  })
  const sealed = (record, when = at, ring = keyringOf([1])) =>
    sealRecord(ring, record, when, fixedRandom('refused'))
  const [note, deletion] = [RECORDS[0][1], RECORDS[2][1]]
  const whole = sealed(note)
  const refused = (name, bytes, comment, expect = 'tampered') => ({
    name,
    expect,
    ...both,
    epochKeys: epochKeys(1),
    envelope: hex(bytes),
    comment,
  })
  const splice = (head, tail, offset) => p.concat(head.subarray(0, offset), tail.subarray(offset))
  const inner = WRONG_PLAINTEXTS.map(([name, bytes]) => {
    const header = p.encodeBoundHeader({
      tombstone: false,
      epoch: 1,
      recordId: keyringOf([1]).recordIdOf('notes', 'k1'),
      timestamp: at,
    })
    const work = p.concat(new Uint8Array(SEAL_ROOM_BYTES), bytes)
    return refused(
      `inside: ${name}`,
      sealWork(keyringOf([1]), header, work, drawn('inner').slice(0, 24)),
      'sealed with the right key',
      bytes.length < 256 ? 'malformed' : 'tampered',
    )
  })
  const sealClocks = (place) =>
    sealWork(
      keyringOf([1]),
      whole.slice(0, 38),
      p.concat(
        new Uint8Array(SEAL_ROOM_BYTES),
        padded(cborOf(['notes', 'k1', note.fields, null, 1, place])),
      ),
      drawn('inner').slice(0, 24),
    )
  const sealHeader = (change) => {
    const header = {
      tombstone: false,
      epoch: 1,
      recordId: keyringOf([1]).recordIdOf('notes', 'k1'),
      timestamp: at,
      ...change,
    }
    return sealWork(
      keyringOf([1]),
      p.encodeBoundHeader(header),
      encodeRecord(note, SEAL_ROOM_BYTES),
      drawn('inner').slice(0, 24),
    )
  }
  write(
    'envelope',
    'Envelopes with the keys that open them. `random` names the randomness they were sealed with.',
    [
      ...good,
      refused(
        'another vault',
        sealed(note, at, keyringOf([1], otherVaultId)),
        'same keys, but the vault id is bound',
      ),
      refused(
        'epoch not held',
        sealed(note, at, keyringOf([1, 2])),
        'kept until the keychain has it',
        'unknown-epoch',
      ),
      refused(
        'epoch relabelled',
        sealed(note, at, keyringOf([1, 2])).with(5, 1),
        'sealed under epoch 2, labelled 1',
      ),
      refused('re-timed', splice(sealed(note, timestamp(2000)), whole, 38), 'a later timestamp'),
      refused('tombstone set', flip(whole, 1), 'a version made a deletion'),
      refused('tombstone cleared', flip(sealed(deletion), 1), 'a deletion made a version'),
      refused(
        'record id swapped',
        splice(sealed({ ...note, key: 'k2' }), whole, 38),
        'another record’s header',
      ),
      refused('nonce changed', flip(whole, 38), ''),
      refused('ciphertext changed', flip(whole, 62), ''),
      refused('tag changed', flip(whole, whole.length - 1), ''),
      refused('cut', whole.subarray(0, whole.length - 16), 'its tag is missing', 'malformed'),
      refused('grown', p.concat(whole, new Uint8Array(16)), ''),
      refused('version 2', whole.with(0, 2), '', 'unsupported-version'),
      refused('reserved flag', whole.with(1, 2), '', 'malformed'),
      refused('epoch 0', whole.with(5, 0), '', 'malformed'),
      refused(
        'sealed as a false deletion',
        sealHeader({ tombstone: true }),
        'the flag is bound, but the record has fields',
      ),
      refused(
        'a field clock of the record’s own time, written out',
        sealClocks([null, null, [at, 'gone']]),
        'null is its one spelling',
      ),
      refused(
        'a field clock beyond the record',
        sealClocks([null, null, [timestamp(1001), 'title']]),
        'no field clock may exceed the timestamp',
      ),
      refused('an edit beyond the record', sealClocks([timestamp(1001), null]), ''),
      refused('a deletion beyond the record', sealClocks([null, timestamp(1001)]), ''),
      refused(
        'sealed under a false id',
        sealHeader({ recordId: drawn('false id').slice(0, 16) }),
        'the id is bound, but not that of the record',
      ),
      ...inner,
    ],
  )
}

const deviceOf = (label) =>
  deviceKeysOf(secret('SigningSeed', `${label} signing`), secret('KemSeed', `${label} kem`))

function wraps() {
  const keys = { epochKey: secret('EpochKey', 'wrap epoch'), idKey: secret('IdKey', 'wrap id') }
  const device = deviceOf('wrap device')
  const place = { vaultId, epoch: 5, previous: p.sha256(utf8('previous')) }
  const wrap = wrapKeys(keys, device, place, fixedRandom('wrap'))
  const base = {
    signingSeed: hex(drawn('wrap device signing')),
    kemSeed: hex(drawn('wrap device kem')),
    vaultId: hex(vaultId),
    epoch: 5,
    previous: hex(place.previous),
    wrap: hex(wrap),
  }
  const good = (name, random, at) => ({
    ...base,
    name,
    expect: 'opens',
    random,
    epoch: at.epoch,
    previous: hex(at.previous),
    epochKey: hex(drawn('wrap epoch')),
    idKey: hex(drawn('wrap id')),
    wrap: hex(wrapKeys(keys, device, at, fixedRandom(random))),
    comment: '',
  })
  const refused = (name, change, comment) => ({
    ...base,
    name,
    expect: 'key-mismatch',
    ...change,
    comment,
  })
  const at = (offset) => ({ wrap: hex(flip(wrap, offset)) })
  write(
    'wrap',
    'Wraps of an epoch key and the id key to a member, whose keys follow from its two seeds.',
    [
      good('wrap', 'wrap', place),
      good('greatest epoch', 'wrap 2', { ...place, epoch: 0xffff_ffff }),
      good('same randomness, another place', 'wrap', {
        ...place,
        previous: p.sha256(utf8('other')),
      }),
      refused('another vault', { vaultId: hex(otherVaultId) }, ''),
      refused('another epoch', { epoch: 4 }, ''),
      refused('another entry', { previous: hex(p.sha256(utf8('other'))) }, ''),
      refused(
        'another member',
        { signingSeed: hex(drawn('other signing')) },
        'its KEM key is the same',
      ),
      refused('another KEM key', { kemSeed: hex(drawn('other kem')) }, ''),
      refused('ML-KEM part changed', at(0), ''),
      refused('X25519 part changed', at(1100), ''),
      refused('nonce changed', at(1120), ''),
      refused('keys changed', at(1150), ''),
      refused('tag changed', at(1223), ''),
      refused('cut', { wrap: hex(wrap.subarray(0, 1223)) }, ''),
      refused('zeros', { wrap: hex(new Uint8Array(1224)) }, ''),
    ],
  )
}

const NOW = 1_700_000_000_000
const DEVICES = ['first', 'second', 'third']

const chainRoot = () => deriveRoot(secret('RootSecret', 'chain root'))
const recoverySeed = () => secret('RecoverySeed', 'chain recovery')

function memberOf(who) {
  if (who === 'root') return chainRoot()
  return who === 'recovery' ? recoveryKeysOf(recoverySeed()) : deviceOf(DEVICES[who])
}

/** What vectors.test.ts does too: the steps in order, each with the stream that goes on. */
function writeChain(steps, draw, state) {
  const root = chainRoot()
  for (const step of steps) state = { ...writeStep(step, draw, state), root }
  return state
}

function writeStep(step, random, state) {
  const root = chainRoot()
  const written = (entries, keyring) => ({
    entries,
    keyring,
    keychain: p.validateKeychain(root.vaultId, entries, verifySignature),
  })
  if (step.type === 'found') {
    const device = memberOf(step.device)
    const options = { root, device, deviceName: step.name, nowMs: NOW, random }
    const { entries, keyring } = foundKeychain(options)
    return written(entries, keyring)
  }
  const writing = { ...state, signer: memberOf(step.signer), nowMs: NOW, random }
  if (step.type === 'add') {
    const newcomer = newcomerOf(step)
    const entry = addMember({ ...writing, newcomer, name: step.name })
    return written([...state.entries, entry], state.keyring)
  }
  if (step.type === 'revoke') {
    const memberIds = step.members.map((who) => memberOf(who).memberId)
    const { entries, keyring } = revokeMembers({ ...writing, memberIds })
    return written([...state.entries, ...entries], keyring)
  }
  const { entry, keyring } = beginEpoch(writing)
  return written([...state.entries, entry], keyring)
}

function newcomerOf({ device, kind }) {
  const { vaultId } = chainRoot()
  const keys = memberOf(device)
  return {
    kind,
    signingKey: keys.signingKey,
    kemKey: keys.kemKey,
    proof: memberProof(vaultId, keys),
    vaultProof: kind === 'recovery' ? recoveryVaultProof(recoverySeed(), vaultId) : undefined,
  }
}

/** Branches that go on from one chain, and the root's in their place. */
function writeFork(steps, branches, keep, random) {
  const draw = fixedRandom(random)
  const base = writeChain(steps, draw)
  const written = branches.map((branch) => writeChain(branch, draw, base))
  const { keychain } = replaceBranches({
    root: base.root,
    base: base.keychain,
    branches: written.map((branch) => branch.keychain),
    keep: keep.map((who) => memberOf(who).memberId),
    nowMs: NOW,
    random: draw,
  })
  const keyring = openKeyring({ keychain, holder: base.root })
  return { base, branches: written, keychain, entries: keychain.entries, keyring, root: base.root }
}

/** Entries as a member that does not keep the rules would sign them. */
function forge(entries, ...forged) {
  const { vaultId } = chainRoot()
  const all = [...entries]
  for (const [who, payload] of forged) {
    const signer = memberOf(who)
    const { body: before, signature: signed } = p.parseKeychainEntry(all.at(-1))
    const previous = p.keychainEntryHash(before, signed)
    const place = { index: all.length, previous, signer: signer.memberId, timeMs: NOW }
    const body = p.encodeKeychainBody(place, payload).slice()
    const signature = signer.sign(p.keychainSignedBytes(vaultId, body))
    all.push(p.encodeKeychainEntry(body, signature).slice())
  }
  return all
}

const PAYLOADS = {
  revoke: (...members) => ({
    type: 'member-revoke',
    memberIds: members.map((who) => memberOf(who).memberId),
  }),
  replace: (entries, from, greatestEpoch) => ({
    type: 'replace',
    replaced: entries.slice(from).map((bytes) => p.parseKeychainEntry(bytes).hash),
    greatestEpoch,
  }),
  /** An epoch whose wraps open for nobody: what the rules see of it is good. */
  epoch: (epoch, members, sealed) => ({
    type: 'epoch',
    epoch,
    commitment: drawn('forged commitment'),
    wraps: members.map((who) => ({
      memberId: memberOf(who).memberId,
      wrap: fixedRandom(`forged wrap ${who}`)(1224),
    })),
    rootWrap: fixedRandom('forged root wrap')(1224),
    sealedEpochs: sealed.map((older) => ({
      epoch: older,
      sealed: fixedRandom(`forged seal ${older}`)(72),
    })),
  }),
  add: (device, kind, vaultProof) => ({
    type: 'member-add',
    ...newcomerOf({ device, kind }),
    sealedName: new Uint8Array(0),
    wrap: fixedRandom('forged wrap')(1224),
    vaultProof,
  }),
}

function hostileEpoch({ entries, keychain, keyring, root }, wrong) {
  const signer = deviceOf('second')
  const draw = fixedRandom(`hostile ${Object.keys(wrong)}`)
  const key = () => new Secret('EpochKey', draw(32))
  const epochKey = key()
  const { idKey, epochKey: older } = keyring.newestKeys()
  const usedId = wrong.id ? new Secret('IdKey', draw(32)) : idKey
  const epoch = keyring.newestEpoch + 1
  const place = { vaultId: root.vaultId, epoch, previous: p.keychainHead(keychain) }
  const wrapped = { epochKey: wrong.wrapped ? key() : epochKey, idKey: usedId }
  const members = [...keychain.membersById.values()]
  const list = members.map((m) => ({
    memberId: m.memberId,
    wrap: wrapKeys(wrapped, m, place, draw),
  }))
  if (wrong.swapped) [list[0].wrap, list[1].wrap] = [list[1].wrap, list[0].wrap]
  const body = p
    .encodeKeychainBody(
      { index: entries.length, previous: place.previous, signer: signer.memberId, timeMs: NOW },
      {
        type: 'epoch',
        epoch,
        commitment: commitToEpoch(place, wrong.committed ? key() : epochKey, usedId),
        wraps: list,
        rootWrap: wrapKeys(wrapped, { memberId: root.memberId, kemKey: root.kemKey }, place, draw),
        sealedEpochs: [
          {
            epoch: epoch - 1,
            sealed: sealOlderEpoch(
              wrong.sealed ? key() : older,
              epochKey,
              { ...place, olderEpoch: epoch - 1 },
              draw,
            ),
          },
        ],
      },
    )
    .slice()
  const signature = signer.sign(p.keychainSignedBytes(root.vaultId, body))
  return [...entries, p.encodeKeychainEntry(body, signature).slice()]
}

function keychains() {
  const found = { type: 'found', device: 0, name: 'first laptop' }
  const add = { type: 'add', device: 1, signer: 0, kind: 'device', name: 'phone' }
  const epoch = { type: 'epoch', signer: 1 }
  const base = {
    rootSecret: hex(drawn('chain root')),
    recoverySeed: hex(drawn('chain recovery')),
    devices: DEVICES.map((label) => ({
      signingSeed: hex(drawn(`${label} signing`)),
      kemSeed: hex(drawn(`${label} kem`)),
    })),
  }
  const opened = (name, random, steps, { entries, keychain, keyring, root }) => {
    const members = [...keychain.membersById.values()]
    return {
      name,
      expect: 'opens',
      ...base,
      vaultId: hex(root.vaultId),
      random,
      steps,
      nowMs: NOW,
      epochKeys: [...openKeyring({ keychain, holder: root }).epochKeys()].map(([epoch, key]) => [
        epoch,
        hex(key.bytes),
      ]),
      entries: entries.map(hex),
      head: hex(p.keychainHead(keychain)),
      names: members.map((member) => openMemberName(keyring, member)),
      newestEpoch: keyring.newestEpoch,
      recordIdOfNotesK1: hex(keyring.recordIdOf('notes', 'k1')),
    }
  }
  const good = (name, steps, comment) => {
    const random = `keychain ${name}`
    const written = writeChain(steps, fixedRandom(random))
    return { ...opened(name, random, steps, written), comment }
  }
  const joined = (name, { steps, branches, keep }, comment) => {
    const random = `keychain ${name}`
    const written = writeFork(steps, branches, keep, random)
    return {
      ...opened(name, random, steps, written),
      branches,
      keep,
      branchEntries: written.branches.map(({ entries }) => entries.map(hex)),
      comment,
    }
  }
  const chain = writeChain([found, add], fixedRandom('keychain refused'))
  const refused = (name, expect, entries, comment, holder = 'first') => ({
    name,
    expect,
    ...base,
    vaultId: hex(chain.root.vaultId),
    holder: DEVICES.includes(holder) ? DEVICES.indexOf(holder) : holder,
    entries: entries.map(hex),
    comment,
  })
  const hostile = (name, wrong, comment) =>
    refused(name, 'key-mismatch', hostileEpoch(chain, wrong), comment)
  const [genesis, member, first, second] = chain.entries
  const invalid = 'keychain-invalid'
  const forked = 'keychain-forked'
  const broken = (name, forged, comment = '') =>
    refused(name, invalid, forge(chain.entries, ...forged), comment)
  const merged = (name, expect, held, entries, comment) => ({
    ...refused(name, expect, entries, comment),
    held: held.map(hex),
  })
  const { revoke, replace, epoch: anEpoch, add: anAdd } = PAYLOADS
  const revokeStep = { type: 'revoke', signer: 0, members: [1] }
  const revoked = writeChain([revokeStep], fixedRandom('keychain revoked'), chain)
  const fork = {
    steps: [found, add],
    branches: [
      [revokeStep, { type: 'add', device: 2, signer: 0, kind: 'device', name: 'new phone' }],
      [{ type: 'revoke', signer: 1, members: [0] }, epoch],
    ],
    keep: [0, 2],
  }
  const written = writeFork(fork.steps, fork.branches, fork.keep, 'keychain refused fork')
  const [ofFirst, ofSecond] = written.branches
  const elsewhere = writeChain([epoch], fixedRandom('keychain elsewhere'), chain)
  write(
    'keychain',
    'Keychains written by `steps` with the randomness `random`; devices follow from their seeds. Refused ones are opened by `holder`.',
    [
      good('founded', [found], 'genesis, a device, epoch 1'),
      good('second device', [found, add], ''),
      good('second epoch', [found, add, epoch], 'begun by the second device'),
      good(
        'recovery key',
        [
          found,
          { ...add, device: 'recovery', kind: 'recovery', signer: 'root', name: '' },
          { type: 'epoch', signer: 'root' },
          { type: 'epoch', signer: 0 },
          { type: 'add', device: 2, signer: 0, kind: 'device', name: 'téléphone 📱' },
        ],
        'the last device opens epochs 1 and 2 through epoch 3',
      ),
      good('revocation', [found, add, revokeStep], 'with its epoch'),
      good(
        'revocation by a recovery key, of two',
        [
          found,
          add,
          { type: 'add', device: 2, signer: 1, kind: 'device', name: 'tablet' },
          { type: 'add', device: 'recovery', signer: 0, kind: 'recovery', name: 'key file' },
          { type: 'revoke', signer: 'recovery', members: [0, 2] },
        ],
        '',
      ),
      joined('fork and the branch of the root', fork, 'two keys of epoch 2'),
      refused('revoked device', 'key-mismatch', revoked.entries, '', 'second'),
      broken('revocation without an epoch', [[0, revoke(1)]]),
      broken('revocation of nobody', [
        [0, revoke()],
        [0, anEpoch(2, [0, 1], [1])],
      ]),
      broken('revocation of a stranger', [
        [0, revoke(2)],
        [0, anEpoch(2, [0, 1], [1])],
      ]),
      broken('revocation of one twice', [
        [0, revoke(1, 1)],
        [0, anEpoch(2, [0], [1])],
      ]),
      broken('revocation of the signer', [
        [0, revoke(0)],
        [1, anEpoch(2, [1], [1])],
      ]),
      broken('revocation of the last device', [
        ['root', revoke(0, 1)],
        ['root', anEpoch(2, [], [1])],
      ]),
      broken('epoch by the revoked', [
        [0, revoke(1)],
        [1, anEpoch(2, [0], [1])],
      ]),
      broken('epoch for the revoked too', [
        [0, revoke(1)],
        [0, anEpoch(2, [0, 1], [1])],
      ]),
      broken('epoch that does not seal the one before', [
        [0, revoke(1)],
        [0, anEpoch(2, [0], [])],
      ]),
      refused('revoked device added again', invalid, forge(revoked.entries, [0, anAdd(1, 'device', null)]), ''),
      broken('recovery key without the proof of its vault', [[0, anAdd('recovery', 'recovery', null)]]),
      broken('device with the proof of a vault', [[0, anAdd(2, 'device', drawn('vault proof'))]]),
      broken('replacement by a device', [
        [0, replace(elsewhere.entries, 4, 2)],
        [0, anEpoch(3, [0, 1], [1])],
      ]),
      broken('replacement of nothing', [
        ['root', replace([], 0, 2)],
        ['root', anEpoch(3, [0, 1], [1])],
      ]),
      broken('replacement of an entry before it', [
        ['root', replace(elsewhere.entries, 3, 2)],
        ['root', anEpoch(3, [0, 1], [1])],
      ]),
      broken('replacement without an epoch', [['root', replace(elsewhere.entries, 4, 2)]]),
      broken('replacement that a device ends', [
        ['root', replace(elsewhere.entries, 4, 2)],
        [0, anEpoch(3, [0, 1], [1])],
      ]),
      broken('replacement whose epoch is not above those it replaces', [
        ['root', replace(elsewhere.entries, 4, 2)],
        ['root', anEpoch(2, [0, 1], [1])],
      ]),
      merged('fork of two members', forked, ofFirst.entries, ofSecond.entries, ''),
      merged(
        'branch of the root that does not name the head',
        forked,
        elsewhere.entries,
        written.entries,
        '',
      ),
      merged(
        'branch of the root, cut and ended by a member',
        invalid,
        ofFirst.entries,
        forge(written.entries.slice(0, 5), [1, anEpoch(4, [0, 1], [1])]),
        '',
      ),
      hostile('wrapped key is not the committed one', { wrapped: true }, ''),
      hostile('commitment is to another key', { committed: true }, ''),
      hostile('sealed key of the epoch before is wrong', { sealed: true }, ''),
      hostile('id key is not that of genesis', { id: true }, ''),
      hostile('wraps of two members swapped', { swapped: true }, ''),
      refused('no epoch yet', 'key-mismatch', [genesis, member], ''),
      refused(
        'no member',
        'key-mismatch',
        chain.entries,
        'the third device was never added',
        'third',
      ),
      refused('empty', invalid, [], ''),
      refused('genesis missing', invalid, [member, first, second], ''),
      refused('entry left out', invalid, [genesis, first, second], ''),
      refused('entries swapped', invalid, [genesis, first, member, second], ''),
      refused('entry twice', invalid, [genesis, member, member], ''),
      refused('signature changed', invalid, [genesis, member, flip(first, first.length - 1)], ''),
      refused('body changed', invalid, [genesis, flip(member, 60), first], ''),
      refused('another vault’s genesis', invalid, [flip(genesis, 80)], ''),
    ],
  )
}

const L = 2n ** 252n + 27742317777372353535851937790883648493n
const P = 2n ** 255n - 19n
const littleEndian = (value) =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))
const fromLittleEndian = (bytes) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
const sha512 = (...parts) =>
  createHash('sha512')
    .update(p.concat(...parts))
    .digest()

function ed25519() {
  const seed = drawn('ed25519')
  const { publicKey } = signingPairOf(seed)
  const clamped = sha512(seed).subarray(0, 32)
  clamped[0] &= 248
  clamped[31] = (clamped[31] & 127) | 64
  const scalar = fromLittleEndian(clamped)
  const holder = deviceKeysOf(
    new Secret('SigningSeed', seed.slice()),
    secret('KemSeed', 'ed25519 kem'),
  )
  const message = utf8('blindcopy vectors')
  const signature = holder.sign(message)
  const [R, S] = [signature.subarray(0, 32), signature.subarray(32)]
  const made = (name, expect, A, sig, comment, msg = message) => ({
    name,
    expect,
    publicKey: hex(A),
    message: hex(msg),
    signature: hex(sig),
    comment,
  })
  const challenge = (r, a, msg) => fromLittleEndian(sha512(r, a, msg)) % L
  const identity = littleEndian(1n)
  const smallPoints = [
    ['order 1', identity],
    ['order 2', littleEndian(P - 1n)],
    ['order 4', new Uint8Array(32)],
    ['order 4, sign set', littleEndian(1n << 255n)],
    [
      'order 8',
      Uint8Array.from(
        Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex'),
      ),
    ],
    [
      'order 8, sign set',
      Uint8Array.from(
        Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85', 'hex'),
      ),
    ],
    [
      'order 8, the other',
      Uint8Array.from(
        Buffer.from('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'hex'),
      ),
    ],
    [
      'order 8, the other, sign set',
      Uint8Array.from(
        Buffer.from('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa', 'hex'),
      ),
    ],
    ['order 1, sign set', flip(identity, 31, 0x80)],
  ]
  const nonCanonical = [0n, 1n, 3n, 5n, 18n].flatMap((k) => [
    [`y = p + ${k}`, littleEndian(P + k)],
    [`y = p + ${k}, sign set`, littleEndian(P + k + (1n << 255n))],
  ])
  const zero = new Uint8Array(32)
  // For R of small order, S = h·a makes the equation hold up to a point of small order.
  const withR = (r) => p.concat(r, littleEndian((challenge(r, publicKey, message) * scalar) % L))
  // A + (0, -1) = (-x, -y): a key of mixed order, with the same secret scalar.
  const y = fromLittleEndian(publicKey) & ((1n << 255n) - 1n)
  const mixed = littleEndian((P - y) | ((publicKey[31] & 0x80) === 0 ? 1n << 255n : 0n))
  const mixedCase = (parity) => {
    for (let i = 0; ; i++) {
      const msg = utf8(`mixed order ${i}`)
      const own = holder.sign(msg)
      const r =
        fromLittleEndian(own.subarray(32)) - challenge(own.subarray(0, 32), publicKey, msg) * scalar
      const rBytes = own.subarray(0, 32)
      const h = challenge(rBytes, mixed, msg)
      if (h % 2n !== parity) continue
      const s = (((r + h * scalar) % L) + L) % L
      return { msg, signature: p.concat(rBytes, littleEndian(s)) }
    }
  }
  const [even, odd] = [mixedCase(0n), mixedCase(1n)]
  const refused = (name, A, sig, comment) => made(name, 'refused', A, sig, comment)
  write(
    'ed25519',
    'Signatures on which libraries disagree, and what both ends must say: `verifies` or `refused`.',
    [
      made('valid', 'verifies', publicKey, signature, ''),
      made(
        'valid, empty message',
        'verifies',
        publicKey,
        holder.sign(new Uint8Array(0)),
        '',
        new Uint8Array(0),
      ),
      made(
        'RFC 8032, test 1',
        'verifies',
        Uint8Array.from(
          Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'),
        ),
        Uint8Array.from(
          Buffer.from(
            'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
            'hex',
          ),
        ),
        '',
        new Uint8Array(0),
      ),
      made(
        'key of mixed order, h even',
        'verifies',
        mixed,
        even.signature,
        'the equation without cofactor holds',
        even.msg,
      ),
      made(
        'key of mixed order, h odd',
        'refused',
        mixed,
        odd.signature,
        'only the equation with cofactor holds',
        odd.msg,
      ),
      refused('another message', publicKey, holder.sign(utf8('another')), ''),
      refused('R changed', publicKey, flip(signature, 0), ''),
      refused('S changed', publicKey, flip(signature, 32), ''),
      refused('S + L', publicKey, p.concat(R, littleEndian(fromLittleEndian(S) + L)), 'malleated'),
      refused('S = L', publicKey, p.concat(R, littleEndian(L)), ''),
      refused('S = L, R identity', publicKey, p.concat(identity, littleEndian(L)), ''),
      refused('S greatest', publicKey, p.concat(R, new Uint8Array(32).fill(255)), ''),
      refused('S with bit 253', publicKey, p.concat(R, flip(S, 31, 0x20)), ''),
      refused('zero key, zero signature', zero, new Uint8Array(64), ''),
      refused('cut', publicKey, signature.subarray(0, 63), ''),
      refused('grown', publicKey, p.concat(signature, Uint8Array.of(0)), ''),
      ...smallPoints.flatMap(([name, point]) => [
        refused(
          `A of ${name}`,
          point,
          p.concat(identity, zero),
          'S = 0, R identity: holds for any message in some libraries',
        ),
        refused(`R of ${name}`, publicKey, withR(point), 'S = h·a'),
        refused(`A and R of ${name}`, point, p.concat(point, zero), ''),
      ]),
      ...nonCanonical.flatMap(([name, point]) => [
        refused(`A: ${name}`, point, p.concat(identity, zero), 'not canonical'),
        refused(`R: ${name}`, publicKey, withR(point), 'not canonical'),
      ]),
    ],
  )
}

phrases()
derivations()
records()
envelopes()
wraps()
keychains()
ed25519()
