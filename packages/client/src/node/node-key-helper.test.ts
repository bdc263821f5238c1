/**
 * Key helpers: real programs, of which one behaves and the others do everything else; and the
 * scripts of the documents, over programs that stand in for those they call.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pooledRandom } from '@blindcopy/vault'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeOf } from '../error.ts'
import { keyStoreCases } from '../vault/key-store.suite.ts'
import { keyHelper } from './node-key-helper.ts'

const random = pooledRandom()
const vault = { vaultId: 'V'.repeat(43), random }
const SCRIPTS = join(import.meta.dirname, '..', '..', '..', '..', 'docs', 'key-helpers')
let folder: string
let path: string | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blindcopy-helper-'))
  path = process.env.PATH
})
afterEach(() => {
  process.env.PATH = path
  rmSync(folder, { recursive: true, force: true })
})

function program(name: string, script: string): string {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  return file
}

/** Keeps each secret in a file, and notes its arguments and what it was told. */
const KEEPER = `
dir=$(dirname "$0")
printf '%s\\n' "$*" >> "$dir/arguments"
env > "$dir/environment"
while IFS='=' read -r name value && [ -n "$name" ]; do eval "$name=\\$value"; done
case $1 in
  store) printf '%s' "$secret" > "$dir/$vault.$id" ;;
  get) if [ -f "$dir/$vault.$id" ]; then printf 'secret=%s\\n' "$(cat "$dir/$vault.$id")"; fi ;;
  erase) rm -f "$dir/$vault.$id" ;;
esac`

/** What it has started outlives it, and holds its output open. */
const SLOW = 'sleep 4 2> /dev/null & exec sleep 60'

const codeWhen = (job: Promise<unknown>): Promise<string | undefined> =>
  job.then(() => 'it went well', codeOf)

describe('a key helper', () => {
  const make = () => keyHelper({ program: program('keeper', KEEPER) })

  it.each(keyStoreCases(() => make(), random))('$name', ({ run }) => run())

  it('is told no secret by its arguments or environment', async () => {
    process.env.BLINDCOPY_PASSPHRASE = 'swordfish'
    process.env.BLINDCOPY_NEW_PASSPHRASE = 'swordfish'
    try {
      const { secret } = await make().create(vault)
      expect(readFileSync(join(folder, 'arguments'), 'utf8')).toBe('store\nget\n')
      const environment = readFileSync(join(folder, 'environment'), 'utf8')
      expect(environment).not.toContain('swordfish')
      expect(environment).not.toContain(Buffer.from(secret).toString('base64url'))
    } finally {
      delete process.env.BLINDCOPY_PASSPHRASE
      delete process.env.BLINDCOPY_NEW_PASSPHRASE
    }
  })

  it('that is not there, fails, says too much or nothing true, is told by one code', async () => {
    const programs = {
      missing: join(folder, 'missing'),
      refuses: program('refuses', 'exit 3'),
      endless: program('endless', 'yes'),
      short: program('short', 'echo secret=AAAA'),
      strange: program('strange', 'echo "secret=!!!"'),
      other: program('other', `echo secret=${'A'.repeat(43)}`),
    }
    for (const [name, file] of Object.entries(programs)) {
      const created = keyHelper({ program: file }).create(vault)
      expect([name, await codeWhen(created)]).toEqual([name, 'key-store-failed'])
    }
    const silent = keyHelper({ program: program('silent', 'cat > /dev/null') })
    expect(await codeWhen(silent.create(vault))).toBe('key-store-empty')
    expect(await codeWhen(silent.load(vault, random(16)))).toBe('key-store-empty')
    expect(() => keyHelper({ program: '' })).toThrow('a key helper is the path of a program')
  })

  it('that never ends is ended, and what it has started is not waited for', async () => {
    const slow = keyHelper({ program: program('slow', SLOW), timeoutMs: 200 })
    const beganMs = performance.now()
    expect(await codeWhen(slow.load(vault, random(16)))).toBe('key-store-failed')
    expect(performance.now() - beganMs).toBeLessThan(3_000)
  })

  it('is run without a shell: its name and arguments are what they are', async () => {
    program('keeper', KEEPER)
    const name = `${join(folder, 'keeper')}; touch ${join(folder, 'broken')}`
    expect(await codeWhen(keyHelper({ program: name }).create(vault))).toBe('key-store-failed')
    const helper = keyHelper({ program: '/bin/sh', arguments: [join(folder, 'keeper'), '$(id)'] })
    await codeWhen(helper.load(vault, random(16)))
    expect(readFileSync(join(folder, 'arguments'), 'utf8')).toBe('$(id) get\n')
  })
})

/** What stands in for the programs that the scripts call: each keeps files beside itself. */
const STAND_INS = {
  pass: `
dir=$(dirname "$0")/entries
cmd=$1; shift
for last; do :; done
file=$dir/$(printf '%s' "$last" | tr / _)
mkdir -p "$dir"
case $cmd in
  insert) cat > "$file" ;;
  ls) [ -f "$file" ] ;;
  show) cat "$file" ;;
  rm) rm "$file" ;;
esac`,
  'secret-tool': `
dir=$(dirname "$0")/entries
mkdir -p "$dir"
cmd=$1; shift
case $1 in --label=*) shift ;; esac
file=$dir/$(printf '%s_' "$@")
case $cmd in
  store) cat > "$file" ;;
  lookup) [ -f "$file" ] && cat "$file" ;;
  clear) rm "$file" ;;
esac`,
  security: `
dir=$(dirname "$0")/entries
mkdir -p "$dir"
if [ "$1" = -i ]; then
  read -r cmd update s service a account w secret
  printf '%s' "$secret" > "$dir/$account"
  exit
fi
case $1 in
  find-generic-password) cat "$dir/$5" 2>/dev/null || exit 44 ;;
  delete-generic-password) rm "$dir/$5" ;;
esac`,
}

describe.each([
  ['pass.sh', 'pass'],
  ['secret-tool.sh', 'secret-tool'],
  ['macos-keychain.sh', 'security'],
] as const)('the script %s', (script, called) => {
  const make = () => keyHelper({ program: join(SCRIPTS, script) })
  beforeEach(() => {
    program(called, STAND_INS[called])
    process.env.PATH = `${folder}:${path}`
  })

  it.each(keyStoreCases(() => make(), random))('$name', ({ run }) => run())
})
