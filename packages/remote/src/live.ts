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
  ProtocolError,
  parseMessage,
  type VaultId,
} from '@blindcopy/protocol'
import type { RemoteLimits } from './limits.ts'
import { type Committed, encodeCommitted, encodeLive, encodeRefusal } from './live-frame.ts'
import { type Metrics, NO_METRICS, type SocketEnd } from './observe/metrics.ts'
import { isFault, toRefusal } from './problem.ts'
import { mustMember } from './session.ts'
import type { Session } from './token.ts'
import type { Vault } from './vaults.ts'

/** A socket of whatever runtime this runs on. */
export type LiveSocket = {
  send(frame: Uint8Array): void
  close(code: number, reason: string): void
  /** Drops the socket at once, with all that waits in it. */
  terminate(): void
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
  /** `origin`: the session that brought the envelopes, if it was one; it gets pairs alone. */
  broadcast(vault: Vault, committed: readonly Committed[], origin: Session | undefined): void
  /** `origin`: the session that brought it, which needs no word of it. */
  tellCheckpoint(vault: Vault, checkpoint: Uint8Array, origin: Session): void
  closeVault(vaultId: VaultId, why: ProtocolError): void
  beat(): void
  close(): void
  /** Sockets that are open, of all vaults or joined to one. */
  count(): number
  countOf(vaultId: VaultId): number
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
/** In all sockets together: beyond it those go first in which most waits. */
export const SOCKETS_BUFFER_BYTES_MAX: number = 256 * 1024 * 1024
/** What may wait in a socket that is still told of checkpoints. */
export const CHECKPOINT_BUFFER_BYTES_MAX: number = 1024 * 1024

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

export type LiveParts = {
  readonly nowMs: () => number
  readonly admit: Admit
  readonly onFault: (error: unknown) => void
  readonly metrics?: Pick<Metrics, 'socketClosed'>
  readonly limits: Pick<RemoteLimits, 'socketsMax' | 'socketsPerVaultMax'>
}

export function createLive(parts: LiveParts): Live {
  return new LiveSockets(parts)
}

class LiveSockets implements Live {
  readonly #parts: LiveParts
  readonly #connections = new Set<Connection>()
  readonly #joinedByVault = new Map<string, Set<Connection>>()

  constructor(parts: LiveParts) {
    this.#parts = parts
  }

  open(socket: LiveSocket): LiveConnection {
    const nowMs = this.#parts.nowMs()
    const connection: Connection = {
      socket,
      openedMs: nowMs,
      beatMs: nowMs,
      session: undefined,
      isJudging: false,
      isClosed: false,
    }
    this.#connections.add(connection)
    if (this.#connections.size > this.#parts.limits.socketsMax) {
      this.#refuse(connection, tooMany('the remote has too many live sockets'), CLOSE_TRY_LATER)
    }
    return {
      receive: (frame) => this.#receive(connection, frame),
      closed: () => this.#forget(connection, 'left'),
    }
  }

  broadcast(vault: Vault, committed: readonly Committed[], origin: Session | undefined): void {
    const joined = this.#joinedOf(vault.vaultId)
    if (joined.length === 0) return
    if (committed.some(({ type }) => type === 'append')) this.#dropStrangers(joined, vault)
    for (const one of committed) {
      const whole = once(() => encodeCommitted(one, true))
      const pairsOnly = once(() => encodeCommitted(one, false))
      for (const connection of joined) {
        const isOrigin = isSameSession(connection.session, origin)
        if (!connection.isClosed) this.#send(connection, isOrigin ? pairsOnly() : whole())
      }
    }
  }

  tellCheckpoint(vault: Vault, checkpoint: Uint8Array, origin: Session): void {
    const frame = once(() => encodeLive([6, checkpoint]))
    for (const connection of this.#joinedOf(vault.vaultId)) {
      // A socket that is slow already gets it with its next login.
      const isSlow = connection.socket.bufferedBytes > CHECKPOINT_BUFFER_BYTES_MAX
      if (isSlow || isSameSession(connection.session, origin)) continue
      if (!connection.isClosed) this.#send(connection, frame())
    }
  }

  closeVault(vaultId: VaultId, why: ProtocolError): void {
    for (const connection of this.#joinedOf(vaultId)) this.#refuse(connection, why)
  }

  beat(): void {
    const nowMs = this.#parts.nowMs()
    for (const connection of this.#connections) this.#beatOne(connection, nowMs)
    this.#dropSlowest()
  }

  close(): void {
    const why = new ProtocolError('busy', 'the remote is going down: come back in a moment')
    for (const connection of this.#connections) this.#refuse(connection, why, CLOSE_GOING_AWAY)
  }

  count(): number {
    return this.#connections.size
  }

  countOf(vaultId: VaultId): number {
    return this.#joinedByVault.get(formatHex(vaultId))?.size ?? 0
  }

  /** A copy: sockets leave while it is walked. */
  #joinedOf(vaultId: VaultId): readonly Connection[] {
    return [...(this.#joinedByVault.get(formatHex(vaultId)) ?? [])]
  }

  async #receive(connection: Connection, frame: Uint8Array): Promise<void> {
    if (connection.isClosed) return
    if (connection.isJudging) {
      this.#refuse(connection, new ProtocolError('malformed', 'a hello is being judged already'))
      return
    }
    connection.isJudging = true
    try {
      if (frame.length > HELLO_BYTES_MAX) throw new ProtocolError('too-large', 'a hello is short')
      const hello = parseMessage(LiveHello, frame)
      await this.#parts.admit(hello, (session, head) => this.#join(connection, session, head))
    } catch (error) {
      if (isFault(error)) this.#parts.onFault(error)
      this.#refuse(connection, toRefusal(error))
    } finally {
      connection.isJudging = false
    }
  }

  #join(connection: Connection, session: Session, head: LogPosition): void {
    if (connection.isClosed) return
    const id = formatHex(session.vaultId)
    const joined = this.#joinedByVault.get(id) ?? new Set()
    if (connection.session === undefined) {
      if (joined.size >= this.#parts.limits.socketsPerVaultMax)
        throw tooMany('the vault has too many live sockets')
    } else if (!isSameHolder(connection.session, session)) {
      throw new ProtocolError('malformed', 'a live socket stays with the device that opened it')
    }
    this.#joinedByVault.set(id, joined.add(connection))
    connection.session = session
    this.#send(connection, encodeLive([4, head.seq, head.chain]))
  }

  #send(connection: Connection, frame: Uint8Array): void {
    if (connection.socket.bufferedBytes <= SOCKET_BUFFER_BYTES_MAX) {
      connection.socket.send(frame)
      return
    }
    this.#drop(connection)
  }

  /** No frame says why: it would wait behind all that this device does not fetch. */
  #drop(connection: Connection): void {
    this.#forget(connection, 'too-slow')
    connection.socket.terminate()
  }

  /** Many sockets that each hold less than they may hold too much together. */
  #dropSlowest(): void {
    const waiting = [...this.#connections].filter(({ socket }) => socket.bufferedBytes > 0)
    let bytes = waiting.reduce((sum, { socket }) => sum + socket.bufferedBytes, 0)
    if (bytes <= SOCKETS_BUFFER_BYTES_MAX) return
    waiting.sort((a, b) => a.socket.bufferedBytes - b.socket.bufferedBytes)
    while (bytes > SOCKETS_BUFFER_BYTES_MAX) {
      const slowest = waiting.pop() as Connection
      bytes -= slowest.socket.bufferedBytes
      this.#drop(slowest)
    }
  }

  #refuse(connection: Connection, why: ProtocolError, closeCode: number = CLOSE_POLICY): void {
    if (connection.isClosed) return
    this.#forget(connection, why.code)
    connection.socket.send(encodeRefusal(why))
    connection.socket.close(closeCode, why.code)
  }

  #forget(connection: Connection, why: SocketEnd): void {
    // Whoever was refused is told of again when its socket is gone.
    if (connection.isClosed) return
    ;(this.#parts.metrics ?? NO_METRICS).socketClosed(why)
    connection.isClosed = true
    this.#connections.delete(connection)
    if (connection.session === undefined) return
    const id = formatHex(connection.session.vaultId)
    const joined = this.#joinedByVault.get(id)
    joined?.delete(connection)
    if (joined?.size === 0) this.#joinedByVault.delete(id)
  }

  /** A revocation ends the live sockets of whom it revokes, before anything more is told. */
  #dropStrangers(joined: readonly Connection[], vault: Vault): void {
    for (const connection of joined) {
      if (connection.session === undefined) continue
      try {
        mustMember(vault, connection.session.memberId)
      } catch (error) {
        this.#refuse(connection, toRefusal(error))
      }
    }
  }

  #beatOne(connection: Connection, nowMs: number): void {
    const { session } = connection
    if (session === undefined) {
      const isLate = nowMs - connection.openedMs >= HELLO_MS_MAX
      if (isLate) this.#refuse(connection, ended('no hello came in time'))
    } else if (session.expiresMs <= nowMs) {
      this.#refuse(connection, ended('the session has ended: log in again'))
    } else if (nowMs - connection.beatMs >= HEARTBEAT_MS) {
      connection.beatMs = nowMs
      this.#send(connection, encodeLive([3, nowMs]))
    }
  }
}

/** Makes a frame when it is first asked for, and then the same for all sockets. */
function once(make: () => Uint8Array): () => Uint8Array {
  let made: Uint8Array | undefined
  return () => {
    made ??= make()
    return made
  }
}

/**
 * Not only the same device: its folder may be in use twice, or have lost what a process before this
 * one has pushed.
 */
const isSameSession = (a: Session | undefined, b: Session | undefined): boolean =>
  a !== undefined && b !== undefined && isSameHolder(a, b) && equalBytes(a.id, b.id)

const isSameHolder = (a: Session, b: Session): boolean =>
  equalBytes(a.vaultId, b.vaultId) && equalBytes(a.memberId, b.memberId)

const ended = (why: string): ProtocolError => new ProtocolError('session-required', why)

const tooMany = (why: string): ProtocolError =>
  new ProtocolError('too-many-requests', why, { details: { retryAfterSeconds: 60 } })
