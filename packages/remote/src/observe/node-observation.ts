/**
 * Node observation: what only the machine can tell: bytes of connections, the data folder and its
 * disk.
 */
import { readdir, stat, statfs } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { AdminToken } from './admin-gate.ts'
import { type DiskUse, NO_METRICS, type Traffic } from './metrics.ts'
import type { ObserveOptions } from './observe.ts'
import { createPrometheus } from './prometheus.ts'

export type ServerObserveOptions = {
  /** Without one, or with an empty one, there is neither `/metrics` nor `/admin`. */
  readonly adminToken?: AdminToken | undefined
  /** Of the program, for the admin page. */
  readonly version?: string
  /** Where the store stands, to tell how large it is and what its disk has left. */
  readonly dataFolder?: string
}

/** What a remote that is served by this server is observed by. */
export function observeServer(
  server: Server,
  options: ServerObserveOptions & {
    readonly host?: string
    readonly nowMs?: () => number
    readonly uptimeMs: () => number
  },
): ObserveOptions {
  const { adminToken, dataFolder, host = '127.0.0.1', uptimeMs } = options
  const metrics = adminToken === undefined ? NO_METRICS : createPrometheus()
  metrics.watch({ traffic: countTraffic(server) })
  return {
    metrics,
    uptimeMs,
    isExposed: !isLoopback(host),
    ...(dataFolder === undefined ? {} : { disk: createDisk(dataFolder, uptimeMs) }),
  }
}

/** Counts the bytes of every connection of a server, open or closed. */
export function countTraffic(server: Server): () => Traffic {
  const open = new Set<Socket>()
  let receivedBytes = 0
  let sentBytes = 0
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      receivedBytes += socket.bytesRead
      sentBytes += socket.bytesWritten
    })
  })
  return () => {
    const sum = { receivedBytes, sentBytes }
    for (const socket of open) {
      sum.receivedBytes += socket.bytesRead
      sum.sentBytes += socket.bytesWritten
    }
    return sum
  }
}

/** A folder of LevelDB has a file for each two megabytes: looking at all of them is not free. */
const DISK_FRESH_MS = 10_000
/** A data folder is two levels deep. */
const DEPTH_MAX = 4

/** What a data folder takes, and what its disk has left. Undefined when it cannot be looked at. */
export function createDisk(
  folder: string,
  uptimeMs: () => number,
): () => Promise<DiskUse | undefined> {
  let last: { readonly ms: number; readonly use: Promise<DiskUse | undefined> } | undefined
  return () => {
    const ms = uptimeMs()
    if (last === undefined || ms - last.ms >= DISK_FRESH_MS) {
      last = { ms, use: lookAt(folder).catch(() => undefined) }
    }
    return last.use
  }
}

async function lookAt(folder: string): Promise<DiskUse> {
  const [storeBytes, { bavail, blocks, bsize }] = await Promise.all([
    folderBytes(folder, DEPTH_MAX),
    statfs(folder),
  ])
  return { storeBytes, freeBytes: bavail * bsize, sizeBytes: blocks * bsize }
}

/** LevelDB removes files at any time: what is gone when it is looked at has no bytes. */
async function folderBytes(folder: string, depth: number): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && depth > 0) bytes += await folderBytes(path, depth - 1)
    if (entry.isFile()) bytes += await fileBytes(path)
  }
  return bytes
}

const fileBytes = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )

/** Whether only this machine can reach what listens on this host. */
const isLoopback = (host: string): boolean => /^(127\.\d+\.\d+\.\d+|localhost|::1)$/.test(host)
