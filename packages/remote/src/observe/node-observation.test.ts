/** What the machine tells: bytes of real connections, and a real folder on a real disk. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { countTraffic, createDisk, observeServer } from './node-observation.ts'

describe('countTraffic', () => {
  it('counts what every connection carried, open or closed', async () => {
    const server = createServer((_, answer) => answer.end('x'.repeat(1000)))
    const traffic = countTraffic(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const talk = (isKept: boolean) =>
      new Promise<{ sent: number; received: number; end: () => void }>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1')
        const connection = isKept ? 'keep-alive' : 'close'
        const request = `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`
        let received = 0
        socket.on('error', reject)
        socket.on('data', (chunk) => {
          received += chunk.length
          if (received > 1000) resolve({ sent: request.length, received, end: () => socket.end() })
        })
        socket.write(request)
      })
    const closed = await talk(false)
    const kept = await talk(true)
    expect(traffic()).toEqual({
      receivedBytes: closed.sent + kept.sent,
      sentBytes: closed.received + kept.received,
    })
    kept.end()
    await new Promise((resolve) => server.close(resolve))
    expect(traffic().sentBytes).toBe(closed.received + kept.received)
  })
})

describe('createDisk', () => {
  const folders: string[] = []
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

  it('adds up the folder, and looks again after a while', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'disk-'))
    folders.push(folder)
    await mkdir(join(folder, 'vaults'))
    await writeFile(join(folder, 'token'), 'x'.repeat(40))
    await writeFile(join(folder, 'vaults', '000005.ldb'), new Uint8Array(70_000))
    const clock = { ms: 0 }
    const disk = createDisk(folder, () => clock.ms)
    const use = await disk()
    expect(use?.storeBytes).toBe(70_040)
    expect(use?.sizeBytes).toBeGreaterThan(use?.freeBytes ?? 0)
    expect(use?.freeBytes).toBeGreaterThan(0)
    await writeFile(join(folder, 'token'), 'x'.repeat(140))
    expect((await disk())?.storeBytes).toBe(70_040)
    clock.ms += 10_000
    expect((await disk())?.storeBytes).toBe(70_140)
  })

  it('knows nothing of a folder that is not there', async () => {
    expect(await createDisk('/nowhere/at/all', () => 0)()).toBeUndefined()
  })
})

describe('observeServer', () => {
  it('takes only this machine itself for not exposed', () => {
    const isExposed = (host?: string) =>
      observeServer(createServer(), { ...(host && { host }), uptimeMs: () => 0 }).isExposed
    expect([undefined, '127.0.0.1', '127.3.2.1', '::1', 'localhost'].map(isExposed)).toEqual(
      Array(5).fill(false),
    )
    const others = ['0.0.0.0', '::', '192.168.1.4', 'remote.example', '127.0.0.1.example']
    expect(others.map(isExposed)).toEqual(Array(5).fill(true))
  })
})
