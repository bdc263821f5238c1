/**
 * Every command that a document names is one: it is there, and so is each of its options.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from './program.ts'
import { addSettings } from './serve/options.ts'
import { Terminal } from './terminal.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const DOCUMENTS = [
  'README.md',
  ...readdirSync(`${ROOT}/docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const program = createProgram('0', new Terminal(true))
// Added only when it is called.
addSettings(program.commands.find((command) => command.name() === 'serve') as Command)

/** In code marks or blocks: what follows `blindcopy`, without what a shell makes of the rest. */
function commandsIn(text: string): string[] {
  const inline = [...text.matchAll(/`(?:npx )?blindcopy ([^`]+)`/g)]
  const lines = [...text.matchAll(/^(?:npx )?blindcopy (.+)$/gm)]
  return [...inline, ...lines].map(([, words = '']) => words.replace(/ *[#<>].*$/, '').trim())
}

/** What is wrong with it; undefined for nothing. */
function problemOf(command: string): string | undefined {
  let part: Command = program
  const words = command.split(/\s+/).map((word) => word.replace(/[[\]…]/g, ''))
  for (const word of words) {
    const next = part.commands.find((one) => one.name() === word)
    if (next === undefined) break
    part = next
  }
  if (part === program && !words[0]?.startsWith('--') && !/^[A-Z]+$/.test(words[0] ?? '')) {
    return `there is no command ${words[0]}`
  }
  const known = [...part.options, ...program.options].map(({ long }) => long)
  const given = words.flatMap((word) => word.split('|')).filter((word) => word.startsWith('--'))
  const unknown = given.find((word) => !['--help', '--version', ...known].includes(word))
  return unknown === undefined ? undefined : `it has no option ${unknown}`
}

describe('the commands of the documents', () => {
  it('are found, and told from what is none', () => {
    const text = '`blindcopy keys end-fork --keep-all`\n```sh\nblindcopy sync --never # x\n```'
    expect(commandsIn(text).map(problemOf)).toEqual([undefined, 'it has no option --never'])
    expect(problemOf('nonsense')).toBe('there is no command nonsense')
    const all = DOCUMENTS.flatMap((path) => commandsIn(readFileSync(`${ROOT}/${path}`, 'utf8')))
    expect(all.length).toBeGreaterThan(60)
  })

  it.each(DOCUMENTS)('%s names only commands and options there are', (path) => {
    const commands = commandsIn(readFileSync(`${ROOT}/${path}`, 'utf8'))
    const wrong = commands.map((command) => [command, problemOf(command)] as const)
    expect(wrong.filter(([, problem]) => problem !== undefined)).toEqual([])
  })
})
