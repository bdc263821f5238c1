#!/usr/bin/env node
/**
 * The command `blindcopy`: runs one command, and tells what went wrong, with its code, a remedy and
 * an exit code. The one place where errors become what a person or a script reads.
 */
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { CliError } from './cli-error.ts'
import { failureOf, formatFailure } from './failure.ts'
import { createProgram } from './program.ts'
import { Terminal } from './terminal.ts'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

// Known before the arguments are understood, since a misunderstanding is told in JSON too.
const terminal = new Terminal(process.argv.includes('--json'))
const program = createProgram(manifest.version, terminal)

try {
  await program.parseAsync()
} catch (error) {
  const cause = error instanceof CommanderError ? usageError(error) : error
  if (cause !== undefined) {
    const failure = failureOf(cause)
    const columns = terminal.isWatched ? terminal.messageColumns : undefined
    terminal.note(formatFailure(failure, terminal.json, columns))
    process.exitCode = failure.exit
    // Whoever stopped it does not wait for a request that is under way.
    if (failure.code === 'interrupted') process.exit()
  }
}

/** Undefined when the person asked for help or the version, and got it. */
function usageError({ code, message, exitCode }: CommanderError): CliError | undefined {
  if (exitCode === 0) return undefined
  if (code === 'commander.help') {
    if (!terminal.json) terminal.note(program.helpInformation())
    return new CliError('usage', 'which command?')
  }
  const sentence = message.replace(/^error: /, '').replace(' is invalid. ', ' is invalid: ')
  const hint = code === 'commander.unknownOption' ? '; a key that begins with - goes after --' : ''
  return new CliError('usage', `${sentence}${hint}`)
}
