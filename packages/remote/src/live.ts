/**
 * Live: tells the devices of a vault at once what was committed.
 *
 *   opened ──hello taken──▶ joined ──hello──▶ joined, for longer
 *      │                      │
 *      └── refused, no hello in time, token over, no member, new SyncId, too slow ──▶ closed
 *
 * A hello is judged inside the vault's section and joins there, and a commit is told inside its
 * section, so between `ready` and the first frame no seq is missed. Nothing is told before the disk
 * has it. Each frame is encoded once for all sockets. There are no timers here: whoever runs the
 * remote calls `beat` about once a second.
 */
import {
  equalBytes,
  formatHex,
  LiveHello,
  type LogPosition,
  type MemberId,
  ProtocolError,
  parseMessage,
  type VaultId,
} from '@blindcopy/protocol'
import { type Committed, encodeCommitted, encodeLive, encodeRefusal } from './live-frame.ts'
import { toRefusal } from './problem.ts'
import { mustMember } from './session.ts'
import type { Session } from './token.ts'
import type { Vault } from './vaults.ts'

/** A socket of whatever runtime this runs on. */
export type LiveSocket = {
  send(frame: Uint8Array): void
  close(code: number, reason: string): void
  /** What was sent and has not left yet. */
  readonly bufferedBytes: number
}

export type LiveConnection = {
  /** A binary frame came in. Resolves when it is dealt with; never rejects. */
  receive(frame: Uint8Array): Promise<void>
  /** The socket is gone. */
  closed(): void
}

export type Live = {
  open(socket: LiveSocket): LiveConnection
  broadcast(vault: Vault, committed: readonly Committed[], origin: MemberId): void
  closeVault(vaultId: VaultId, why: ProtocolError): void
  beat(): void
  close(): void
}

/** Judges a hello inside the vault's section and calls `join` there. */
export type Admit = (
  hello: LiveHello,
  join: (session: Session, head: LogPosition) => void,
) => Promise<void>

export const HELLO_BYTES_MAX = 4096
export const HELLO_MS_MAX = 10_000
export const HEARTBEAT_MS = 25_000
/** Above one whole push, so that no push alone makes a healthy socket look slow. */
export const SOCKET_BUFFER_BYTES_MAX: number = 20 * 1024 * 1024
export const SOCKETS_PER_VAULT_MAX = 256
const SOCKETS_MAX = 10_000

/** WebSocket close codes (RFC 6455 and its registry). */
const CLOSE_GOING_AWAY = 1001
const CLOSE_POLICY = 1008
const CLOSE_TRY_LATER = 1013

type Connection = {
  readonly socket: LiveSocket
  readonly openedMs: number
  beatMs: number
  session: Session | undefined
  isJudging: boolean
  isClosed: boolean
}

export function createLive(parts: {
  readonly nowMs: () => number
  readonly admit: Admit
  readonly onFault: (error: unknown) => void
  readonly socketsMax?: number
}): Live {
  const { nowMs, admit, onFault, socketsMax = SOCKETS_MAX } = parts
  const connections = new Set<Connection>()
  const joinedByVault = new Map<string, Set<Connection>>()

  function forget(connection: Connection): void {
    connection.isClosed = true
    connections.delete(connection)
    if (connection.session === undefined) return
    const id = formatHex(connection.session.vaultId)
    const joined = joinedByVault.get(id)
    joined?.delete(connection)
    if (joined?.size === 0) joinedByVault.delete(id)
  }

  function refuse(connection: Connection, why: ProtocolError, closeCode = CLOSE_POLICY): void {
    if (connection.isClosed) return
    forget(connection)
    connection.socket.send(encodeRefusal(why))
    connection.socket.close(closeCode, why.code)
  }

  function send(connection: Connection, frame: Uint8Array): void {
    if (connection.isClosed) return
    if (connection.socket.bufferedBytes > SOCKET_BUFFER_BYTES_MAX) {
      // No frame says so: it would wait behind all that this device does not fetch.
      forget(connection)
      connection.socket.close(CLOSE_TRY_LATER, 'too slow')
      return
    }
    connection.socket.send(frame)
  }

  function join(connection: Connection, session: Session, head: LogPosition): void {
    if (connection.isClosed) return
    const id = formatHex(session.vaultId)
    const joined = joinedByVault.get(id) ?? new Set()
    if (connection.session === undefined) {
      if (joined.size >= SOCKETS_PER_VAULT_MAX)
        throw tooMany('this vault has too many live sockets')
    } else if (!isSameHolder(connection.session, session)) {
      throw new ProtocolError('malformed', 'a live socket stays with the device that opened it')
    }
    joinedByVault.set(id, joined.add(connection))
    connection.session = session
    send(connection, encodeLive([4, head.seq, head.chain]))
  }

  async function receive(connection: Connection, frame: Uint8Array): Promise<void> {
    if (connection.isClosed) return
    try {
      if (connection.isJudging) throw new ProtocolError('malformed', 'a hello is being judged')
      if (frame.length > HELLO_BYTES_MAX)
        throw new ProtocolError('too-large', 'no hello is so long')
      connection.isJudging = true
      const hello = parseMessage(LiveHello, frame)
      await admit(hello, (session, head) => join(connection, session, head))
    } catch (error) {
      if (!(error instanceof ProtocolError)) onFault(error)
      refuse(connection, toRefusal(error))
    } finally {
      connection.isJudging = false
    }
  }

  function beatOne(connection: Connection, now: number): void {
    const { session } = connection
    if (session === undefined) {
      if (now - connection.openedMs >= HELLO_MS_MAX) refuse(connection, ended('no hello came'))
    } else if (session.expiresMs <= now) {
      refuse(connection, ended('the session has ended: log in again'))
    } else if (now - connection.beatMs >= HEARTBEAT_MS) {
      connection.beatMs = now
      send(connection, encodeLive([3, now]))
    }
  }

  return {
    open(socket) {
      const now = nowMs()
      const connection: Connection = {
        socket,
        openedMs: now,
        beatMs: now,
        session: undefined,
        isJudging: false,
        isClosed: false,
      }
      connections.add(connection)
      if (connections.size > socketsMax) {
        refuse(connection, tooMany('the remote has too many live sockets'), CLOSE_TRY_LATER)
      }
      return {
        receive: (frame) => receive(connection, frame),
        closed: () => forget(connection),
      }
    },
    broadcast(vault, committed, origin) {
      const joined = joinedByVault.get(formatHex(vault.vaultId))
      if (joined === undefined) return
      if (committed.some(({ type }) => type === 'append')) dropStrangers(joined, vault, refuse)
      for (const one of committed) tellAll(joined, { committed: one, origin, send })
    },
    closeVault(vaultId, why) {
      for (const connection of joinedByVault.get(formatHex(vaultId)) ?? []) refuse(connection, why)
    },
    beat() {
      const now = nowMs()
      for (const connection of connections) beatOne(connection, now)
    },
    close() {
      const why = new ProtocolError('busy', 'the remote is going down: come back in a moment')
      for (const connection of connections) refuse(connection, why, CLOSE_GOING_AWAY)
    },
  }
}

/** A revocation ends the live sockets of whom it revokes, before anything more is told. */
function dropStrangers(
  joined: ReadonlySet<Connection>,
  vault: Vault,
  refuse: (connection: Connection, why: ProtocolError) => void,
): void {
  for (const connection of joined) {
    if (connection.session === undefined) continue
    try {
      mustMember(vault, connection.session.memberId)
    } catch (error) {
      refuse(connection, toRefusal(error))
    }
  }
}

type Telling = {
  readonly committed: Committed
  readonly origin: MemberId
  readonly send: (connection: Connection, frame: Uint8Array) => void
}

function tellAll(joined: ReadonlySet<Connection>, { committed, origin, send }: Telling): void {
  let whole: Uint8Array | undefined
  let pairsOnly: Uint8Array | undefined
  for (const connection of joined) {
    const { session } = connection
    if (session === undefined) continue
    if (equalBytes(session.memberId, origin)) {
      pairsOnly ??= encodeCommitted(committed, false)
      send(connection, pairsOnly)
    } else {
      whole ??= encodeCommitted(committed, true)
      send(connection, whole)
    }
  }
}

const isSameHolder = (a: Session, b: Session): boolean =>
  equalBytes(a.vaultId, b.vaultId) && equalBytes(a.memberId, b.memberId)

const ended = (why: string): ProtocolError => new ProtocolError('session-required', why)

const tooMany = (why: string): ProtocolError =>
  new ProtocolError('too-many-requests', why, { details: { retryAfterSeconds: 60 } })
