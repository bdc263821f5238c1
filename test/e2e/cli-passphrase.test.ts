/**
 * The protection of a device's keys as a person meets it: the passphrase is set, changed and
 * removed, a helper keeps the secret of the keys; whatever is wrong is told and changes nothing.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { COMMAND } from './commands.ts'
import { temporaryFolder } from './processes.ts'

const NOBODY = 'http://127.0.0.1:9'
let vault: string
let phrase: string

type Env = Readonly<Record<string, string>>

async function run(args: readonly string[], env: Env = {}, input = '') {
  const options = { env: { ...process.env, BLINDCOPY_VAULT: vault, ...env } }
  const child = spawn(process.execPath, [COMMAND, ...args, '--json'], options)
  child.stdin.end(input)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const [exit] = await once(child, 'close')
  const said = Buffer.concat(err).toString()
  const last = said.trim().split('\n').at(-1) ?? ''
  const { error } = (exit === 0 ? {} : JSON.parse(last)) as { error?: { code: string } }
  return { exit, out: Buffer.concat(out).toString(), said, code: error?.code }
}

async function done(args: readonly string[], env: Env = {}, input = ''): Promise<string> {
  const { exit, out, said } = await run(args, env, input)
  expect(exit, `${args.join(' ')}: ${said}`).toBe(0)
  return out
}

const under = (passphrase: string): Env => ({ BLINDCOPY_PASSPHRASE: passphrase })
const next = (passphrase: string): Env => ({ BLINDCOPY_NEW_PASSPHRASE: passphrase })
const keysFile = () => join(vault, 'device.keys')

beforeEach(async () => {
  vault = join(temporaryFolder(), 'vault')
  const [made = ''] = (await done(['init', '--remote', NOBODY])).split('\n')
  phrase = (JSON.parse(made) as { recoveryPhrase: string }).recoveryPhrase
  await done(['put', 'notes', 'n', '{"kept":true}'])
}, 60_000)

it('sets, changes and removes the passphrase, and keeps the file to its owner', async () => {
  await done(['keys', 'passphrase', 'set'], next('first'))
  expect(statSync(keysFile()).mode & 0o777).toBe(0o600)
  expect(await run(['get', 'notes', 'n'])).toMatchObject({ exit: 2, code: 'passphrase-required' })
  expect(await done(['get', 'notes', 'n'], under('first'))).toContain('kept')

  await done(['keys', 'passphrase', 'change'], { ...under('first'), ...next('zweite é') })
  const old = await run(['get', 'notes', 'n'], under('first'))
  expect(old).toMatchObject({ exit: 2, code: 'passphrase-wrong' })
  expect(await done(['get', 'notes', 'n'], under('zweite e\u0301'))).toContain('kept')

  await done(['keys', 'passphrase', 'remove'], under('zweite é'))
  expect(await done(['get', 'notes', 'n'])).toContain('kept')
  expect(statSync(keysFile()).mode & 0o777).toBe(0o600)
  expect(readdirSync(vault).sort()).toEqual(['device.keys', 'records', 'vault.json'])
}, 120_000)

it('changes nothing for what is wrong', async () => {
  const plain = readFileSync(keysFile())
  const refused = async (args: readonly string[], env: Env, code: string) => {
    const before = readFileSync(keysFile())
    expect(await run(['keys', ...args], env)).toMatchObject({ exit: 2, code })
    expect(readFileSync(keysFile())).toEqual(before)
  }
  await refused(['passphrase', 'change'], next('x'), 'usage')
  await refused(['passphrase', 'remove'], {}, 'usage')
  await refused(['passphrase', 'set'], {}, 'usage')
  await refused(['passphrase', 'set', 'on-argv'], next('x'), 'usage')
  await done(['keys', 'passphrase', 'set'], next('right'))
  expect(readFileSync(keysFile())).not.toEqual(plain)
  await refused(['passphrase', 'set'], { ...under('right'), ...next('x') }, 'usage')
  const wrong = { ...under('wrong'), ...next('x') }
  await refused(['passphrase', 'change'], wrong, 'passphrase-wrong')
  await refused(['passphrase', 'change'], next('x'), 'passphrase-required')
  await refused(['passphrase', 'remove'], under('wrong'), 'passphrase-wrong')
  expect(await done(['get', 'notes', 'n'], under('right'))).toContain('kept')
}, 120_000)

it('closes the keys with what a helper keeps, and opens them with it', async () => {
  const folder = temporaryFolder()
  const helper = join(folder, 'keeper')
  const script = `#!/bin/sh
while IFS='=' read -r name value && [ -n "$name" ]; do eval "$name=\\$value"; done
case $1 in
  store) printf '%s' "$secret" > "${folder}/$vault.$id" ;;
  get) if [ -f "${folder}/$vault.$id" ]; then printf 'secret=%s\\n' "$(cat "${folder}/$vault.$id")"; fi ;;
  erase) rm -f "${folder}/$vault.$id" ;;
esac
`
  writeFileSync(helper, script)
  chmodSync(helper, 0o755)
  const backup = join(vault, '..', 'v.backup')
  const restored = { BLINDCOPY_VAULT: join(vault, '..', 'restored') }
  await done(['backup', 'create', backup])
  const restoring = ['backup', 'restore', backup, '--remote', NOBODY, '--key-helper', helper]
  await done(restoring, restored, `${phrase}\n`)
  expect(await run(['get', 'notes', 'n'], restored)).toMatchObject({ code: 'key-store-required' })
  expect(await done(['get', 'notes', 'n', '--key-helper', helper], restored)).toContain('kept')
  await done(['keys', 'helper', 'set', helper])
  expect(await run(['get', 'notes', 'n'])).toMatchObject({ exit: 2, code: 'key-store-required' })
  expect(await done(['get', 'notes', 'n', '--key-helper', helper])).toContain('kept')
  const helped = { BLINDCOPY_KEY_HELPER: helper }
  expect(await done(['get', 'notes', 'n'], helped)).toContain('kept')
  const missing = await run(['get', 'notes', 'n', '--key-helper', join(folder, 'missing')])
  expect(missing).toMatchObject({ exit: 1, code: 'key-store-failed' })
  await done(['keys', 'passphrase', 'set'], { ...helped, ...next('both') })
  expect(await run(['get', 'notes', 'n'], under('both'))).toMatchObject({
    code: 'key-store-required',
  })
  expect(await done(['get', 'notes', 'n'], { ...helped, ...under('both') })).toContain('kept')
  await done(['keys', 'helper', 'remove'], { ...helped, ...under('both') })
  // What is left is the other folder's.
  expect(readdirSync(folder)).toHaveLength(2)
  expect(await done(['get', 'notes', 'n'], under('both'))).toContain('kept')
}, 120_000)
