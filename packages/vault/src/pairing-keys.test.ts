/** Codes and words in every form; and messages that open only where they were meant for. */
import {
  concat,
  encodePairingMessage,
  encodeUtf8,
  formatBase64Url,
  type Hash,
  type KemPublicKey,
  type MailboxSlot,
  type PairingMessage,
  type PairingTranscript,
  pairingCommitment,
  pairingDigits,
  pairingTranscript,
  type Signature,
  type SigningPublicKey,
  slotOf,
  type VaultId,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatPairingCode, parsePairingCode } from './pairing-code.ts'
import {
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  pairingKeysOfWords,
  sealPairingMessage,
} from './pairing-keys.ts'
import { generatePairingWords, parsePairingWords } from './pairing-words.ts'
import { Secret } from './secret.ts'
import { codeOf, fixedRandom } from './vault.fixture.ts'

const ORIGIN = 'https://sync.example'
const random = fixedRandom('pairing')
const codeSecret = (fill: number) => new Secret('PairingCodeSecret', new Uint8Array(16).fill(fill))
const keysOf = (fill: number, origin = ORIGIN) => pairingKeysOfCode(codeSecret(fill), origin)

const INVITE = {
  type: 'invite',
  vaultId: random(32) as VaultId,
  keychainHead: random(32) as Hash,
  keychainLength: 3,
  signingKey: random(32) as SigningPublicKey,
  kemKey: random(1216) as KemPublicKey,
  commitment: random(32) as Hash,
} as const
const JOIN = {
  type: 'join',
  signingKey: random(32) as SigningPublicKey,
  kemKey: random(1216) as KemPublicKey,
  proof: random(64) as Signature,
  name: 'the phone',
  nonce: random(32),
} as const
const MESSAGES: readonly PairingMessage[] = [
  INVITE,
  JOIN,
  { type: 'reveal', nonce: random(32) },
  { type: 'approve', keychainHead: random(32) as Hash, checkpoint: random(300) },
  { type: 'approve', keychainHead: random(32) as Hash, checkpoint: null },
  { type: 'deny', reason: 'declined' },
]
const SLOTS: readonly MailboxSlot[] = [0, 1, 2, 3]

describe('a pairing code', () => {
  const code = formatPairingCode({ secret: codeSecret(5), remote: ORIGIN })

  it('is read as it was written, and as chats and scanners spoil it', () => {
    for (const text of [
      code,
      `  ${code}\n`,
      `${code.slice(0, 30)}\n${code.slice(30)}`,
      code.replace('blindcopy-pair', 'BLINDCOPY-PAIR'),
    ]) {
      const { secret, remote } = parsePairingCode(text)
      expect([...secret.bytes]).toEqual(new Array(16).fill(5))
      expect(remote).toBe(ORIGIN)
    }
  })

  it('is refused when it is anything else, and the refusal repeats nothing of it', () => {
    const bytes = (version: number, ...parts: readonly Uint8Array[]): string =>
      formatBase64Url(concat(Uint8Array.of(version), ...parts))
    const secret = new Uint8Array(16).fill(5)
    for (const text of [
      '',
      'https://sync.example',
      'blindcopy-pair:',
      `blindcopy-pair:${bytes(1, secret)}`,
      `blindcopy-pair:${bytes(2, secret, encodeUtf8(ORIGIN))}`,
      `blindcopy-pair:${bytes(1, secret, Uint8Array.of(0xff, 0xfe))}`,
      `${code}!`,
      `${code}=`,
      `blindcopy-pair:${'A'.repeat(2_000)}`,
      code.slice(0, 20),
    ]) {
      expect(
        codeOf(() => parsePairingCode(text)),
        text,
      ).toBe('pairing-code-malformed')
      try {
        parsePairingCode(text)
      } catch (error) {
        const { message, cause } = error as Error
        expect(cause).toBeUndefined()
        expect(message).not.toContain('BQUF')
      }
    }
  })

  it('is read back whatever it holds, and arbitrary text is a code or refused with one code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.webUrl(), (bytes, remote) => {
        const secret = new Secret('PairingCodeSecret', bytes.slice())
        const parsed = parsePairingCode(formatPairingCode({ secret, remote }))
        expect([...parsed.secret.bytes]).toEqual([...bytes])
        expect(parsed.remote).toBe(remote)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect([undefined, 'pairing-code-malformed']).toContain(
          codeOf(() => parsePairingCode(text)),
        )
        const scheme = `blindcopy-pair:${text}`
        expect([undefined, 'pairing-code-malformed']).toContain(
          codeOf(() => parsePairingCode(scheme)),
        )
      }),
    )
  })
})

describe('pairing words', () => {
  it('are six of the list, each of 2,048 as likely', () => {
    const seen = new Set<string>()
    const draw = fixedRandom('words')
    for (let i = 0; i < 2_000; i++) {
      const words = generatePairingWords(draw)
      expect(parsePairingWords(words)).toBe(words)
      for (const word of words.split(' ')) seen.add(word)
    }
    expect(seen.size).toBeGreaterThan(2_000)
  })

  it('are read in any case and spacing, numbered, or by their first four letters', () => {
    const words = 'zoo abandon zebra canal wolf abstract'
    for (const text of [
      ` ${words.toUpperCase()} \n`,
      words.replaceAll(' ', ', '),
      words.replaceAll(' ', '-'),
      '1. zoo 2. aban 3. zebr 4. cana 5. wolf 6. abst',
    ]) {
      expect(parsePairingWords(text)).toBe(words)
    }
  })

  it('are refused with the place of what is wrong', () => {
    const refusal = (text: string) => {
      expect(codeOf(() => parsePairingWords(text))).toBe('pairing-code-malformed')
      try {
        return parsePairingWords(text)
      } catch (error) {
        return (error as Error).message
      }
    }
    expect(refusal('zoo abandon zebra canal wolf')).toContain('these are 5')
    expect(refusal('zoo abandon zebra canal wolf zoo zoo')).toContain('these are 7')
    expect(refusal('zoo abandon zebra canoo wolf zoo')).toMatch(/^word 4 .*"canoe"/)
    expect(refusal('')).toContain('these are 0')
  })
})

describe('pairing keys', () => {
  const hexOf = ({ mailboxId, sealingKey }: PairingKeys) => [
    formatBase64Url(mailboxId),
    formatBase64Url(sealingKey.bytes),
  ]

  it('are the same on both ends, and others for another secret, origin or form', async () => {
    expect(hexOf(keysOf(1))).toEqual(hexOf(keysOf(1)))
    const words = 'zoo abandon zebra canal wolf abstract'
    const sets = [
      keysOf(1),
      keysOf(2),
      keysOf(1, 'https://other.example'),
      await pairingKeysOfWords(words, ORIGIN),
      await pairingKeysOfWords(words, 'https://other.example'),
      await pairingKeysOfWords(words.replace('zoo', 'zone'), ORIGIN),
    ].flatMap(hexOf)
    expect(new Set(sets).size).toBe(12)
    expect(hexOf(await pairingKeysOfWords(words, ORIGIN))).toEqual(sets.slice(6, 8))
  })

  it('leave nothing of the secret of the code behind', () => {
    const secret = codeSecret(3)
    pairingKeysOfCode(secret, ORIGIN)
    expect(() => secret.bytes).toThrow()
  })
})

describe('a sealed pairing message', () => {
  const keys = keysOf(1)
  const seal = (message: PairingMessage) => sealPairingMessage(message, keys, random)

  it('opens to what was said, in its own slot and mailbox alone', () => {
    for (const message of MESSAGES) {
      const sealed = seal(message)
      expect(openPairingMessage(sealed, slotOf(message), keys)).toEqual(message)
      for (const slot of SLOTS.filter((other) => other !== slotOf(message))) {
        expect(codeOf(() => openPairingMessage(sealed, slot, keys))).toBe('tampered')
      }
      const other = { ...keys, mailboxId: keysOf(2).mailboxId }
      expect(codeOf(() => openPairingMessage(sealed, slotOf(message), other))).toBe('tampered')
      expect(codeOf(() => openPairingMessage(sealed, slotOf(message), keysOf(2)))).toBe('tampered')
    }
  })

  it('is refused with any byte changed, cut or grown', () => {
    for (const message of MESSAGES) {
      const sealed = seal(message)
      const open = (bytes: Uint8Array) =>
        codeOf(() => openPairingMessage(bytes, slotOf(message), keys))
      for (let at = 0; at < sealed.length; at++) {
        const flipped = sealed.with(at, (sealed[at] as number) ^ (1 << (at % 8)))
        expect(open(flipped), String(at)).toBe('tampered')
      }
      for (const bytes of [sealed.subarray(1), sealed.subarray(0, -1), new Uint8Array(0)]) {
        expect(open(bytes)).toBe('tampered')
      }
      expect(open(Uint8Array.of(...sealed, 0))).toBe('tampered')
    }
  })

  it('has one size for all that is short: neither a name nor a verdict shows', () => {
    const sizes = MESSAGES.map((message) => seal(message).length)
    expect(new Set(sizes)).toEqual(new Set([2_048 + 40]))
    const long = seal({ ...JOIN, name: 'n'.repeat(254) })
    expect(long.length).toBe(2_048 + 40)
  })

  it('takes a name at its limit and refuses one beyond', () => {
    expect(() => encodePairingMessage({ ...JOIN, name: 'é'.repeat(127) })).not.toThrow()
    expect(codeOf(() => seal({ ...JOIN, name: 'é'.repeat(128) }))).toBe('too-large')
    const checkpoint = new Uint8Array(8 * 1024)
    const approve = { type: 'approve', keychainHead: INVITE.keychainHead } as const
    expect(seal({ ...approve, checkpoint }).length).toBeLessThan(16 * 1024)
    expect(codeOf(() => seal({ ...approve, checkpoint: new Uint8Array(8 * 1024 + 1) }))).toBe(
      'too-large',
    )
  })
})

describe('the digits', () => {
  const transcript: PairingTranscript = {
    mailboxId: keysOf(1).mailboxId,
    invite: INVITE,
    join: JOIN,
    nonce: random(32),
  }

  it('are six, and follow from the transcript', () => {
    const digits = pairingDigits(pairingTranscript(transcript))
    expect(digits).toMatch(/^\d{6}$/)
    expect(pairingDigits(pairingTranscript(structuredClone(transcript)))).toBe(digits)
    expect(pairingDigits(new Uint8Array(32) as Uint8Array as Hash)).toBe('000000')
    expect(pairingDigits(new Uint8Array(32).fill(255) as Uint8Array as Hash)).toBe('710655')
  })

  it('are those of another transcript when any part is another', () => {
    const before = formatBase64Url(pairingTranscript(transcript))
    const changed = [
      ...changesOf(transcript.invite).map((invite) => ({ ...transcript, invite })),
      ...changesOf(transcript.join).map((join) => ({ ...transcript, join })),
      ...changesOf({ nonce: transcript.nonce }).map((part) => ({ ...transcript, ...part })),
      ...changesOf({ mailboxId: transcript.mailboxId }).map((part) => ({ ...transcript, ...part })),
    ] as PairingTranscript[]
    const hashes = changed.map((other) => formatBase64Url(pairingTranscript(other)))
    expect(changed.length).toBeGreaterThan(30)
    expect(new Set([before, ...hashes]).size).toBe(changed.length + 1)
  })

  it('agree exactly when two transcripts do, as far as six digits can say', () => {
    const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
    const arbitrary = fc.record({ nonce: bytes(32), name: fc.string({ maxLength: 40 }) })
    fc.assert(
      fc.property(arbitrary, arbitrary, (a, b) => {
        const hashOf = ({ nonce, name }: typeof a) =>
          formatBase64Url(pairingTranscript({ ...transcript, nonce, join: { ...JOIN, name } }))
        const isSame = a.name === b.name && formatBase64Url(a.nonce) === formatBase64Url(b.nonce)
        expect(hashOf(a) === hashOf(b)).toBe(isSame)
        expect(hashOf(a)).toBe(hashOf(structuredClone(a)))
      }),
    )
  })

  it('are evenly spread', () => {
    const counts = new Array<number>(10).fill(0)
    for (let i = 0; i < 5_000; i++) {
      const digits = pairingDigits(random(32) as Hash)
      for (const digit of digits) counts[Number(digit)] = (counts[Number(digit)] ?? 0) + 1
    }
    for (const count of counts) expect(Math.abs(count - 3_000)).toBeLessThan(300)
  })
})

describe('the commitment', () => {
  it('is of one nonce and one vault', () => {
    const nonce = random(32)
    const own = pairingCommitment(INVITE.vaultId, nonce)
    const others = [
      pairingCommitment(INVITE.vaultId, random(32)),
      pairingCommitment(random(32) as VaultId, nonce),
    ].map(formatBase64Url)
    expect(others).not.toContain(formatBase64Url(own))
  })
})

/** The object with one part after the other changed: a bit of bytes, a letter, a number. */
function changesOf<T extends object>(parts: T): T[] {
  return Object.entries(parts).flatMap(([name, part]): T[] => {
    if (part instanceof Uint8Array) {
      return [0, 7, part.length - 1].map((at) => ({
        ...parts,
        [name]: part.with(at, (part[at] as number) ^ 1),
      }))
    }
    if (typeof part === 'number') return [{ ...parts, [name]: part + 1 }]
    return name === 'name' ? [{ ...parts, [name]: `${part} ` }] : []
  })
}
