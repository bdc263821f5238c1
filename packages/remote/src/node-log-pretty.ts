/**
 * Pretty: a line of the log for eyes.
 *
 *   16:04:29.120 info  POST /v1/push 200 · 12 ms · 5c1f0a77-41
 *   16:04:31.007 warn  no address of this remote is https [exposed]
 */

const LEVEL_COLUMNS = 5
const ELSEWHERE: ReadonlySet<string> = new Set(['level', 'time', 'message'])

type Line = Readonly<Record<string, unknown>>

/** From the line that pino made; what is no such line is passed on. */
export function formatPretty(text: string): string {
  let line: Line
  try {
    line = JSON.parse(text) as Line
  } catch {
    return text
  }
  const time = String(line.time).slice(11, 23)
  const level = String(line.level).padEnd(LEVEL_COLUMNS)
  return `${time} ${level} ${line.message === 'request' ? requestOf(line) : eventOf(line)}\n`
}

function requestOf({ method, route, status, code, ms, requestId, address, bodyBytes }: Line) {
  const head = `${method} ${route} ${status}${code === undefined ? '' : ` ${code}`}`
  const size = bodyBytes === undefined ? undefined : `${bodyBytes} bytes`
  return [head, `${ms} ms`, size, address, requestId]
    .filter((part) => part !== undefined)
    .join(' · ')
}

function eventOf(line: Line): string {
  const { message, code } = line
  if (line.level === 'warn') return `${message} [${code}]`
  const names = Object.keys(line).filter((name) => !ELSEWHERE.has(name) && name !== 'at')
  const facts = names.map((name) => `${name} ${String(line[name])}`)
  const frames = Array.isArray(line.at) ? line.at.map((frame) => `\n      at ${frame}`) : []
  return `${[message, ...facts].join(' · ')}${frames.join('')}`
}
