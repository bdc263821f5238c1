/**
 * Two and five devices by the command line alone: each command a process, each device a folder, and
 * a remote served by the same command, killed and served again.
 *
 * Lessons: A1, A5, A9, A14, A15; C3, C7.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { kill, type Started, startProcess, temporaryFolder } from './processes.ts'

const COMMAND = join(import.meta.dirname, '..', '..', 'apps', 'cli', 'bin', 'blindcopy.js')

/** Runs a command to its end; a code other than 0 is a failure of the test. */
async function run(args: readonly string[], input = ''): Promise<string> {
  const { child, output } = startProcess(process.execPath, [COMMAND, ...args])
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stdin?.end(input)
  const [code] = await once(child, 'close')
  expect(code, `${args.join(' ')}: ${output()}`).toBe(0)
  return Buffer.concat(chunks).toString('utf8')
}

type Served = Started & { readonly url: string; readonly registrationToken?: string }

async function serve(folder: string, port = '0'): Promise<Served> {
  const args = ['serve', '--json', '--data', folder, '--port', port]
  const started = startProcess(process.execPath, [
    COMMAND,
    ...args,
    '--registration-token',
    'let-me-in',
  ])
  const lines = createInterface({ input: started.child.stdout as NodeJS.ReadableStream })
  const [line] = (await once(lines, 'line')) as [string]
  return { ...started, ...(JSON.parse(line) as { url: string }) }
}

for (const count of [2, 5]) {
  describe(`${count} devices by the command line`, () => {
    it('export the same bytes after concurrent edits, deletes and a killed remote', async () => {
      const root = temporaryFolder()
      const data = join(root, 'remote')
      const remote = await serve(data)
      const vaults = Array.from({ length: count }, (_, i) => join(root, `device-${i}`))
      const on = (i: number, args: readonly string[], input?: string): Promise<string> =>
        run([...args, '--vault', vaults[i] as string], input)
      const token = ['--registration-token', 'let-me-in']
      const made = await on(0, ['init', '--json', '--remote', remote.url, ...token])
      const { recoveryPhrase } = JSON.parse(made) as { recoveryPhrase: string }
      await on(0, ['put', 'notes', 'shared', '{"by":"first"}'])
      await on(0, ['put', 'notes', 'gone', '{"by":"first"}'])
      await on(0, ['sync'])
      for (let i = 1; i < count; i++) {
        await on(i, ['restore', '--remote', remote.url], `${recoveryPhrase}\n`)
        await on(i, ['sync'])
      }
      const each = vaults.map((_, i) => i)
      await Promise.all(
        each.map(async (i) => {
          await on(i, ['put', 'notes', `own-${i}`, JSON.stringify({ text: `אבג ${i} 今日`, n: 0 })])
          await on(i, ['put', 'notes', 'shared', JSON.stringify({ by: i })])
          if (i === 1) await on(i, ['delete', 'notes', 'gone'])
        }),
      )
      await Promise.all(each.map((i) => on(i, ['sync'])))
      await kill(remote.child)
      // Written while nothing answers.
      await on(0, ['put', 'notes', 'offline', '{"by":"first"}'])
      const again = await serve(data, new URL(remote.url).port)
      expect(again.url).toBe(remote.url)
      // Twice round: what the last one brings must come back to the first.
      for (const i of [...each, ...each]) await on(i, ['sync'])
      const [first, ...others] = await Promise.all(each.map((i) => on(i, ['export'])))
      for (const text of others) expect(text).toBe(first)
      const records = (first ?? '')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { key: string; fields: object })
      const keys = ['offline', ...each.map((i) => `own-${i}`), 'shared']
      expect(records.map(({ key }) => key)).toEqual(keys)
      expect(records.find(({ key }) => key === 'own-1')?.fields).toEqual({
        text: 'אבג 1 今日',
        n: 0,
      })
    }, 90_000)
  })
}
