/**
 * Drives test/vectors/{hlc,cbor,value,message,frame,log}.json: what is frozen for every
 * implementation. When a case fails, the code is wrong, not the vector (generate-protocol.mjs).
 */

import { deepStrictEqual } from 'node:assert'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { concat, formatHex } from './bytes.ts'
import { decodeCbor, decodeFieldsCbor } from './codec.ts'
import { encodeFrame, FrameReader } from './frame.ts'
import { formatCursor, parseCursor } from './header.ts'
import { clockOf, encodeTimestamp, parseClock, parseTimestamp, tick } from './hlc.ts'
import { parseHash, parseMemberId, parseVaultId } from './ids.ts'
import { chainNext, chainStart, Fingerprint, keychainDigest, transactionDigest } from './log.ts'
import { MESSAGES } from './message.ts'
import { parseMessage } from './message-check.ts'
import { decodeValue, encodeValue } from './value.ts'

type Case = { readonly name: string; readonly expect: string } & Readonly<Record<string, unknown>>

/** The cases of one file; `drive` throws what the code throws, and checks what it gives. */
function describeVectors(file: string, drive: (one: Case) => void): void {
  const url = new URL(`../../../test/vectors/${file}.json`, import.meta.url)
  const { cases } = JSON.parse(readFileSync(url, 'utf8')) as { cases: Case[] }
  describe(`test/vectors/${file}.json`, () => {
    it('has at least as many refusals as successes', () => {
      const successes = cases.filter((one) => one.expect === 'ok' || one.expect === 'cut')
      expect(cases.length).toBeGreaterThanOrEqual(successes.length * 2)
    })

    it.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
      if (one.expect === 'ok' || one.expect === 'cut') return drive(one)
      expect(() => drive(one)).toThrowError(expect.objectContaining({ code: one.expect }))
    })
  })
}

const fromHex = (hex: unknown): Uint8Array => new Uint8Array(Buffer.from(hex as string, 'hex'))
const allFromHex = (list: unknown): Uint8Array[] => (list as string[]).map(fromHex)

/** Undoes `toJson` of the generator. */
function fromJson(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(fromJson)
  if (typeof json !== 'object' || json === null) return json
  const { $: type, value } = json as { $: string; value: unknown }
  switch (type) {
    case 'undefined':
      return undefined
    case 'bigint':
      return BigInt(value as string)
    case 'number':
      return Number(value)
    case 'bytes':
      return fromHex(value)
    case 'date':
      return new Date(value as number)
    default: {
      const entries = (value as [string, unknown][]).map(([key, field]) => [key, fromJson(field)])
      return Object.fromEntries(entries)
    }
  }
}

describeVectors('hlc', (one) => {
  switch (one.kind) {
    case 'timestamp': {
      const { milliseconds, counter } = one as unknown as { milliseconds: number; counter: number }
      const timestamp = encodeTimestamp(
        { milliseconds, counter },
        { deviceId: parseMemberId(fromHex(one.deviceIdHex)), tail: fromHex(one.tailHex) },
      )
      expect(formatHex(timestamp)).toBe(one.timestampHex)
      expect(clockOf(timestamp)).toEqual({ milliseconds, counter })
      return
    }
    case 'tick': {
      const [milliseconds = 0, counter = 0] = one.state as number[]
      const replaced = allFromHex(one.replacedHex).map(parseTimestamp)
      const next = tick({ milliseconds, counter }, one.nowMs as number, replaced)
      expect([next.milliseconds, next.counter]).toEqual(one.next)
      return
    }
    case 'timestamp-bytes':
      return void parseTimestamp(fromHex(one.hex))
    default:
      return void parseClock(fromHex(one.hex))
  }
})

describe('the decoders', () => {
  const decodersByDoor: Readonly<Record<string, readonly ((bytes: Uint8Array) => unknown)[]>> = {
    message: [decodeCbor],
    fields: [decodeFieldsCbor],
    both: [decodeCbor, decodeFieldsCbor],
  }
  const doors = ['message', 'fields']
  for (const door of doors) {
    describeVectors('cbor', (one) => {
      const decoders = decodersByDoor[one.door as string] ?? []
      const decode = decoders[doors.indexOf(door)] ?? decoders[0]
      deepStrictEqual(decode?.(fromHex(one.hex)), fromJson(one.value))
    })
  }
})

describeVectors('value', (one) => {
  if (one.expect === 'malformed') return void decodeValue(fromHex(one.hex))
  const value = fromJson(one.value)
  if (one.expect === 'not-carried') {
    const path = one.path
    expect(() => encodeValue(value)).toThrowError(expect.objectContaining({ details: { path } }))
    return void encodeValue(value)
  }
  expect(formatHex(encodeValue(value))).toBe(one.hex)
  deepStrictEqual(decodeValue(fromHex(one.hex)), value)
})

describeVectors('message', (one) => {
  const schema = MESSAGES[one.schema as string]
  if (schema === undefined) throw new Error(`there is no message ${one.schema}`)
  parseMessage(schema, fromHex(one.hex))
})

describe('FrameReader', () => {
  for (const chunkBytes of [Number.POSITIVE_INFINITY, 1, 3, 5]) {
    describeVectors('frame', (one) => {
      const stream = fromHex(one.streamHex)
      const reader = new FrameReader(one.limit as number)
      const items: Uint8Array[] = []
      for (let offset = 0; offset < stream.length; offset += chunkBytes) {
        items.push(...reader.push(stream.subarray(offset, offset + chunkBytes)))
      }
      expect(items).toEqual(allFromHex(one.itemsHex))
      expect(reader.isEmpty).toBe(one.expect === 'ok')
      if (one.expect !== 'ok') return
      expect(formatHex(concat(...items.map(encodeFrame)))).toBe(one.streamHex)
    })
  }
})

describeVectors('log', (one) => {
  switch (one.kind) {
    case 'chain-start':
      expect(formatHex(chainStart(parseVaultId(fromHex(one.vaultIdHex))))).toBe(one.chainHex)
      return
    case 'chain-next': {
      const chain = parseHash(fromHex(one.chainHex))
      expect(formatHex(chainNext(chain, parseHash(fromHex(one.digestHex))))).toBe(one.nextHex)
      return
    }
    case 'digest':
      expect(formatHex(transactionDigest(allFromHex(one.pairsHex)))).toBe(one.digestHex)
      return
    case 'keychain-digest': {
      const hashes = allFromHex(one.hashesHex).map(parseHash)
      expect(formatHex(keychainDigest(hashes))).toBe(one.digestHex)
      return
    }
    case 'fingerprint': {
      const fingerprint = new Fingerprint(fromHex(one.startHex))
      for (const pair of allFromHex(one.pairsHex)) fingerprint.add(pair)
      expect(formatHex(fingerprint.toBytes())).toBe(one.sumHex)
      return
    }
    default: {
      const position = parseCursor(one.cursor as string)
      expect(position).toEqual({ seq: one.seq, chain: fromHex(one.chainHex) })
      expect(formatCursor(position)).toBe(one.cursor)
    }
  }
})
