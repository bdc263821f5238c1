/**
 * Workspace: the sources and manifests of this repository as plain data, so that the rules in
 * layers.ts and tidy.ts are functions of it and can be tested on a few lines of made-up source.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseAst } from 'vitest/node'

export type Manifest = {
  readonly name?: string
  readonly exports?: unknown
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export type Workspace = {
  /** Source text by path from the root, with forward slashes. */
  readonly files: ReadonlyMap<string, string>
  /** Manifests by folder; that of the root is ''. */
  readonly manifests: ReadonlyMap<string, Manifest>
  /** What is installed: manifests of third parties by name. */
  readonly installed: ReadonlyMap<string, Manifest>
}

/** A node of a parsed file; what else it has depends on its type. */
export type SyntaxNode = {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export const ROOT: string = join(import.meta.dirname, '..')

const SOURCE = /\.(ts|tsx|mts|js|mjs)$/
const NOT_SOURCE = new Set(['node_modules', 'dist', 'bundle', 'coverage'])

export function readWorkspace(root: string = ROOT): Workspace {
  const files = new Map<string, string>()
  const manifests = new Map([['', readManifest(join(root, 'package.json'))]])
  for (const parent of ['packages', 'apps']) {
    for (const name of readdirSync(join(root, parent))) {
      const folder = `${parent}/${name}`
      const manifest = join(root, folder, 'package.json')
      if (!existsSync(manifest)) continue
      manifests.set(folder, readManifest(manifest))
      for (const path of sourcesUnder(join(root, folder))) {
        files.set(relative(root, path).replaceAll('\\', '/'), readFileSync(path, 'utf8'))
      }
    }
  }
  return { files, manifests, installed: readInstalled(join(root, 'node_modules', '.pnpm')) }
}

function sourcesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_SOURCE.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sourcesUnder(path)
    return SOURCE.test(entry.name) ? [path] : []
  })
}

/** pnpm keeps each package that is installed in a folder of its own, beside what it depends on. */
function readInstalled(folder: string): Map<string, Manifest> {
  const installed = new Map<string, Manifest>()
  for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
    // `@scope+name@1.2.3_peers` stands for `@scope/name`.
    const name = entry.slice(0, entry.indexOf('@', 1)).replace('+', '/')
    const manifest = join(folder, entry, 'node_modules', name, 'package.json')
    if (existsSync(manifest)) installed.set(name, readManifest(manifest))
  }
  return installed
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** Every node of a source file, parents before children. */
export function* syntaxOf(path: string, source: string): Generator<SyntaxNode> {
  const lang = path.endsWith('.tsx') ? 'tsx' : 'ts'
  yield* walk(parseAst(source, { lang, sourceType: 'module' }))
}

function* walk(value: unknown): Generator<SyntaxNode> {
  if (Array.isArray(value)) {
    for (const item of value) yield* walk(item)
  } else if (typeof value === 'object' && value !== null) {
    if (isNode(value)) yield value
    for (const child of Object.values(value)) yield* walk(child)
  }
}

function isNode(value: object): value is SyntaxNode {
  return 'type' in value && 'start' in value && typeof value.type === 'string'
}

/** Tests and what only they use; nothing else may import these. */
export function isTest(path: string): boolean {
  return /(\.(test|fixture)\.[a-z]+|\.test-d\.ts|\/test-[a-z-]+\.[a-z]+)$/.test(path)
}
