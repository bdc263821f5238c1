/**
 * The vectors of pairing through the code: what opens, opens to what is written and is made again
 * byte for byte; what is refused, is refused with its code. Never generate a vector again to make
 * this pass.
 */
import { readFileSync } from 'node:fs'
import {
  decodePairingMessage,
  encodePairingMessage,
  formatHex,
  isCommittedNonce,
  type MailboxId,
  type MailboxSlot,
  type PairingInvite,
  type PairingJoin,
  pairingDigits,
  pairingTranscript,
} from '@blindcopy/protocol'
import { describe, expect, it } from 'vitest'
import { formatPairingCode, parsePairingCode } from './pairing-code.ts'
import {
  openPairingMessage,
  type PairingKeys,
  pairingKeysOfCode,
  pairingKeysOfWords,
  sealPairingMessage,
} from './pairing-keys.ts'
import { parsePairingWords } from './pairing-words.ts'
import { Secret } from './secret.ts'
import { codeOf, fixedRandom } from './vault.fixture.ts'

type Vector = { kind: string; expect: string; comment: string } & Record<string, string>

const url = new URL('../../../test/vectors/pairing.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(url, 'utf8')) as { cases: Vector[] }
const ofKind = (kind: string): Vector[] => cases.filter((vector) => vector.kind === kind)
const bytesOf = (hex: string | undefined): Uint8Array =>
  Uint8Array.from(Buffer.from(hex ?? '', 'hex'))
const keysOf = ({ mailboxId, sealingKey }: Vector): PairingKeys => ({
  mailboxId: bytesOf(mailboxId) as MailboxId,
  sealingKey: new Secret('BoxKey', bytesOf(sealingKey)),
})
const slotOf = ({ slot }: Vector): MailboxSlot => Number(slot) as MailboxSlot

describe('pairing.json', () => {
  it('holds at least as many refusals as successes', () => {
    const successes = cases.filter(({ expect: expected }) =>
      ['opens', 'derives'].includes(expected),
    )
    expect(successes.length).toBeGreaterThan(8)
    expect(cases.length - successes.length).toBeGreaterThanOrEqual(successes.length)
  })

  it.each(ofKind('code'))('code $comment: $expect', (vector) => {
    const parse = () => parsePairingCode(vector.code ?? '')
    if (vector.expect !== 'opens') return expect(codeOf(parse)).toBe(vector.expect)
    const { secret, remote } = parse()
    expect([formatHex(secret.bytes), remote]).toEqual([vector.secret, vector.remote])
    expect(parsePairingCode(formatPairingCode({ secret, remote })).remote).toBe(remote)
  })

  it.each(ofKind('words'))('words $comment: $expect', (vector) => {
    const parse = () => parsePairingWords(vector.text ?? '')
    if (vector.expect !== 'opens') return expect(codeOf(parse)).toBe(vector.expect)
    expect(parse()).toBe(vector.words)
  })

  it.each(ofKind('keys'))('keys $comment: $expect', async (vector) => {
    const { secret, words, origin = '' } = vector
    const keys =
      words === undefined
        ? pairingKeysOfCode(new Secret('PairingCodeSecret', bytesOf(secret)), origin)
        : await pairingKeysOfWords(words, origin)
    const isSame = vector.expect === 'derives'
    expect(formatHex(keys.mailboxId) === vector.mailboxId).toBe(isSame)
    expect(formatHex(keys.sealingKey.bytes) === vector.sealingKey).toBe(isSame)
  })

  it.each(ofKind('message'))('message $name $comment: $expect', (vector) => {
    const keys = keysOf(vector)
    const open = () => openPairingMessage(bytesOf(vector.sealed), slotOf(vector), keys)
    if (vector.expect !== 'opens') return expect(codeOf(open)).toBe(vector.expect)
    const message = open()
    expect(formatHex(encodePairingMessage(message))).toBe(vector.plain)
    const again = sealPairingMessage(message, keys, fixedRandom(vector.random ?? ''))
    expect(formatHex(again)).toBe(vector.sealed)
  })

  it.each(ofKind('form'))('form $comment: $expect', (vector) => {
    expect(codeOf(() => decodePairingMessage(slotOf(vector), bytesOf(vector.plain)))).toBe(
      vector.expect,
    )
  })

  it.each(ofKind('digits'))('digits $comment: $expect', (vector) => {
    const invite = decodePairingMessage(0, bytesOf(vector.invite)) as PairingInvite
    const join = decodePairingMessage(1, bytesOf(vector.join)) as PairingJoin
    const nonce = bytesOf(vector.nonce)
    expect(isCommittedNonce(invite, nonce)).toBe(true)
    const mailboxId = bytesOf(vector.mailboxId) as MailboxId
    const transcript = pairingTranscript({ mailboxId, invite, join, nonce })
    const isSame = vector.expect === 'derives'
    expect(formatHex(transcript) === vector.transcript).toBe(isSame)
    expect(pairingDigits(transcript) === vector.digits).toBe(isSame)
  })
})
