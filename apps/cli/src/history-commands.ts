/**
 * The command of a record's history.
 */
import { type Command, InvalidArgumentError } from 'commander'
import type { HistoryCommandOptions } from './history.ts'
import type { Terminal } from './terminal.ts'

export function addHistory(program: Command, terminal: Terminal): void {
  program
    .command('history <COLLECTION> <KEY>')
    .description('earlier versions of a record, deleted ones too, while the remote keeps them')
    .option('--limit <N>', 'so many at most (100)', parseLimit)
    .option('--show <VERSION>', 'print what one of them held')
    .option('--restore <VERSION>', 'write one of them again')
    .action(async (collection: string, key: string, ...rest: [unknown, Command]) => {
      const { history } = await import('./history.ts')
      const options = rest[1].optsWithGlobals<HistoryCommandOptions>()
      await history({ collection, key }, options, terminal)
    })
}

function parseLimit(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('a limit is a whole number from 1 to 999999')
}
