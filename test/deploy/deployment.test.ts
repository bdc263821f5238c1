/**
 * The files of deploy/: what a host copies must work as it stands. Without a container engine the
 * steps of the Dockerfile run here one by one; Caddy and systemd's own checks are the real ones.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { COMMAND, done, objects } from '../e2e/commands.ts'
import { startProcess, temporaryFolder } from '../e2e/processes.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '..', '..')
const DEPLOY = join(ROOT, 'deploy')
const TOKEN = 'let-me-in'

function needs(program: string): boolean {
  const isThere = (process.env.PATH ?? '')
    .split(':')
    .some((folder) => existsSync(join(folder, program)))
  if (isThere || process.env.CI !== undefined) return true
  process.stderr.write(`skipped: some tests of deploy/ need ${program} (on Debian: apt-get)\n`)
  return false
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** `blindcopy serve` with these arguments, once it listens. */
async function startServe(args: readonly string[], program = COMMAND): Promise<{ url: string }> {
  const { child } = startProcess(process.execPath, [program, 'serve', '--json', ...args])
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const [line] = (await once(lines, 'line')) as [string]
  return JSON.parse(line) as { url: string }
}

const dockerfile = readFileSync(join(DEPLOY, 'Dockerfile'), 'utf8').replaceAll('\\\n', '')
const instructionsOf = (name: string): string[] =>
  [...dockerfile.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, text = '']) => text)

describe('the container', () => {
  it('holds what its build steps make, and serves and is healthy as its image says', async () => {
    const folder = temporaryFolder()
    const app = join(folder, 'app')
    // What is built already here is the first step; the second is run as it stands.
    const [build = ''] = instructionsOf('RUN')
    const [, deploy = ''] = build.split('&&').map((step) => step.trim())
    expect(build).toContain('node scripts/setup.mjs build')
    const [name = '', ...args] = deploy.replace('/app', app).split(' ')
    // From the packages that are here already: tests ask nobody.
    const env = { ...process.env, npm_config_offline: 'true' }
    await run(name, [...args, '--offline'], { cwd: ROOT, env, maxBuffer: 16 * 1024 * 1024 })
    const port = await freePort()
    const [, , ...served] = JSON.parse(instructionsOf('CMD').at(-1) as string) as string[]
    expect(served).toContain('/data')
    const program = join(app, JSON.parse(instructionsOf('ENTRYPOINT')[0] as string)[1].slice(5))
    const given = ['--data', join(folder, 'data'), '--host', '127.0.0.1', '--port', `${port}`]
    await startServe(given, program)
    const [, health = ''] = (instructionsOf('HEALTHCHECK')[0] ?? '').split('CMD ')
    const [node = '', ...check] = JSON.parse(health) as string[]
    const probe = check.map((part) => part.replace('8787', `${port}`))
    await run(node, probe)
    await expect(
      run(
        node,
        check.map((part) => part.replace('8787', '1')),
      ),
    ).rejects.toThrow()
  }, 180_000)

  it('runs as a user without rights, with its data in one volume', () => {
    expect(instructionsOf('USER')).toEqual(['node'])
    expect(instructionsOf('VOLUME')).toEqual(['["/data"]'])
    expect(dockerfile.indexOf('USER node')).toBeLessThan(dockerfile.indexOf('ENTRYPOINT'))
    const compose = readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8')
    for (const line of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true']) {
      expect(compose).toContain(line)
    }
    // It is reached through Caddy alone: only that one opens ports of the machine.
    expect(compose.match(/^ {4}ports:/gm)).toHaveLength(1)
    expect(compose.indexOf('ports:')).toBeGreaterThan(compose.indexOf('\n  caddy:'))
  })

  it('names settings that there are, and commands that there are', async () => {
    const help = await done(['serve', '--help'])
    const compose = readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8')
    const variables = [...compose.matchAll(/^ {6}BLINDCOPY_([A-Z_]+):/gm)].map(([, name]) => name)
    const settings = variables.filter((name) => name !== 'HOST')
    expect(settings.length).toBeGreaterThan(1)
    for (const name of settings) {
      expect(help).toContain(`--${name?.toLowerCase().replaceAll('_', '-')}`)
    }
  })
})

describe.runIf(needs('systemd-analyze'))('the units of systemd', () => {
  const units = readdirSync(join(DEPLOY, 'systemd'))

  it('are what systemd takes, and closed to what a remote has no use for', async () => {
    const paths = units.map((unit) => join(DEPLOY, 'systemd', unit))
    const { stderr } = await run('systemd-analyze', ['verify', ...paths])
    const complaints = stderr.split('\n').filter((line) => line.includes('blindcopy'))
    // The program is installed on a host, not here.
    expect(complaints.filter((line) => !line.includes('is not executable'))).toEqual([])
    const { stdout } = await run('systemd-analyze', [
      'security',
      '--offline=yes',
      '--threshold=20',
      join(DEPLOY, 'systemd', 'blindcopy-remote.service'),
    ])
    expect(stdout).toMatch(/Overall exposure level.*OK/)
  })

  it('call the program by commands and options that there are', async () => {
    let calls = 0
    for (const unit of units) {
      const text = await readFile(join(DEPLOY, 'systemd', unit), 'utf8')
      const [, line] = /^ExecStart=\S+ \S+blindcopy\.js (.*)$/m.exec(text) ?? []
      if (line === undefined) continue
      const words = line.split(' ').filter((word) => !word.startsWith('/'))
      const command = words.filter(
        (word, i) => !word.startsWith('-') && !words[i - 1]?.startsWith('-'),
      )
      const help = await done([...command, '--help'])
      for (const option of words.filter((word) => word.startsWith('--'))) {
        expect(help).toContain(option)
      }
      calls++
    }
    expect(calls).toBe(2)
  }, 60_000)
})

describe.runIf(needs('caddy'))('behind Caddy', () => {
  it('two devices stay in step over TLS, and numbers stay inside', async () => {
    const folder = temporaryFolder()
    const [tls, plain] = [await freePort(), await freePort()]
    const origin = `https://localhost:${tls}`
    const { url } = await startServe([
      ...['--data', join(folder, 'remote'), '--port', '0', '--origin', origin],
      ...['--registration-token', TOKEN, '--trust-proxy', '127.0.0.1'],
    ])
    const caddyfile = await readFile(join(DEPLOY, 'Caddyfile'), 'utf8')
    const options = `admin off\nhttp_port ${plain}\nhttps_port ${tls}\nskip_install_trust`
    await writeFile(join(folder, 'Caddyfile'), `{\n${options}\n}\n${caddyfile}`)
    const home = join(folder, 'caddy')
    await mkdir(home)
    const env = {
      BLINDCOPY_HOST: 'localhost',
      BLINDCOPY_UPSTREAM: new URL(url).host,
      HOME: home,
      XDG_DATA_HOME: home,
      XDG_CONFIG_HOME: home,
    }
    const caddy = startProcess('caddy', ['run', '--config', join(folder, 'Caddyfile')], env)
    for await (const line of createInterface({ input: caddy.child.stderr as never })) {
      if (line.includes('serving initial configuration')) break
    }
    const root = join(home, 'caddy', 'pki', 'authorities', 'local', 'root.crt')
    const trusted = { NODE_EXTRA_CA_CERTS: root }
    const phone = ['--vault', join(folder, 'phone')]
    const made = ['init', '--remote', origin, '--registration-token', TOKEN, ...phone]
    const [{ recoveryPhrase } = {}] = await objects(made, '', trusted)
    await done(['put', 'notes', 'a', '{"t":"over TLS"}', ...phone], '', trusted)
    await done(['sync', ...phone], '', trusted)
    const laptop = ['--vault', join(folder, 'laptop')]
    const restore = ['restore', '--remote', origin, '--keep-all', ...laptop]
    await done(restore, `${recoveryPhrase}\n`, trusted)
    await done(['sync', ...laptop], '', trusted)
    const watching = startProcess(
      process.execPath,
      [COMMAND, 'sync', '--watch', '--json', ...laptop],
      trusted,
    )
    const lines = createInterface({ input: watching.child.stdout as never })[Symbol.asyncIterator]()
    await lines.next()
    await done(['put', 'notes', 'b', '{"t":"live"}', ...phone], '', trusted)
    await done(['sync', ...phone], '', trusted)
    await expect.poll(async () => (await lines.next()).value as string).toContain('received')
    const statuses = ['/metrics', '/admin', '/healthz'].map(async (path) => {
      const script = `fetch(${JSON.stringify(origin + path)}).then(({ status }) => console.log(status))`
      const { stdout } = await run(process.execPath, ['-e', script], {
        env: { ...process.env, ...trusted },
      })
      return Number(stdout)
    })
    expect(await Promise.all(statuses)).toEqual([404, 404, 200])
  }, 180_000)
})

it('what a build takes leaves out what a working copy has besides', async () => {
  const ignored = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).split('\n')
  for (const name of ['.git', '**/node_modules', '**/dist']) expect(ignored).toContain(name)
})
