/**
 * Judge: what every answer must be, whatever was asked: a success of a known form, or a problem with
 * one documented code; never `internal`, never a word of what went on inside, never long.
 */
import {
  CONTENT_TYPE_CBOR,
  CONTENT_TYPE_PROBLEM,
  Problem,
  STATUS_BY_CODE,
} from '@blindcopy/protocol'
import { type Heard, readAnswers, type WireAnswer } from './wire.ts'

export class Finding extends Error {
  constructor(what: string) {
    super(what)
    this.name = 'Finding'
  }
}

export function must(isSo: unknown, what: string): asserts isSo {
  if (!isSo) throw new Finding(what)
}

const DETAIL_LENGTH_MAX = 400
const TELLS = /\bat (async )?[A-Za-z.<>]+ \(|node:internal|\/packages\/|\[object /

/** The code of a refusal; undefined for a success. */
export function judgeAnswer({ status, headers, body }: WireAnswer): string | undefined {
  const type = headers.get('content-type') ?? ''
  if (status === 204) return undefined
  if (status === 200) {
    const isKnown = [CONTENT_TYPE_CBOR, 'application/json'].includes(type)
    must(isKnown || /^text\/plain/.test(type), `a success of type ${type}`)
    return undefined
  }
  must(type === CONTENT_TYPE_PROBLEM, `status ${status} of type ${type || 'none'}`)
  const problem = Problem.parse(JSON.parse(body.toString('utf8')))
  const expected = STATUS_BY_CODE[problem.code as keyof typeof STATUS_BY_CODE]
  must(expected !== undefined, `an unknown code, ${problem.code}`)
  must(problem.code !== 'internal', 'the code internal')
  must(status === expected && problem.status === expected, `${problem.code} with ${status}`)
  must(problem.type === `urn:blindcopy:problem:${problem.code}`, `the type ${problem.type}`)
  must(body.length < DETAIL_LENGTH_MAX + 400, `a problem of ${body.length} bytes`)
  must(problem.detail.length > 0 && !TELLS.test(problem.detail), `the detail ${problem.detail}`)
  if (status === 429 || problem.code === 'busy') {
    must(headers.has('retry-after'), `${problem.code} without Retry-After`)
  }
  return problem.code
}

export type Judged = { readonly codes: readonly (string | undefined)[]; readonly answers: Read }
type Read = readonly WireAnswer[]

/** Of a whole conversation: how many answers there may be, each as it must be, and nothing else. */
export function judgeHeard(
  heard: Heard,
  { min, max, isHead = false }: { min: number; max: number; isHead?: boolean },
): Judged {
  must(heard.end !== 'late', 'no end in time: it hangs')
  const { answers, rest } = readAsAsked(heard.bytes, isHead)
  must(
    rest.length === 0 || heard.end === 'reset',
    `bytes that are no answer: ${rest.toString('latin1', 0, 80)}`,
  )
  must(
    answers.length >= min && answers.length <= max,
    `${answers.length} answers instead of ${min} to ${max}, ${heard.end}`,
  )
  const codes = answers.map((answer) => (isHead ? headCode(answer) : judgeAnswer(answer)))
  return { codes, answers }
}

/** Who was not understood to ask for a head alone gets a body with it. */
function readAsAsked(bytes: Buffer, isHead: boolean): ReturnType<typeof readAnswers> {
  const read = readAnswers(bytes, isHead)
  return isHead && read.rest.length > 0 ? readAnswers(bytes) : read
}

/** Without a body there is only the status to judge. */
function headCode({ status }: WireAnswer): string | undefined {
  must(status !== 500, 'the status 500')
  return status < 300 ? undefined : String(status)
}
