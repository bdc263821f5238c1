/**
 * Status line: one line at the bottom of a terminal that says what goes on, written over again and
 * again, with whatever is to stay above it. Where nobody watches it is plain lines, and few: of
 * those that only count on, one every few seconds.
 */
import { clip } from './layout.ts'
import type { Terminal } from './terminal.ts'

const QUIET_MS = 5_000
const REDRAW_MS = 100
/** A line that is wider than the terminal could not be written over. */
const COLUMNS_UNKNOWN = 80
const CLEAR = '\r\u001b[K'

export type StatusLine = {
  /** `subject` is what goes on; a line of the same subject takes the place of the last. */
  show(subject: string, text: string): void
  /** Clears the line, so that something else can be printed. */
  clear(): void
}

type Clock = () => number

/** `isQuick`: plain lines tell at once what goes on, not only what lasts. */
export function createStatusLine(
  terminal: Terminal,
  options: { readonly isQuick?: boolean; readonly nowMs?: Clock } = {},
): StatusLine {
  if (terminal.json) return { show: () => undefined, clear: () => undefined }
  const { nowMs = Date.now } = options
  return terminal.isWatched ? writtenOver(terminal, nowMs) : plain(terminal, options, nowMs)
}

function writtenOver(terminal: Terminal, nowMs: Clock): StatusLine {
  let shown = ''
  let shownMs = Number.NEGATIVE_INFINITY
  let lastSubject = ''
  return {
    show(subject, text) {
      const isSoon = nowMs() - shownMs < REDRAW_MS && subject === lastSubject
      const line = clip(text, widthIn(terminal) - 1)
      if (line === shown || isSoon) return
      terminal.messages.write(`${CLEAR}${terminal.dim(line)}`)
      shown = line
      shownMs = nowMs()
      lastSubject = subject
    },
    clear() {
      if (shown !== '') terminal.messages.write(CLEAR)
      shown = ''
    },
  }
}

const widthIn = ({ messageColumns }: Terminal): number =>
  Number.isFinite(messageColumns) ? messageColumns : COLUMNS_UNKNOWN

function plain(
  terminal: Terminal,
  { isQuick = false }: { readonly isQuick?: boolean },
  nowMs: Clock,
): StatusLine {
  let lastSubject = ''
  let toldMs = isQuick ? Number.NEGATIVE_INFINITY : nowMs()
  return {
    show(subject, text) {
      const isNews = isQuick && subject !== lastSubject
      if (!isNews && nowMs() - toldMs < QUIET_MS) return
      terminal.note(text)
      lastSubject = subject
      toldMs = nowMs()
    },
    clear: () => undefined,
  }
}
