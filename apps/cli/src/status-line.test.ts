/**
 * The status line: written over where somebody watches, few plain lines elsewhere, nothing in JSON.
 */
import { expect, it } from 'vitest'
import { createStatusLine } from './status-line.ts'
import type { Terminal } from './terminal.ts'

function makeTerminal(options: { isWatched: boolean; json?: boolean }) {
  const written: string[] = []
  const terminal = {
    json: options.json ?? false,
    isWatched: options.isWatched,
    messageColumns: 20,
    messages: { write: (text: string) => written.push(text) },
    note: (text: string) => written.push(`${text}\n`),
    dim: (text: string) => text,
  } as unknown as Terminal
  return { terminal, written }
}

it('writes one line over and over, cut to the terminal, and clears it once', () => {
  const { terminal, written } = makeTerminal({ isWatched: true })
  let nowMs = 0
  const line = createStatusLine(terminal, { nowMs: () => nowMs })
  line.show('pulling', 'receiving 1 of 100 and more')
  line.show('pulling', 'receiving 2 of 100')
  nowMs = 100
  line.show('pulling', 'receiving 3 of 100')
  line.show('pushing', 'sending')
  line.clear()
  line.clear()
  const clear = '\r\u001b[K'
  expect(written).toEqual([
    `${clear}receiving 1 of 100…`,
    `${clear}receiving 3 of 100`,
    `${clear}sending`,
    clear,
  ])
})

it('writes plain lines for what lasts, and at once only when it is asked to', () => {
  let nowMs = 0
  const slow = makeTerminal({ isWatched: false })
  const quick = makeTerminal({ isWatched: false })
  const lines = [
    createStatusLine(slow.terminal, { nowMs: () => nowMs }),
    createStatusLine(quick.terminal, { nowMs: () => nowMs, isQuick: true }),
  ]
  for (const ms of [0, 1_000, 5_000, 6_000, 10_000]) {
    nowMs = ms
    for (const line of lines) line.show('pulling', `at ${ms}`)
  }
  for (const line of lines) line.clear()
  expect(slow.written).toEqual(['at 5000\n', 'at 10000\n'])
  expect(quick.written).toEqual(['at 0\n', 'at 5000\n', 'at 10000\n'])
})

it('says nothing in JSON', () => {
  const { terminal, written } = makeTerminal({ isWatched: true, json: true })
  const line = createStatusLine(terminal)
  line.show('pulling', 'receiving')
  line.clear()
  expect(written).toEqual([])
})
