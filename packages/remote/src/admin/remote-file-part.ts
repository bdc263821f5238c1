/**
 * The parts of a remote file as CBOR items, and back. What does not have the form of a part throws
 * `malformed`: the digest has shown by then that it was written so.
 */
import {
  FINGERPRINT_BYTES,
  ProtocolError,
  parseHash,
  parseSyncId,
  parseVaultId,
} from '@blindcopy/protocol'
import type { Quota } from '../quota.ts'
import type { Manifest } from './manifest.ts'
import type { FilePart, LogItem } from './remote-file.ts'

const NUMBERS = {
  header: 0,
  vault: 1,
  keychain: 2,
  log: 3,
  checkpoints: 4,
  history: 5,
  'vault-end': 6,
  end: 7,
} as const

export function encodePart(part: FilePart): unknown[] {
  const number = NUMBERS[part.type]
  switch (part.type) {
    case 'header':
      return [number, part.version, part.madeMs]
    case 'vault':
      return [number, ...encodeManifest(part.manifest)]
    case 'keychain':
      return [number, part.entries.map(({ seq, entry }) => [seq, entry])]
    case 'log':
      return [number, part.items.map(encodeLogItem)]
    case 'checkpoints':
      return [number, [...part.checkpoints]]
    case 'history':
      return [number, part.versions.map(({ supersededMs, envelope }) => [supersededMs, envelope])]
    case 'vault-end':
      return [number, part.frames]
    case 'end':
      return [number, part.vaults]
  }
}

export function decodePart(value: unknown): FilePart {
  const [number, ...rest] = list(value)
  const [first, second] = rest
  switch (number) {
    case NUMBERS.header:
      // A later version may say more; whoever reads it looks at the version first.
      return { type: 'header', version: count(first), madeMs: count(second) }
    case NUMBERS.vault:
      return { type: 'vault', manifest: decodeManifest(rest) }
    case NUMBERS.keychain:
      return {
        type: 'keychain',
        entries: pairs(first, rest).map(([seq, entry]) => ({
          seq: count(seq),
          entry: bytes(entry),
        })),
      }
    case NUMBERS.log:
      return { type: 'log', items: list(only(first, rest)).map(decodeLogItem) }
    case NUMBERS.checkpoints:
      return { type: 'checkpoints', checkpoints: list(only(first, rest)).map(bytes) }
    case NUMBERS.history:
      return {
        type: 'history',
        versions: pairs(first, rest).map(([ms, envelope]) => ({
          supersededMs: count(ms),
          envelope: bytes(envelope),
        })),
      }
    case NUMBERS['vault-end']:
      return { type: 'vault-end', frames: count(only(first, rest)) }
    case NUMBERS.end:
      return { type: 'end', vaults: count(only(first, rest)) }
    default:
      return malformed('a part of no known kind')
  }
}

function encodeManifest(manifest: Manifest): unknown[] {
  const { vaultId, syncId, head, quota } = manifest
  return [
    vaultId,
    syncId,
    head.seq,
    head.chain,
    manifest.count,
    manifest.fingerprint,
    manifest.greatestMs,
    manifest.keychainLength,
    manifest.keychainBytes,
    manifest.bytes,
    manifest.historyCount,
    manifest.historyBytes,
    manifest.createdMs,
    manifest.pushedMs,
    quota === undefined ? null : [quota.bytesMax, quota.recordsMax, quota.devicesMax],
  ]
}

const MANIFEST_FIELDS = 15

function decodeManifest(fields: readonly unknown[]): Manifest {
  if (fields.length !== MANIFEST_FIELDS) malformed('a manifest of another length')
  return {
    vaultId: parseVaultId(bytes(fields[0]).slice()),
    syncId: parseSyncId(bytes(fields[1]).slice()),
    head: { seq: count(fields[2]), chain: parseHash(bytes(fields[3]).slice()) },
    count: count(fields[4]),
    fingerprint: sized(fields[5], FINGERPRINT_BYTES),
    greatestMs: count(fields[6]),
    keychainLength: count(fields[7]),
    keychainBytes: count(fields[8]),
    bytes: count(fields[9]),
    historyCount: count(fields[10]),
    historyBytes: count(fields[11]),
    createdMs: count(fields[12]),
    pushedMs: count(fields[13]),
    quota: decodeQuotaField(fields[14]),
  }
}

const DEVICES_MAX = 0xffff

function decodeQuotaField(value: unknown): Quota | undefined {
  if (value === null) return undefined
  const fields = list(value)
  if (fields.length !== 3) malformed('a quota of another length')
  const [bytesMax, recordsMax, devicesMax] = fields.map(count) as [number, number, number]
  if (devicesMax > DEVICES_MAX) malformed('a quota beyond what a state holds')
  return { bytesMax, recordsMax, devicesMax }
}

function encodeLogItem({ seq, entry, live }: LogItem): unknown[] {
  return [seq, entry, live.flatMap(({ opIndex, envelope }) => [opIndex, envelope])]
}

function decodeLogItem(value: unknown): LogItem {
  const [seq, entry, flat, ...more] = list(value)
  const live = list(flat)
  if (more.length > 0 || live.length % 2 !== 0) malformed('a log item of another length')
  const envelopes: { opIndex: number; envelope: Uint8Array }[] = []
  for (let i = 0; i < live.length; i += 2) {
    envelopes.push({ opIndex: count(live[i]), envelope: bytes(live[i + 1]) })
  }
  return { seq: count(seq), entry: bytes(entry), live: envelopes }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : malformed('no list where one belongs')
}

/** The one field that a part has. */
function only(first: unknown, rest: readonly unknown[]): unknown {
  return rest.length === 1 ? first : malformed('a part of another length')
}

function pairs(first: unknown, rest: readonly unknown[]): (readonly unknown[])[] {
  return list(only(first, rest)).map((value) => {
    const pair = list(value)
    return pair.length === 2 ? pair : malformed('no pair where one belongs')
  })
}

/** A view onto the whole frame: what is kept for longer is copied. */
function bytes(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : malformed('no bytes where they belong')
}

function sized(value: unknown, size: number): Uint8Array {
  const found = bytes(value)
  return found.length === size ? found.slice() : malformed(`no ${size} bytes where they belong`)
}

function count(value: unknown): number {
  const isCount = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
  return isCount ? value : malformed('no count where one belongs')
}

function malformed(what: string): never {
  throw new ProtocolError('malformed', what)
}
