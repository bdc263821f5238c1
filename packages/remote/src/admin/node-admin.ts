/**
 * Node admin: serves the administration on a socket of this machine.
 *
 * The socket is a file that its owner alone may use, in a folder that its owner alone may enter:
 * who reaches it may read the data folder anyway. It has that mode from the moment it is there. A
 * file that a killed server has left is replaced; one that somebody answers on is not.
 */
import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { AdminError } from '../error.ts'

export type ServedAdmin = {
  readonly path: string
  /** Requests under way are cut. Closing twice is no error. */
  close(): Promise<void>
}

/** What a socket's path may have: 108 bytes on Linux and 104 elsewhere, the last of them zero. */
export const SOCKET_PATH_BYTES_MAX: number = process.platform === 'linux' ? 107 : 103
/** A check of a vast vault says nothing for long. */
const SILENCE_MS_MAX = 60 * 60_000

/**
 * Where the socket of a data folder is: in it, unless `BLINDCOPY_ADMIN_SOCKET` names another place,
 * which server and commands must then agree on.
 */
export function adminSocketPath(
  dataPath: string,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const { BLINDCOPY_ADMIN_SOCKET: named = '' } = env
  return named === '' ? join(dataPath, 'admin.sock') : resolve(named)
}

/** Throws `admin-socket-refused` or `admin-socket-in-use`. */
export async function serveAdmin(app: Hono, path: string): Promise<ServedAdmin> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new AdminError(
      'admin-socket-refused',
      `the path of the admin socket is longer than the ${SOCKET_PATH_BYTES_MAX} bytes that this system allows: ${path}`,
    )
  }
  await clearStale(path)
  // A backup that is restored may take hours to come.
  const server = createServer(
    { requestTimeout: 0 },
    getRequestListener((request) => app.fetch(request)),
  )
  server.setTimeout(SILENCE_MS_MAX)
  await listen(server, path)
  await chmod(path, 0o600)
  let closing: Promise<void> | undefined
  return {
    path,
    close: () => {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closing
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(refused(path, cause)))
    // The file is made while `listen` runs: nobody else can open it before its mode is set.
    const before = process.umask(0o177)
    try {
      server.listen(path, () => resolve())
    } finally {
      process.umask(before)
    }
  })
}

/** Removes a socket that nobody answers on. Throws when it is something else, or is answered on. */
async function clearStale(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw refused(path, cause)
  })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new AdminError('admin-socket-refused', `${path} is there, and is no socket`)
  }
  if (await isAnswered(path)) {
    throw new AdminError('admin-socket-in-use', `another process answers on ${path}`)
  }
  await unlink(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw refused(path, cause)
  })
}

/** Whether a process listens on a socket; false too when there is none. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Refused, or no such file: nobody is there. A queue that is full is somebody's.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'))
  })
}

function refused(path: string, cause: NodeJS.ErrnoException): AdminError {
  return new AdminError(
    'admin-socket-refused',
    `the admin socket ${path} cannot be made (${cause.code})`,
    { cause },
  )
}
