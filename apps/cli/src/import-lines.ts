/**
 * JSON lines: one object a line, in UTF-8. Empty lines are passed over.
 *
 *   {"collection":…,"key":…,"fields":{…}}   the form of `export`: its key and fields are taken
 *   {…}                                      any other object is the fields of a record
 *
 * With a key field every line is of the second form, and its key is the text or number in it. Lines
 * of the first form may name any one collection: it can be imported under another name.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Fields } from '@blindcopy/protocol'
import { CliError } from './cli-error.ts'
import type { Incoming } from './import.ts'
import { checkRecord } from './incoming.ts'
import { parseJson, readFields } from './json-form.ts'
import type { Progress } from './progress.ts'

export type LinesSource = { readonly path: string; readonly keyField: string | undefined }

/** Reads every line and stores nothing. Returns how many records there are. */
export async function checkLines(source: LinesSource, progress: Progress): Promise<number> {
  const { size } = await stat(source.path)
  let records = 0
  for await (const { endBytes } of readRecords(source)) {
    records++
    if (records % 1000 === 0) progress.update(endBytes, size)
  }
  return records
}

export async function* readLines(source: LinesSource): AsyncGenerator<Incoming> {
  for await (const { incoming } of readRecords(source)) yield incoming
}

type Numbered = { readonly incoming: Incoming; readonly endBytes: number }

async function* readRecords({ path, keyField }: LinesSource): AsyncGenerator<Numbered> {
  let number = 0
  let collection: string | undefined
  for await (const { text, endBytes } of linesOf(path)) {
    number++
    if (text.trim() === '') continue
    const line = readLine(text, keyField, number)
    collection ??= line.collection
    if (line.collection !== undefined && line.collection !== collection) {
      throw badLine(
        number,
        'is of another collection than those before: `blindcopy export COLLECTION` writes only one',
      )
    }
    const checked = checkRecord(line.key, line.fields)
    if ('refusal' in checked) throw badLine(number, `cannot be stored: ${checked.refusal}`)
    const { key, fields } = line
    yield { incoming: { key, fields, sizeBytes: checked.sizeBytes }, endBytes }
  }
}

type Line = {
  readonly key: string | undefined
  readonly fields: Fields
  readonly collection?: string
}

function readLine(text: string, keyField: string | undefined, number: number): Line {
  try {
    const parsed = parseJson(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
      throw badLine(number, 'is not a JSON object: each line must be one')
    }
    if (keyField !== undefined) {
      const fields = readFields(parsed)
      return { key: keyIn(fields, keyField, number), fields }
    }
    if (!isExported(parsed)) return { key: undefined, fields: readFields(parsed) }
    const { key, fields, collection } = parsed
    return {
      key,
      fields: readFields(fields),
      ...(collection === undefined ? {} : { collection }),
    }
  } catch (error) {
    if (error instanceof CliError && error.code === 'invalid-json') {
      throw badLine(number, `is no record: ${error.message}`)
    }
    throw error
  }
}

function keyIn(fields: Fields, keyField: string, number: number): string {
  const key = Object.hasOwn(fields, keyField) ? fields[keyField] : undefined
  if (typeof key === 'string' || typeof key === 'bigint') return String(key)
  if (typeof key === 'number' && Number.isFinite(key)) return String(key)
  throw badLine(number, `has no text or number in the field ${JSON.stringify(keyField)}`)
}

type Exported = { readonly key: string; readonly fields: unknown; readonly collection?: string }

const EXPORTED_NAMES: ReadonlySet<string> = new Set(['collection', 'key', 'fields'])

function isExported(parsed: object): parsed is Exported {
  const { key, fields, collection } = parsed as Record<string, unknown>
  const hasParts = typeof key === 'string' && typeof fields === 'object' && fields !== null
  if (!hasParts || (collection !== undefined && typeof collection !== 'string')) return false
  return Object.keys(parsed).every((name) => EXPORTED_NAMES.has(name))
}

const LINE_CHARACTERS_MAX = 16 * 1024 * 1024

/** Split at newlines only: other characters that end lines elsewhere may stand inside JSON text. */
async function* linesOf(path: string): AsyncGenerator<{ text: string; endBytes: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let number = 0
  let rest = ''
  let endBytes = 0
  const decode = (chunk?: Uint8Array): string => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined })
    } catch {
      throw badLine(number + 1, 'or one soon after it is not text in UTF-8')
    }
  }
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    endBytes += (chunk as Buffer).length
    const lines = (rest + decode(chunk as Buffer)).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_CHARACTERS_MAX) throw badLine(number + lines.length + 1, 'is too long')
    for (const text of lines) {
      number++
      yield { text, endBytes }
    }
  }
  yield { text: rest + decode(), endBytes }
}

function badLine(number: number, what: string): CliError {
  return new CliError('invalid-line', `line ${number} ${what}`)
}
