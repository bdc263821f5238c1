/**
 * Made recovery.json, once, from the compiled packages. Never run again to make a test pass: a
 * vector that fails tells of a change of format. What later programs make is added beside it.
 *
 * `random` in a case names the stream SHA-256(label ‖ 0) ‖ SHA-256(label ‖ 1) ‖ … (4-byte counters,
 * big-endian) that stood in for randomness. Shares have none: the library that splits draws for
 * itself, so these are combined, and written again from their parts, but not split again.
 */
import { writeFileSync } from 'node:fs'
import * as p from '../../packages/protocol/dist/index.js'
import { formatPhrase } from '../../packages/vault/dist/phrase.js'
import { formatArmor, parseArmor } from '../../packages/vault/dist/recovery/armor.js'
import { encodeRecoveryFileWith } from '../../packages/vault/dist/recovery/recovery-file.js'
import { recoveryKeysOf, recoveryVaultProof } from '../../packages/vault/dist/recovery/recovery-key.js'
import { formatShare, parseShare } from '../../packages/vault/dist/recovery/share.js'
import { splitSeed } from '../../packages/vault/dist/recovery/shares.js'
import { deriveRoot } from '../../packages/vault/dist/root.js'
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

const drawn = (label) => fixedRandom(label)(32)
const vaultId = p.sha256(utf8('vectors: vault'))
const seedOf = (label) => new Secret('RecoverySeed', drawn(label))

/** From the words on paper to the id of the vault, and what differs when one word does. */
function phrases() {
  return ['phrase to vault 1', 'phrase to vault 2'].flatMap((label) => {
    const bytes = drawn(label)
    const root = deriveRoot(new Secret('RootSecret', bytes.slice()))
    const phrase = formatPhrase(new Secret('RootSecret', bytes.slice()))
    const good = { kind: 'phrase', name: label, expect: 'opens', phrase, root: hex(bytes) }
    const words = phrase.split(' ')
    const swapped = [words[1], words[0], ...words.slice(2)].join(' ')
    return [
      { ...good, vaultId: hex(root.vaultId), comment: '' },
      { kind: 'phrase', name: `${label}, swapped`, expect: 'phrase-checksum', phrase: swapped },
    ]
  })
}

function keys() {
  return ['recovery seed 1', 'recovery seed 2'].flatMap((label) => {
    const seed = seedOf(label)
    const made = recoveryKeysOf(seed)
    const proof = recoveryVaultProof(seed, vaultId)
    const good = {
      kind: 'key',
      name: label,
      expect: 'derives',
      seed: hex(seed.bytes),
      vaultId: hex(vaultId),
      memberId: hex(made.memberId),
      signingKey: hex(made.signingKey),
      kemKeyHash: hex(p.sha256(made.kemKey)),
      vaultProof: hex(proof),
    }
    const { memberId, signingKey, kemKeyHash, vaultProof } = good
    return [
      good,
      {
        ...good,
        name: `${label}, a bit off`,
        expect: 'differs',
        seed: hex(flip(seed.bytes, 31)),
        memberId,
        signingKey,
        kemKeyHash,
        vaultProof,
      },
      {
        kind: 'proof',
        name: `${label}, another vault`,
        expect: 'differs',
        seed: good.seed,
        vaultId: hex(flip(vaultId, 0)),
        vaultProof,
      },
    ]
  })
}

const PASSPHRASE = 'correct horse é battery'
/** Far below the floor: opened with the bounds that `parameters` allow, refused with the real ones. */
const SMALL = { passes: 1, memoryKib: 8 }

async function files() {
  const made = async (name, label, fields) => {
    const content = {
      keychainHead: drawn(`${label} head`),
      keychainLength: 12,
      madeAtMs: 1_795_000_000_123,
      remote: 'https://sync.example.org/blindcopy',
      ...fields,
    }
    const seed = seedOf(label)
    const file = { seed, vaultId, ...content }
    const text = await encodeRecoveryFileWith(SMALL, file, PASSPHRASE, fixedRandom(label))
    return {
      kind: 'file',
      name,
      expect: 'opens',
      parameters: SMALL,
      passphrase: PASSPHRASE,
      random: label,
      seed: hex(seed.bytes),
      vaultId: hex(vaultId),
      ...content,
      keychainHead: hex(content.keychainHead),
      text,
    }
  }
  const good = [
    await made('key file', 'key file 1', {}),
    await made('no address', 'key file 2', { remote: '', keychainLength: 0, madeAtMs: 0 }),
    await made('longest', 'key file 3', {
      remote: 'é'.repeat(256),
      keychainLength: 2 ** 32 - 1,
      madeAtMs: Number.MAX_SAFE_INTEGER,
    }),
  ]
  const { text } = good[0]
  const { bytes } = parseArmor(text)
  const lines = text.split('\n')
  const spelled = { ...good[0], name: 'as mail has it', random: undefined }
  spelled.text = `Hello,\r\n${lines.map((line) => `> ${line} `).join('\r\n')}`
  const refused = (name, expect, changed, passphrase = PASSPHRASE) => ({
    kind: 'file',
    name,
    expect,
    parameters: SMALL,
    passphrase,
    text: changed,
  })
  const mended = (body) =>
    formatArmor(
      p.concat(body, p.sha256(p.concat(utf8('blindcopy.recovery-file-checksum.v1'), body))),
    )
  const body = bytes.slice(0, -32)
  return [
    ...good,
    spelled,
    refused('another passphrase', 'passphrase-wrong', text, 'correct horse e battery'),
    refused('no passphrase', 'passphrase-required', text, ''),
    refused('a character changed', 'recovery-file-damaged', formatArmor(flip(bytes, 100))),
    refused('a line missing', 'recovery-file-damaged', lines.toSpliced(3, 1).join('\n')),
    refused('cut', 'recovery-file-damaged', text.slice(0, 300)),
    refused('of another version', 'recovery-newer', mended(body.with(8, 2))),
    refused('more memory, mended', 'parameters-refused', mended(body.with(15, 1))),
    refused('another salt, mended', 'passphrase-wrong', mended(flip(body, 20))),
    refused('another box, mended', 'recovery-file-damaged', mended(flip(body, 100))),
    refused('a phrase', 'recovery-kind-wrong', phrases()[0].phrase),
    refused('a bundle', 'recovery-kind-wrong', 'bcbundle'),
  ]
}

async function shares() {
  const made = async (label, threshold, count) => {
    const seed = seedOf(label)
    const split = await splitSeed({ seed, threshold, count, random: fixedRandom(label) })
    return { seed: hex(seed.bytes), words: split.map(({ words }) => words) }
  }
  const [two, three] = [await made('shares 1', 2, 3), await made('shares 2', 3, 5)]
  const most = await made('shares 3', 2, 16)
  const combined = (name, expect, words, seed) => ({ kind: 'shares', name, expect, seed, words })
  const [a, b, c] = two.words
  const changed = (words, change) => formatShare({ ...parseShare(words), ...change })
  const list = a.split(' ')
  return [
    combined('2 of 3', 'opens', [a, b], two.seed),
    combined('all, one twice', 'opens', [c, b, a, b], two.seed),
    combined('3 of 5', 'opens', [three.words[4], three.words[0], three.words[2]], three.seed),
    combined('2 of 16', 'opens', [most.words[15], most.words[7].toUpperCase()], most.seed),
    combined('none', 'shares-too-few', []),
    combined('one of two', 'shares-too-few', [b, b]),
    combined('two of three', 'shares-too-few', three.words.slice(0, 2)),
    combined('of two sets', 'shares-mixed', [a, three.words[0], c]),
    combined('one changed, its checksum mended', 'shares-mixed', [
      a,
      changed(b, { part: flip(parseShare(b).part, 5) }),
    ]),
    combined(
      'threshold lowered',
      'shares-mixed',
      three.words.slice(0, 2).map((words) => changed(words, { threshold: 2 })),
    ),
    combined('one number twice', 'shares-conflict', [a, changed(b, { number: 1 })]),
    combined('point 0', 'share-malformed', [
      a,
      changed(b, { part: parseShare(b).part.with(36, 0) }),
    ]),
    combined('two words swapped', 'share-checksum', [
      list.with(0, list[4]).with(4, list[0]).join(' '),
      b,
    ]),
    combined('a word missing', 'share-malformed', [list.slice(1).join(' '), b]),
    combined('an unlisted word', 'share-malformed', [list.with(9, 'blindcopy').join(' '), b]),
  ]
}

const cases = [...phrases(), ...keys(), ...(await files()), ...(await shares())]
writeFileSync(
  new URL('recovery.json', import.meta.url),
  `${JSON.stringify(
    {
      description:
        'Phrase to vault id, recovery keys, key files (with parameters far below the floor) and shares.',
      cases,
    },
    null,
    2,
  )}\n`,
)
