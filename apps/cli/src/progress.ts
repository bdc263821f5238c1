/**
 * Progress: a bar on a terminal for whatever takes longer than a second, and nothing elsewhere.
 */
import cliProgress from 'cli-progress'
import type { Terminal } from './terminal.ts'

const QUIET_MS = 1_000

export type Progress = {
  update(done: number, total: number): void
  /** Takes the bar away. */
  end(): void
}

export function createProgress(terminal: Terminal, label: string): Progress {
  if (!terminal.isWatched) return { update: () => undefined, end: () => undefined }
  const startMs = Date.now()
  let bar: cliProgress.SingleBar | undefined
  return {
    update(done, total) {
      if (bar === undefined) {
        if (Date.now() - startMs < QUIET_MS) return
        bar = createBar(terminal, label)
        bar.start(total, done)
        return
      }
      bar.setTotal(total)
      bar.update(done)
    },
    end() {
      bar?.stop()
      bar = undefined
    },
  }
}

function createBar(terminal: Terminal, label: string): cliProgress.SingleBar {
  return new cliProgress.SingleBar(
    {
      format: `${label} {bar} {percentage} %  {value} of {total}`,
      stream: terminal.messages,
      barsize: 30,
      clearOnComplete: true,
      // A program that is killed must not leave a terminal without a cursor.
      hideCursor: false,
      gracefulExit: false,
      formatValue: (value, _options, type) =>
        type === 'percentage' ? String(value).padStart(3) : value.toLocaleString('en-US'),
    },
    cliProgress.Presets.shades_classic,
  )
}
