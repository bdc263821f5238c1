/**
 * Corpus: what fuzzing has found, as recipes of bytes that need no generator: each is a file of
 * `corpus/`. `{token}`, `{syncId}`, `{cursor}` and `{vaultId}` stand for those of a member.
 *
 *   { "what", "pieces": [text | { "hex", "times"? }], "ending", "answers": [code | null] }
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatBase64Url, formatCursor, formatSyncId } from '@blindcopy/protocol'
import { z } from 'zod'
import { judgeHeard, must } from './judge.ts'
import { openTarget, type Target } from './target.ts'
import { converse, LATE_MS, type Piece } from './wire.ts'

const CorpusEntry = z.strictObject({
  what: z.string(),
  /** What came of it before it was mended. */
  was: z.string(),
  pieces: z.array(
    z.union([
      z.string(),
      z.strictObject({ hex: z.string(), times: z.number().int().positive().optional() }),
    ]),
  ),
  ending: z.enum(['wait', 'half', 'reset']),
  /** In their order; null for a success. None when nobody is there to take one. */
  answers: z.array(z.string().nullable()),
})
export type CorpusEntry = z.infer<typeof CorpusEntry>

const FOLDER = join(import.meta.dirname, 'corpus')

export function readCorpus(): CorpusEntry[] {
  const names = readdirSync(FOLDER).sort()
  return names.map((name) =>
    CorpusEntry.parse(JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))),
  )
}

/** Throws a finding unless it is answered as it should be, and nothing else comes of it. */
export async function replay(entry: CorpusEntry): Promise<void> {
  const target = await openTarget({ headersMs: 60_000, transferMs: 60_000 })
  try {
    const pieces = entry.pieces.map((piece) => pieceOf(target, piece))
    const before = await target.stored()
    const startMs = performance.now()
    const heard = await converse(target.port, { pieces, ending: entry.ending })
    const took = performance.now() - startMs
    const { length } = entry.answers
    const { codes } = judgeHeard(heard, { min: length, max: length })
    must(
      codes.every((code, i) => code === (entry.answers[i] ?? undefined)),
      `answered with ${codes} instead of ${entry.answers}`,
    )
    must(took < LATE_MS, `it took ${Math.round(took)} ms`)
    await target.honest.work()
    must(target.bench.faults.length === 0, `a fault is told: ${target.bench.faults[0]}`)
    const after = await target.stored()
    const isOthers = ([key]: readonly [string, string]) => !key.startsWith(target.honest.vaultId)
    must(
      [...after].filter(isOthers).every(([key, value]) => before.get(key) === value),
      'something stored has changed',
    )
  } finally {
    await target.close()
  }
}

function pieceOf({ attacker }: Target, piece: CorpusEntry['pieces'][number]): Piece {
  if (typeof piece !== 'string') return Buffer.from(piece.hex.repeat(piece.times ?? 1), 'hex')
  return piece
    .replaceAll('{token}', attacker.token)
    .replaceAll('{syncId}', formatSyncId(attacker.syncId))
    .replaceAll('{cursor}', formatCursor(attacker.cursor))
    .replaceAll('{vaultId}', formatBase64Url(attacker.chain.vaultId))
}
