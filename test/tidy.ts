/**
 * Tidy: the house rules that a machine can check, as a function of the sources and documents.
 *
 * Lengths are walls, not aims: 400 lines a file, 70 a function, 100 columns. Tests are exempt from
 * the first two. A function that cannot be shorter is named in `LONG_FUNCTIONS` with its length, and
 * may only shrink.
 */

import { isTest, type SyntaxNode, syntaxOf } from './workspace.ts'

export type TidyProblem = { readonly where: string; readonly what: string }

/** What the sources refer to. */
export type Documents = {
  /** The numbers of the decision records, as in `0004`. */
  readonly decisions: ReadonlySet<string>
  /** The text of docs/protocol.md. */
  readonly protocol: string
}

const FILE_LINES_MAX = 400
const FUNCTION_LINES_MAX = 70
const COLUMNS_MAX = 100

/** Lines by `path#function`. The list may only get shorter, and its numbers smaller. */
export const LONG_FUNCTIONS: Readonly<Record<string, number>> = {}

/** Words that say something else than they mean here; the glossary has the right ones. */
const BANNED_ANYWHERE = /\b(masterKey|dto|isDeleted|keyManager)\b/i
const BANNED_IDENTIFIER = /^iv$/i

export function checkTidy(files: ReadonlyMap<string, string>, documents: Documents): TidyProblem[] {
  return [...files].flatMap(([path, source]) => {
    const nodes = [...syntaxOf(path, source)]
    const found = [
      ...checkHeader(source, nodes),
      ...checkColumns(source),
      ...(isTest(path) ? [] : checkLengths(path, source, nodes)),
      ...checkWords(source, nodes),
      ...checkDecisions(source, documents),
      ...(isErrorFile(path) ? checkErrorCodes(source, nodes, documents) : []),
    ]
    return found.map((what) => ({ where: path, what }))
  })
}

/** Every code of every `…ErrorCode` union of a source. */
export function errorCodesOf(nodes: readonly SyntaxNode[]): string[] {
  return nodes
    .filter((node) => node.type === 'TSTypeAliasDeclaration')
    .filter((node) => nameOf(node.id)?.endsWith('ErrorCode') === true)
    .flatMap((alias) =>
      nodes.filter(
        (node) =>
          node.type === 'Literal' &&
          typeof node.value === 'string' &&
          node.start >= alias.start &&
          node.end <= alias.end,
      ),
    )
    .map((literal) => String(literal.value))
}

export function isErrorFile(path: string): boolean {
  return /^packages\/[^/]+\/src\/error\.ts$/.test(path)
}

function checkHeader(source: string, nodes: readonly SyntaxNode[]): string[] {
  const withoutShebang = source.replace(/^#!.*\n/, '')
  return withoutShebang.startsWith('/**') || onlyPassesOn(nodes) ? [] : ['has no header comment']
}

/** True of an index that only re-exports, and of an empty file. */
function onlyPassesOn(nodes: readonly SyntaxNode[]): boolean {
  const body = nodes.find((node) => node.type === 'Program')?.body
  if (!Array.isArray(body)) return false
  return body.every((statement: SyntaxNode) => {
    const isExport = /^Export(Named|All)Declaration$/.test(statement.type)
    return isExport && (statement.declaration ?? null) === null
  })
}

function checkColumns(source: string): string[] {
  return source.split('\n').flatMap((line, index) => {
    // A sentence for people is not cut where the code ends: it is found again by searching for it.
    if (isOneText(line)) return []
    // What counts is what is seen, so a character outside the basic plane is one column.
    const columns = [...line].length
    return columns > COLUMNS_MAX ? [`line ${index + 1} has ${columns} columns`] : []
  })
}

/** A line that holds one text and at most the name or call that it is given to. */
function isOneText(line: string): boolean {
  return /^\s*(?:\w+[:(]\s*)?(['`]).*\1[,;)]*(?: async)?(?: \(\) => \{)?$/.test(line)
}

function checkLengths(path: string, source: string, nodes: readonly SyntaxNode[]): string[] {
  const problems: string[] = []
  const fileLines = source.trimEnd().split('\n').length
  if (fileLines > FILE_LINES_MAX) problems.push(`has ${fileLines} lines: split it`)
  for (const { name, lines } of functionsOf(source, nodes)) {
    const linesMax = LONG_FUNCTIONS[`${path}#${name}`] ?? FUNCTION_LINES_MAX
    if (lines > linesMax) problems.push(`function ${name} has ${lines} lines, over ${linesMax}`)
  }
  return problems
}

/** The functions of a source, each with the name of what holds it. */
export function functionsOf(
  source: string,
  nodes: readonly SyntaxNode[],
): { readonly name: string; readonly lines: number }[] {
  const namesByStart = new Map<number, string>()
  for (const node of nodes) {
    // A method or a constant names the function that is its value.
    const value = node.value ?? node.init
    const name = nameOf(node.key) ?? nameOf(node.id)
    if (name === undefined) continue
    if (isSyntax(value)) namesByStart.set(value.start, name)
    else namesByStart.set(node.start, name)
  }
  return nodes
    .filter((node) =>
      /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type),
    )
    .map((node) => ({
      name: namesByStart.get(node.start) ?? 'without a name',
      lines: source.slice(node.start, node.end).split('\n').length,
    }))
}

function checkWords(source: string, nodes: readonly SyntaxNode[]): string[] {
  const problems: string[] = []
  const word = BANNED_ANYWHERE.exec(source)?.[0]
  if (word !== undefined) problems.push(`says '${word}'`)
  const identifier = nodes
    .map(nameOf)
    .find((name) => name !== undefined && BANNED_IDENTIFIER.test(name))
  if (identifier !== undefined) problems.push(`names something '${identifier}'`)
  return problems
}

function checkDecisions(source: string, documents: Documents): string[] {
  return [...source.matchAll(/\bdecisions? (\d{4})\b/gi)].flatMap(([, number = '']) =>
    documents.decisions.has(number) ? [] : [`cites decision ${number}, which does not exist`],
  )
}

function checkErrorCodes(
  source: string,
  nodes: readonly SyntaxNode[],
  documents: Documents,
): string[] {
  const codes = errorCodesOf(nodes)
  if (codes.length === 0 && /ErrorCode\b/.test(source)) return ['has an ErrorCode without codes']
  return codes.flatMap((code) =>
    documents.protocol.includes(`\`${code}\``) ? [] : [`code ${code} is not in docs/protocol.md`],
  )
}

function nameOf(value: unknown): string | undefined {
  if (!isSyntax(value) || !/^(Private)?Identifier$/.test(value.type)) return undefined
  return typeof value.name === 'string' ? value.name : undefined
}

function isSyntax(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value
}
