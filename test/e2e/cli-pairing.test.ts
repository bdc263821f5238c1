/**
 * Pairing by the command line: two processes with a real remote between them, each with somebody
 * who reads its screen and answers.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { COMMAND, done, objects, refusal, run, type Served, serve } from './commands.ts'
import { startProcess, temporaryFolder } from './processes.ts'

let root: string
let remote: Served
let phone: string[]
let laptop: string[]

/** A vault on the phone with one note; the laptop has nothing. */
beforeEach(async () => {
  root = temporaryFolder()
  remote = await serve(join(root, 'remote'))
  phone = ['--vault', join(root, 'phone')]
  laptop = ['--vault', join(root, 'laptop')]
  const token = ['--registration-token', remote.registrationToken]
  await done(['init', '--remote', remote.url, ...token, '--name', 'the phone', ...phone])
  await done(['put', 'notes', 'a', '{"text":"written before"}', ...phone])
  await done(['sync', ...phone])
}, 60_000)

/** A command under way: what it has said so far, and how to answer it. */
class Talk {
  readonly #child: ChildProcess
  readonly #output: () => string
  readonly #ended: Promise<unknown[]>

  constructor(args: readonly string[]) {
    const { child, output } = startProcess(process.execPath, [COMMAND, ...args])
    this.#child = child
    this.#output = output
    this.#ended = once(child, 'close')
  }

  /** Until it has said something of this form; what it ends with instead is a failure. */
  async hear(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#output())
      if (found !== null) return found
      const streams = [this.#child.stdout, this.#child.stderr]
      const more = streams.map((stream) => once(stream as NodeJS.ReadableStream, 'data'))
      const ended = this.#ended.then(() => {
        if (pattern.exec(this.#output()) !== null) return
        throw new Error(`it ended without ${pattern}: ${this.#output()}`)
      })
      await Promise.race([...more, ended])
    }
  }

  answer(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  hangUp(): void {
    this.#child.stdin?.end()
  }

  interrupt(): void {
    this.#child.kill('SIGINT')
  }

  /** Its exit code. */
  async end(): Promise<number | null> {
    const [code] = await this.#ended
    return code as number | null
  }

  get said(): string {
    return this.#output()
  }
}

const digitsOf = async (talk: Talk): Promise<string> =>
  (await talk.hear(/^ {2}(\d{3} \d{3})$/m))[1] as string

describe('blindcopy devices', () => {
  it('lets a device in by a code, when both people see the same digits', async () => {
    const svg = join(root, 'code.svg')
    const inviting = new Talk(['devices', 'invite', '--svg', svg, ...phone])
    const [code] = await inviting.hear(/^blindcopy-pair:\S+$/m)
    expect(inviting.said).toMatch(/█▀|▀█/)
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg /)
    expect(statSync(svg).mode & 0o777).toBe(0o600)
    const joining = new Talk(['devices', 'join', '--name', 'the laptop', ...laptop])
    await joining.hear(/Code:/)
    joining.answer(code)
    expect(await digitsOf(inviting)).toBe(await digitsOf(joining))
    expect(inviting.said).toContain('"the laptop" asks to join')
    expect(existsSync(join(root, 'laptop'))).toBe(false)
    joining.answer('perhaps')
    joining.answer('y')
    inviting.answer('yes')
    expect([await inviting.end(), await joining.end()], joining.said).toEqual([0, 0])
    expect(await done(['get', 'notes', 'a', ...laptop])).toContain('written before')
    for (const device of [phone, laptop]) {
      const list = await done(['devices', ...device])
      expect(list).toMatch(/the phone[\s\S]*the laptop/)
    }
    await done(['put', 'notes', 'b', '{"text":"by the new one"}', ...laptop])
    await done(['sync', ...laptop])
    await done(['sync', ...phone])
    expect(await done(['get', 'notes', 'b', ...phone])).toContain('by the new one')
    const [listed] = await objects(['devices', 'list', ...phone])
    expect(listed?.devices).toMatchObject([
      { name: 'the phone', isThis: true },
      { name: 'the laptop' },
    ])
  }, 60_000)

  it('lets a device in by six words, for programs that stand before a person', async () => {
    const inviting = new Talk(['devices', 'invite', '--words', '--json', ...phone])
    const [line] = await inviting.hear(/^\{"words".*\}$/m)
    const { words, remote: address, expiresMs } = JSON.parse(line)
    expect(words.split(' ')).toHaveLength(6)
    expect(address).toBe(remote.url)
    expect(expiresMs).toBeGreaterThan(Date.now())
    const joining = new Talk([
      'devices',
      'join',
      words.toUpperCase(),
      '--remote',
      address,
      '--json',
      ...laptop,
    ])
    const shown = [await inviting.hear(/^\{"name".*\}$/m), await joining.hear(/^\{"digits".*\}$/m)]
    const [here, there] = shown.map(([text]) => JSON.parse(text))
    expect(here.digits).toBe(there.digits)
    joining.answer('y')
    inviting.answer('y')
    expect([await inviting.end(), await joining.end()], joining.said).toEqual([0, 0])
    expect(inviting.said).toContain('{"approved":true}')
    expect(JSON.parse(joining.said.trim().split('\n').at(-1) ?? '').vaultId).toBe(there.vaultId)
  }, 60_000)

  it('lets nobody in where one of the two says no, or is gone', async () => {
    const pair = async (): Promise<[Talk, Talk]> => {
      const inviting = new Talk(['devices', 'invite', ...phone])
      const [code] = await inviting.hear(/^blindcopy-pair:\S+$/m)
      const joining = new Talk(['devices', 'join', code, ...laptop])
      await Promise.all([digitsOf(inviting), digitsOf(joining)])
      return [inviting, joining]
    }
    const [denying, denied] = await pair()
    denied.answer('y')
    denying.answer('n')
    expect([await denying.end(), await denied.end()]).toEqual([0, 3])
    expect(denied.said).toContain('[pairing-denied]')

    const [contested, refusing] = await pair()
    refusing.answer('n')
    expect(await refusing.end()).toBe(3)
    contested.answer('y')
    expect(await contested.end()).toBe(3)
    expect(contested.said).toContain('[pairing-contested]')

    const [left, waiting] = await pair()
    waiting.answer('y')
    left.hangUp()
    expect([await left.end(), await waiting.end()]).toEqual([130, 3])
    expect(waiting.said).toContain('[pairing-expired]')
    expect(existsSync(join(root, 'laptop'))).toBe(false)
    expect((await objects(['devices', ...phone]))[0]?.devices).toHaveLength(1)
  }, 90_000)

  it('takes an invitation back when it is stopped', async () => {
    const inviting = new Talk(['devices', 'invite', ...phone])
    const [code] = await inviting.hear(/^blindcopy-pair:\S+$/m)
    await inviting.hear(/It can be used once/)
    inviting.interrupt()
    expect(await inviting.end()).toBe(130)
    expect(await refusal(['devices', 'join', code, ...laptop])).toEqual({
      exit: 3,
      code: 'pairing-expired',
    })
  }, 60_000)

  it('refuses what makes no sense, each with its code', async () => {
    const file = join(root, 'taken.svg')
    writeFileSync(file, 'mine')
    const words = 'zoo zoo zoo zoo zoo zoo'
    for (const [args, code] of [
      [['invite', '--words', '--svg', file, ...phone], 'usage'],
      [['invite', '--svg', file, ...phone], 'file-exists'],
      [['invite', ...laptop], 'not-a-vault'],
      [['join', 'blindcopy-pair:nothing', ...laptop], 'pairing-code-malformed'],
      [['join', 'zoo zoo', '--remote', remote.url, ...laptop], 'pairing-code-malformed'],
      [['join', words, '--remote', remote.url, ...laptop], 'pairing-expired'],
      [['join', words, '--remote', 'http://127.0.0.1:9', ...laptop], 'network'],
      [['join', 'blindcopy-pair:nothing', ...phone], 'pairing-code-malformed'],
    ] as const) {
      expect((await refusal(['devices', ...args])).code, args.join(' ')).toBe(code)
    }
    expect(readFileSync(file, 'utf8')).toBe('mine')
    expect((await run(['devices', 'join', ...laptop])).code).toBe(130)
    expect(existsSync(join(root, 'laptop'))).toBe(false)
  }, 60_000)
})
