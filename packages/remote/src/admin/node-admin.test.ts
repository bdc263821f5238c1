/** The socket of the administration: who may use it, and what becomes of one that is there. */
import { chmodSync, existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Hono } from 'hono'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openFolder } from './admin.fixture.ts'
import {
  adminSocketPath,
  isAnswered,
  type ServedAdmin,
  SOCKET_PATH_BYTES_MAX,
  serveAdmin,
} from './node-admin.ts'

const app = new Hono().get('/hello', (context) => context.text('here'))

async function serve(path: string): Promise<ServedAdmin> {
  const served = await serveAdmin(app, path)
  onTestFinished(() => served.close())
  return served
}

const ask = (socketPath: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/hello' }, async (answer) => {
      const chunks: Buffer[] = []
      for await (const chunk of answer) chunks.push(chunk as Buffer)
      resolve(Buffer.concat(chunks).toString())
    })
    asked.on('error', reject)
    asked.end()
  })

describe('the admin socket', () => {
  it('answers, for its owner alone, and is gone when it is closed', async () => {
    const path = join(await openFolder(), 'admin.sock')
    const before = process.umask(0)
    const served = await serve(path)
    expect(process.umask(before)).toBe(0)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await ask(path)).toBe('here')
    await served.close()
    await served.close()
    expect(existsSync(path)).toBe(false)
    expect(await isAnswered(path)).toBe(false)
  })

  it('takes the place of one that a killed server has left', async () => {
    const path = join(await openFolder(), 'admin.sock')
    const left = createServer()
    await new Promise<void>((resolve) => left.listen(path, resolve))
    // What `close` would remove is put back, as a kill leaves it.
    const kept = join(path, '..', 'kept.sock')
    const { linkSync, renameSync } = await import('node:fs')
    linkSync(path, kept)
    await new Promise((resolve) => left.close(resolve))
    renameSync(kept, path)
    expect(await isAnswered(path)).toBe(false)
    await serve(path)
    expect(await ask(path)).toBe('here')
  })

  it('leaves one that somebody answers on, and anything that is no socket', async () => {
    const folder = await openFolder()
    const path = join(folder, 'admin.sock')
    await serve(path)
    await expect(serveAdmin(app, path)).rejects.toMatchObject({ code: 'admin-socket-in-use' })
    expect(await ask(path)).toBe('here')
    const file = join(folder, 'file')
    writeFileSync(file, 'kept')
    const link = join(folder, 'link')
    symlinkSync(path, link)
    for (const other of [file, link]) {
      await expect(serveAdmin(app, other)).rejects.toMatchObject({ code: 'admin-socket-refused' })
      expect(existsSync(other)).toBe(true)
    }
  })

  it('says what is wrong with its path', async () => {
    const folder = await openFolder()
    const long = join(folder, 'x'.repeat(SOCKET_PATH_BYTES_MAX))
    await expect(serveAdmin(app, long)).rejects.toMatchObject({
      code: 'admin-socket-refused',
      message: expect.stringContaining(`${SOCKET_PATH_BYTES_MAX} bytes`),
    })
    const nowhere = join(folder, 'none', 'admin.sock')
    await expect(serveAdmin(app, nowhere)).rejects.toMatchObject({ code: 'admin-socket-refused' })
    chmodSync(folder, 0o700)
  })

  it('stands in the data folder, or where the environment says', () => {
    expect(adminSocketPath('/data', {})).toBe('/data/admin.sock')
    expect(adminSocketPath('/data', { BLINDCOPY_ADMIN_SOCKET: '' })).toBe('/data/admin.sock')
    expect(adminSocketPath('/data', { BLINDCOPY_ADMIN_SOCKET: '/run/b.sock' })).toBe('/run/b.sock')
  })
})
