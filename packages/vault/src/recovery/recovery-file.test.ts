/**
 * A key file gives back what was put in, in whatever form the text comes back, and tells a wrong
 * passphrase, damage, another kind of file and later versions apart. Argon2id with the real
 * parameters takes a second and 256 MiB: one test does it, the others use small ones.
 */
import {
  concat,
  encodeUint32,
  encodeUtf8,
  equalBytes,
  formatHex,
  sha256,
} from '@blindcopy/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VaultError } from '../error.ts'
import { encodeDeviceKeyFile } from '../key-file.ts'
import { formatPhrase, generateRootSecret } from '../phrase.ts'
import { pooledRandom } from '../random.ts'
import { codeOf, codeOfAsync, fixedRandom, foundTestVault } from '../vault.fixture.ts'
import { formatArmor, parseArmor } from './armor.ts'
import {
  decodeRecoveryFile,
  decodeRecoveryFileWithin,
  encodeRecoveryFile,
  encodeRecoveryFileWith,
  inspectRecoveryFile,
  RECOVERY_FILE_BOUNDS,
  type RecoveryFile,
} from './recovery-file.ts'
import { generateRecoverySeed } from './recovery-key.ts'
import { recoveryKindOf } from './recovery-kind.ts'
import { splitSeed } from './shares.ts'

const numRuns = process.env.SLOW === '1' ? 2_000 : 100
const random = pooledRandom()
const { root, device } = foundTestVault('recovery file')
const SMALL = { passes: 1, memoryKib: 8 }
const SMALL_BOUNDS = { floor: SMALL, ceiling: { passes: 4, memoryKib: 64 } }
const PASSPHRASE = 'correct horse é battery'
const REMOTE = 'https://sync.example.org/blindcopy'
const CHECKSUM_LABEL = encodeUtf8('blindcopy.recovery-file-checksum.v1')

const file: RecoveryFile = {
  seed: generateRecoverySeed(fixedRandom('recovery file')),
  vaultId: root.vaultId,
  keychainHead: sha256(encodeUtf8('head')),
  keychainLength: 4711,
  madeAtMs: 1_795_000_000_123,
  remote: REMOTE,
}
const encodeSmall = (changed: Partial<RecoveryFile> = {}, passphrase = PASSPHRASE) =>
  encodeRecoveryFileWith(SMALL, { ...file, ...changed }, passphrase, random)
const decodeSmall = (text: string, passphrase = PASSPHRASE) =>
  decodeRecoveryFileWithin(SMALL_BOUNDS, text, passphrase)
const whole = await encodeSmall()
const bytes = parseArmor(whole).bytes

/** What someone who can write the file would do after changing it. */
function withGoodChecksum(changed: Uint8Array): string {
  const body = changed.subarray(0, changed.length - 32)
  return formatArmor(concat(body, sha256(concat(CHECKSUM_LABEL, body))))
}

function expectSame(found: RecoveryFile, expected = file): void {
  expect(equalBytes(found.seed.bytes, expected.seed.bytes)).toBe(true)
  expect(formatHex(found.vaultId)).toBe(formatHex(expected.vaultId))
  expect(formatHex(found.keychainHead)).toBe(formatHex(expected.keychainHead))
  const { keychainLength, madeAtMs, remote } = found
  expect({ keychainLength, madeAtMs, remote }).toEqual({
    keychainLength: expected.keychainLength,
    madeAtMs: expected.madeAtMs,
    remote: expected.remote,
  })
}

async function refusalOf(text: string, passphrase = PASSPHRASE): Promise<VaultError> {
  const error = await decodeSmall(text, passphrase).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(VaultError)
  expect((error as Error).message).not.toContain(passphrase || '\0')
  return error as VaultError
}

describe('a key file with real parameters', () => {
  it('gives back its content, and refuses another passphrase', async () => {
    const text = await encodeRecoveryFile(file, PASSPHRASE, random)
    expect(inspectRecoveryFile(text)).toMatchObject({ version: 1, passes: 3, memoryKib: 262_144 })
    expectSame(await decodeRecoveryFile(text, PASSPHRASE))
    expect(await codeOfAsync(decodeRecoveryFile(text, `${PASSPHRASE} `))).toBe('passphrase-wrong')
  }, 60_000)
})

describe('a key file', () => {
  it('gives back any content', async () => {
    const law = fc.asyncProperty(
      fc.nat(0xffff_ffff),
      fc.nat(2 ** 48),
      fc.string({ unit: 'binary', maxLength: 128 }),
      async (keychainLength, madeAtMs, address) => {
        const remote = address.toWellFormed()
        const content = { ...file, keychainLength, madeAtMs, remote }
        expectSame(await decodeSmall(await encodeSmall(content)), content)
      },
    )
    await fc.assert(law, { numRuns: 30 })
  }, 60_000)

  it('holds none of it in the open, and has one size for addresses alike', async () => {
    const text = formatHex(bytes)
    for (const secret of [file.seed.bytes, file.vaultId, file.keychainHead, encodeUtf8(REMOTE)]) {
      expect(text).not.toContain(formatHex(secret))
    }
    const lengths = ['x'.repeat(19), 'https://a.example.org', 'x'.repeat(82)].map((remote) =>
      encodeSmall({ remote }),
    )
    expect(new Set((await Promise.all(lengths)).map((made) => made.length)).size).toBe(1)
  })

  it('takes an address of 512 bytes and no more', async () => {
    expectSame(await decodeSmall(await encodeSmall({ remote: 'é'.repeat(256) })), {
      ...file,
      remote: 'é'.repeat(256),
    })
    expect(await codeOfAsync(encodeSmall({ remote: 'é'.repeat(257) }))).toBe('too-large')
  })

  it('is taken as mail, printers and editors give it back', async () => {
    const lines = whole.trimEnd().split('\n')
    for (const text of [
      whole.replaceAll('\n', '\r\n'),
      whole.trimEnd(),
      `\ufeff${whole}`,
      `Keep this safe.\n\n${whole}\n-- \nFound among my papers\n`,
      lines.map((line) => `> ${line}  `).join('\n'),
      lines
        .map((line) => (line.startsWith('-') ? line : `\t${line.replace(/(.{7})/g, '$1 ')}`))
        .join('\n\n'),
      whole.replaceAll('-----', '\u2014\u2014').replaceAll(' KEY FILE', ' key file'),
      [...whole].join('\0'),
      lines.slice(0, -1).join('\n'),
      `${lines.slice(0, -1).join('\n')}\nwritten down by hand, the last line is gone!`,
      [lines[0], lines.slice(1, -1).join(''), lines.at(-1)].join('\n'),
    ]) {
      expectSame(await decodeSmall(text))
    }
  })

  it('is under a passphrase of at least 8 characters', async () => {
    for (const [passphrase, code] of [
      ['', 'passphrase-required'],
      ['1234567', 'passphrase-weak'],
      ['  1234567  ', 'passphrase-weak'],
      ['        ', 'passphrase-weak'],
      ['e\u0301'.repeat(7), 'passphrase-weak'],
      ['12345678', undefined],
      ['\u{1f511}'.repeat(8), undefined],
    ] as const) {
      expect(await codeOfAsync(encodeSmall({}, passphrase))).toBe(code)
    }
  })

  it('tells a missing and a wrong passphrase', async () => {
    expectSame(await decodeSmall(whole, PASSPHRASE.normalize('NFD')))
    expect((await refusalOf(whole, '')).code).toBe('passphrase-required')
    expect((await refusalOf(whole, 'x')).code).toBe('passphrase-wrong')
  })
})

describe('a damaged key file', () => {
  it('is told, whatever the passphrase, when any character is changed', async () => {
    const start = whole.indexOf('\n') + 1
    const characters = [...whole.slice(start, whole.lastIndexOf('\n-----'))]
    for (const [i, character] of characters.entries()) {
      if (character === '\n' || character === '=') continue
      const other = character === 'A' ? 'B' : 'A'
      const text = whole.slice(0, start + i) + other + whole.slice(start + i + 1)
      expect((await refusalOf(text, 'wrong')).code).toBe('recovery-file-damaged')
      expect(codeOf(() => inspectRecoveryFile(text))).toBe('recovery-file-damaged')
    }
  })

  it('is told as cut wherever it is cut, unless only marks are gone', async () => {
    const end = whole.indexOf('\n-----END')
    for (let at = whole.indexOf('\n'); at < end - 3; at++) {
      const error = await refusalOf(whole.slice(0, at))
      expect(error.code).toBe('recovery-file-damaged')
      expect(error.message).toContain('looks cut')
    }
    const lines = whole.split('\n')
    const error = await refusalOf([...lines.slice(0, 3), ...lines.slice(4)].join('\n'))
    expect(error.message).toMatch(/looks cut, lines are missing: \d+ of \d+ bytes/)
    const headless = await refusalOf(lines.slice(1).join('\n'))
    expect(headless.message).toContain('first line is missing')
  })

  it('names the line of a character that does not belong', async () => {
    const lines = whole.split('\n')
    const error = await refusalOf(lines.with(2, `${lines[2]}?`).join('\n'))
    expect(error.code).toBe('recovery-file-damaged')
    expect(error.message).toContain('line 3 ')
  })

  it('is told when it is longer, or of another magic, version or size', async () => {
    for (const changed of [
      concat(bytes, new Uint8Array(3)),
      bytes.with(0, 0x41),
      bytes.with(8, 0),
      bytes.with(10, (bytes[10] as number) - 64),
      bytes.with(10, (bytes[10] as number) + 1),
      concat(bytes.subarray(0, 9), Uint8Array.of(0, 50), bytes.subarray(11, 50)),
    ]) {
      expect((await refusalOf(withGoodChecksum(changed))).code).toBe('recovery-file-damaged')
    }
  })

  it('never opens when it was changed by someone who mended its checksum', async () => {
    for (let offset = 11; offset < bytes.length - 32; offset++) {
      const changed = bytes.with(offset, (bytes[offset] as number) ^ 1)
      const { code } = await refusalOf(withGoodChecksum(changed))
      if (offset < 19) expect(code).toMatch(/^(parameters-refused|passphrase-wrong)$/)
      else expect(code).toBe(offset < 67 ? 'passphrase-wrong' : 'recovery-file-damaged')
    }
  })

  it('gives a coded error for any text, quickly', async () => {
    const law = fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
      const armored = `-----BEGIN BLINDCOPY KEY FILE-----\n${text}`
      for (const given of [text, armored, formatArmor(encodeUtf8(text))]) {
        expect((await refusalOf(given)).code).toMatch(/^recovery-(file-damaged|kind-wrong)$/)
      }
    })
    await fc.assert(law, { numRuns })
    for (const endless of ['-', '=', '\n', ' ', 'A', 'BEGIN ', '>', '=\nA']) {
      const text = `BEGIN BLINDCOPY KEY FILE${endless.repeat(500_000)}`
      expect((await refusalOf(text)).code).toBe('recovery-file-damaged')
    }
  })
})

describe('a file of another kind, or of a later version', () => {
  it('is told by what it is', async () => {
    const [share] = await splitSeed({ seed: file.seed, threshold: 2, count: 2, random })
    const phrase = formatPhrase(generateRootSecret(random))
    const deviceFile = await encodeDeviceKeyFile(
      { deviceKeys: device, vaultId: root.vaultId },
      {},
      random,
    )
    const text = new TextDecoder('latin1').decode(deviceFile)
    for (const [given, kind, said] of [
      [share?.words as string, 'share', 'a share'],
      [phrase, 'phrase', 'a recovery phrase'],
      [phrase.split(' ').slice(2).join('\n'), 'phrase', 'a recovery phrase'],
      [text, 'device-key-file', 'of a device'],
      ['bcbundle\u0000', 'bundle', 'a bundle'],
      ['bcbackup\u0000', 'vault-backup', 'a vault backup'],
      ['\n<!DOCTYPE html><html>', 'page', 'emergency kit'],
      ['', 'unknown', 'something else'],
      ['-----BEGIN PGP MESSAGE-----', 'unknown', 'something else'],
      ['the quick brown fox '.repeat(6), 'unknown', 'something else'],
      [`${whole}\n${whole}`, 'several', 'several'],
    ] as const) {
      const error = await refusalOf(given)
      expect(error.code).toBe('recovery-kind-wrong')
      expect(error.details).toEqual({ kind })
      expect(error.message).toContain(said)
      if (kind !== 'several') expect(recoveryKindOf(given)).toBe(kind)
    }
    expect(recoveryKindOf(whole)).toBe('recovery-file')
  })

  it('is told as newer, not as damaged', async () => {
    const newer = withGoodChecksum(bytes.with(8, 2))
    expect((await refusalOf(newer)).code).toBe('recovery-newer')
    expect(codeOf(() => inspectRecoveryFile(newer))).toBe('recovery-newer')
  })
})

describe('the parameters of a key file', () => {
  it('are refused below the floor and above the ceiling, at the limit and one beyond', () => {
    const { floor, ceiling } = RECOVERY_FILE_BOUNDS
    const codeWith = (passes: number, memoryKib: number) => {
      const changed = bytes.slice()
      changed.set(concat(encodeUint32(passes), encodeUint32(memoryKib)), 11)
      return codeOf(() => inspectRecoveryFile(withGoodChecksum(changed)))
    }
    for (const [passes, memoryKib] of [
      [floor.passes - 1, floor.memoryKib],
      [floor.passes, floor.memoryKib - 1],
      [ceiling.passes + 1, floor.memoryKib],
      [floor.passes, ceiling.memoryKib + 1],
      [0xffff_ffff, 0xffff_ffff],
      [0, 0],
    ] as const) {
      expect(codeWith(passes, memoryKib)).toBe('parameters-refused')
    }
    expect(codeWith(floor.passes, floor.memoryKib)).toBeUndefined()
    expect(codeWith(ceiling.passes, ceiling.memoryKib)).toBeUndefined()
  })
})
