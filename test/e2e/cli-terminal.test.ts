/**
 * The commands of devices and keys at a real terminal: what a person is shown before something is
 * removed, what is asked, and that nothing they decide by is cut, however narrow it is.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMAND, done, objects } from './commands.ts'
import { type KeyHome, makeKeyHome, PASSPHRASE } from './key-home.ts'
import { endStarted, startProcess } from './processes.ts'

/** Of util-linux: others take other arguments. */
const hasScript = spawnSync('script', ['--version']).stdout?.includes('util-linux') === true

let home: KeyHome

beforeAll(async () => {
  if (hasScript) home = await makeKeyHome()
}, 240_000)
afterAll(endStarted)

type Answer = readonly [question: string, typed: string]

/** A command in a terminal of so many columns; each answer is typed when its question stands. */
async function at(
  columns: number,
  args: readonly string[],
  answers: readonly Answer[] = [],
): Promise<{ readonly code: number | null; readonly shown: string }> {
  const words = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(' ')
  const line = `stty cols ${columns}; exec ${words}`
  const { child, output } = startProcess('script', ['-qefc', line, '/dev/null'])
  const left = [...answers]
  let heard = 0
  child.stdout?.on('data', () => {
    const said = output()
    const [question, typed] = left[0] ?? []
    if (question === undefined || !said.slice(heard).includes(question)) return
    heard = said.length
    left.shift()
    child.stdin?.write(`${typed}\r`)
  })
  const [code] = await once(child, 'close')
  expect(left, output()).toEqual([])
  return { code: code as number | null, shown: plain(output()) }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what moves the cursor.
const CONTROL = /\u001b\[[\d;?]*[A-Za-z]/g
const plain = (text: string): string => text.replace(CONTROL, '').replaceAll('\r\n', '\n')
const unwrapped = (text: string): string => text.replace(/\s+/g, ' ')

describe.skipIf(!hasScript)('at a terminal', () => {
  it.each([0, 40, 80])(
    'of %i columns nothing is cut',
    async (columns) => {
      const { on } = home
      for (const command of [
        ['devices', 'list'],
        ['keys', 'status'],
        ['verify', '--offline'],
      ]) {
        const { code, shown } = await at(columns, on('phone', ...command))
        expect(code, shown).toBe(0)
        expect(shown, command.join(' ')).not.toContain('…')
        const lines = shown.split('\n')
        if (columns > 0) for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
        else expect(lines.length, 'words below each other').toBeLessThan(20)
        if (command[0] === 'devices')
          expect(unwrapped(shown)).toMatch(/key file added .* by the phone/)
      }
    },
    240_000,
  )

  it('shows who is in the vault before it is restored, and removes whom one chooses', async () => {
    const { on, remote, phrase } = home
    const lost = on('lost', 'restore', '--remote', remote.url, '--name', 'the lost one')
    await done(lost, phrase)
    const restoring = on('laptop', 'restore', '--remote', remote.url, '--name', 'laptop')
    const { code, shown } = await at(80, restoring, [
      [' 1: ', phrase.trim()],
      ['Enter: all stay): ', '7'],
      ['Enter: all stay): ', '4'],
    ])
    expect(code, shown).toBe(0)
    expect(shown).toMatch(/1 {2}\S+ +the phone[\s\S]*key file[\s\S]*4 {2}\S+ +the lost one/)
    expect(shown).toContain('Numbers from 1 to 4')
    expect(shown).toMatch(/laptop +added .+? +this device\n/)
    const [status] = await objects(on('laptop', 'keys', 'status'))
    expect(status?.revoked).toMatchObject([{ name: 'the lost one' }])
  }, 240_000)

  it('shows what a stolen device has let in, asks since when, and asks once more', async () => {
    const { on, root } = home
    const [made] = await objects(on('laptop', 'keys', 'status'))
    const devices = made?.devices as { deviceId: string; name: string }[]
    const id = devices.find(({ name }) => name === 'laptop')?.deviceId ?? ''
    const thief = join(root, 'thief.key')
    const making = on('laptop', 'keys', 'backup', 'key-file', thief, '--name', 'of the thief')
    const asked = await at(80, making, [
      ['for the key file: ', 'short'],
      ['for the key file: ', PASSPHRASE],
      ['The same again: ', PASSPHRASE],
    ])
    expect(asked.shown).toContain('at least 8 characters')
    expect(asked.shown).not.toContain(PASSPHRASE)
    const revoking = on('phone', 'devices', 'revoke', id.slice(0, 6))
    const denied = await at(80, revoking, [
      ['none of them) ', 'last week'],
      ['none of them) ', 'all'],
      ['(y/n) ', 'n'],
    ])
    expect(denied.shown).toContain('Nothing was changed.')
    const removed = await at(80, revoking, [
      ['none of them) ', '1h'],
      ['(y/n) ', 'y'],
    ])
    expect(removed.code, removed.shown).toBe(0)
    expect(removed.shown).toMatch(/let these into the vault:\s+\S+ +of the thief/)
    expect(removed.shown).toMatch(/These go:\s+\S+ +laptop.*\n.*of the thief/)
    expect(removed.shown).toContain('Removed "of the thief"')
    expect(unwrapped(removed.shown)).toContain('change the passwords and tokens')
  }, 240_000)
})
