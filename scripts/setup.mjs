/**
 * `npm run setup`: installs what the lockfile names, with the one version of pnpm that wrote it. With
 * `build` it compiles the packages too. What the tools say is shown only when they fail.
 *
 * Plain JavaScript without imports of packages: it runs in a fresh clone, and on a Node too old.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PNPM = 'pnpm@12.21.0'
const INSTALL = [
  'install',
  '--frozen-lockfile',
  '--prefer-offline',
  '--reporter=append-only',
  // It must not ask whether it may replace packages that another program has installed.
  '--config.confirmModulesPurge=false',
]

checkNode()
await step('Installing packages (a minute the first time)', {
  command: ['npx', '-y', PNPM, ...INSTALL],
  remedy:
    'If the package registry was not reached, check the connection or proxy and run it again.',
})
if (process.argv.includes('build')) {
  await step('Building', {
    command: ['npm', 'run', '--silent', 'build'],
    remedy: 'The code does not compile: see above.',
  })
}

/** The tests ask for more than the packages themselves. */
function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isEnough = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)
  if (isEnough) return
  console.error(`This is Node ${process.versions.node}. Blindcopy is built and tested with Node`)
  console.error(
    '20.19 or later, or 22.12 or later: install one (https://nodejs.org), then try again.',
  )
  process.exit(1)
}

async function step(what, { command, remedy }) {
  process.stdout.write(`${what} … `)
  const startMs = Date.now()
  const { code, text } = await run(command)
  if (code === 0) {
    console.log(`done in ${((Date.now() - startMs) / 1000).toFixed(1)} s`)
    return
  }
  console.log('failed')
  console.error(`\n${text}\n${command.join(' ')} ended with ${code}.\n${remedy}`)
  process.exit(1)
}

function run([name, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(name, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    const chunks = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (c) => chunks.push(c))
    const end = (code) => resolve({ code, text: Buffer.concat(chunks).toString('utf8') })
    child.on('error', (error) => {
      chunks.push(Buffer.from(error.message))
      end(1)
    })
    child.on('close', end)
  })
}
