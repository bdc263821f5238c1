/**
 * Layers: which file may import what, as a function of the sources and manifests.
 *
 *   protocol ← vault, secondary ← client ← apps
 *   protocol ← secondary ← remote ← apps/cli
 *
 * The rule that matters most is the reach of the remote: no code that could open an envelope may be
 * installed with it, by whatever road. The others keep each third party behind one file, and each
 * package behind its export map. Tests may use any third party and the platform, and nothing else
 * that the package they test may not.
 */

import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { isTest, type Manifest, type SyntaxNode, syntaxOf, type Workspace } from './workspace.ts'

export type Rule =
  | 'remote-reach'
  | 'sync-keys'
  | 'direction'
  | 'funnel'
  | 'platform'
  | 'unlisted'
  | 'deep-import'
  | 'cycle'

export type Problem = { readonly rule: Rule; readonly where: string; readonly what: string }

export type Import = {
  readonly path: string
  readonly specifier: string
  /** `type` leaves no trace in the code that runs. */
  readonly kind: 'static' | 'dynamic' | 'type'
}

/** Which workspace packages a package may use. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  'packages/protocol': [],
  'packages/vault': ['protocol'],
  'packages/secondary': ['protocol'],
  'packages/client': ['protocol', 'vault', 'secondary'],
  'packages/remote': ['protocol', 'secondary'],
  'apps/cli': ['protocol', 'vault', 'secondary', 'client', 'remote'],
}

/** Apps that are not named above are clients. */
const BELOW_APP: readonly string[] = ['protocol', 'vault', 'secondary', 'client']

/** Where a third party may be imported. The first row that matches decides; an unnamed one is free. */
const FUNNELS: readonly { readonly name: RegExp; readonly where: RegExp }[] = [
  { name: /^libsodium-wrappers$/, where: /^packages\/vault\/src\/sodium\.ts$/ },
  { name: /^libsodium-wrappers-sumo$/, where: /^packages\/vault\/src\/argon2id\.ts$/ },
  { name: /sodium/, where: /^$/ },
  { name: /^@scure\/bip39$/, where: /^packages\/vault\/src\/(phrase|word-list)\.ts$/ },
  {
    name: /^shamir-secret-sharing$/,
    where: /^packages\/vault\/src\/recovery\/shamir\.ts$/,
  },
  { name: /^cbor-x$/, where: /^packages\/protocol\/src\/codec\.ts$/ },
  { name: /^@noble\/hashes$/, where: /^packages\/protocol\/src\/hash\.ts$/ },
  { name: /^level$/, where: /^packages\/secondary\/src\/level-store\.ts$/ },
  { name: /^(abstract|classic|browser)-level$/, where: /^$/ },
  { name: /^(hono|@hono\/.*)$/, where: /^packages\/remote\// },
  {
    name: /^ws$/,
    where: /^packages\/(remote\/src\/node-live|client\/src\/node\/node-socket)\.ts$/,
  },
  { name: /^pino$/, where: /^packages\/remote\/src\/node-log\.ts$/ },
  { name: /^ipaddr\.js$/, where: /^packages\/remote\/src\/address\.ts$/ },
  { name: /^smol-toml$/, where: /^apps\/cli\/src\/serve\// },
  { name: /^prom-client$/, where: /^packages\/remote\/src\/observe\/prometheus\.ts$/ },
  { name: /^(commander|cli-progress)$/, where: /^apps\/cli\// },
]

/** Where the modules of Node may be imported. */
const PLATFORM: Readonly<Record<string, RegExp>> = {
  'packages/client': /^(node-.*|node\.ts)$/,
  'packages/remote': /^node.*\.ts$/,
  'apps/cli': /./,
}

const OPENS_ENVELOPES = /^@blindcopy\/(vault|client)$|sodium/

export function checkLayers(workspace: Workspace): Problem[] {
  const imports = importsOf(workspace.files)
  return [
    ...checkRemoteReach(workspace, imports),
    ...checkSyncKeys(workspace, imports),
    ...checkDirection(workspace, imports),
    ...checkFunnels(imports),
    ...checkPlatform(imports),
    ...checkUnlisted(workspace, imports),
    ...checkDeepImports(workspace, imports),
    ...checkCycles(workspace, imports),
  ]
}

function importsOf(files: ReadonlyMap<string, string>): Import[] {
  return [...files].flatMap(([path, source]) =>
    [...syntaxOf(path, source)].flatMap((node) => {
      const kind = importKind(node)
      const specifier = kind === undefined ? undefined : specifierOf(node)
      return kind === undefined || specifier === undefined ? [] : [{ path, specifier, kind }]
    }),
  )
}

function importKind(node: SyntaxNode): Import['kind'] | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      // `import { type A }` still loads the module: only `import type` does not.
      return node.importKind === 'type' ? 'type' : 'static'
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node.exportKind === 'type' ? 'type' : 'static'
    case 'ImportExpression':
      return 'dynamic'
    case 'TSImportType':
      return 'type'
    case 'CallExpression':
      return isRequire(node.callee) ? 'static' : undefined
    default:
      return undefined
  }
}

function isRequire(callee: unknown): boolean {
  return typeof callee === 'object' && callee !== null && Reflect.get(callee, 'name') === 'require'
}

function specifierOf(node: SyntaxNode): string | undefined {
  const first = Array.isArray(node.arguments) ? node.arguments[0] : undefined
  const source = node.source ?? node.argument ?? first
  if (typeof source !== 'object' || source === null) return undefined
  const value = Reflect.get(source, 'value')
  return typeof value === 'string' ? value : undefined
}

function checkRemoteReach(workspace: Workspace, imports: readonly Import[]): Problem[] {
  const problems: Problem[] = []
  const roads = new Map([['@blindcopy/remote', '@blindcopy/remote']])
  // A map grows while it is walked, so this visits whatever is found on the way.
  for (const [name, road] of roads) {
    if (OPENS_ENVELOPES.test(name)) {
      problems.push({ rule: 'remote-reach', where: 'packages/remote', what: road })
      continue
    }
    for (const next of packagesUsedBy(workspace, imports, name)) {
      if (!roads.has(next)) roads.set(next, `${road} → ${next}`)
    }
  }
  return problems
}

function packagesUsedBy(
  workspace: Workspace,
  imports: readonly Import[],
  name: string,
): Set<string> {
  const folder = folderOf(workspace, name)
  const manifest =
    folder === undefined ? workspace.installed.get(name) : workspace.manifests.get(folder)
  const used = new Set(folder === undefined ? installedWith(manifest) : allDependencies(manifest))
  for (const { path, specifier } of imports) {
    if (folder !== undefined && path.startsWith(`${folder}/`) && isPackage(specifier)) {
      used.add(packageName(specifier))
    }
  }
  return used
}

/** Tests under sync/ may seal records; what they test may not. */
function checkSyncKeys(workspace: Workspace, imports: readonly Import[]): Problem[] {
  const starts = [...workspace.files.keys()].filter(
    (path) => path.startsWith('packages/client/src/sync/') && !isTest(path),
  )
  return starts.flatMap((start) => {
    const roads = new Map([[start, start]])
    for (const [path, road] of roads) {
      for (const { specifier, kind } of imports.filter((found) => found.path === path)) {
        if (isPackage(specifier) && packageName(specifier) === '@blindcopy/vault') {
          return [{ rule: 'sync-keys' as const, where: start, what: `${road} → ${specifier}` }]
        }
        const target = resolveRelative(path, specifier)
        if (target === undefined || kind === 'type' || roads.has(target)) continue
        roads.set(target, `${road} → ${target}`)
      }
    }
    return []
  })
}

function checkDirection(workspace: Workspace, imports: readonly Import[]): Problem[] {
  const used = imports
    .filter(({ specifier }) => isPackage(specifier))
    .map(({ path, specifier }) => ({
      folder: packageFolder(path),
      where: path,
      name: packageName(specifier),
    }))
  for (const [folder, manifest] of workspace.manifests) {
    for (const name of folder === '' ? [] : allDependencies(manifest)) {
      used.push({ folder, where: `${folder}/package.json`, name })
    }
  }
  return used.flatMap(({ folder, where, name }) => {
    if (!name.startsWith('@blindcopy/') || folderOf(workspace, name) === folder) return []
    const below = BELOW[folder] ?? BELOW_APP
    const isBelow = below.includes(name.slice('@blindcopy/'.length))
    return isBelow ? [] : [{ rule: 'direction' as const, where, what: `uses ${name}` }]
  })
}

function checkFunnels(imports: readonly Import[]): Problem[] {
  return imports.flatMap(({ path, specifier, kind }) => {
    if (isTest(path) || !isPackage(specifier)) return []
    const name = packageName(specifier)
    const funnel = FUNNELS.find((row) => row.name.test(name))
    if (funnel !== undefined && !funnel.where.test(path)) {
      return [{ rule: 'funnel' as const, where: path, what: `imports ${name}` }]
    }
    // It is large and needed only for passphrases: nobody else should load it.
    if (name === 'libsodium-wrappers-sumo' && kind === 'static') {
      return [{ rule: 'funnel' as const, where: path, what: `imports ${name} at start-up` }]
    }
    return []
  })
}

function checkPlatform(imports: readonly Import[]): Problem[] {
  return imports.flatMap(({ path, specifier }) => {
    if (!isBuiltin(specifier) || isTest(path)) return []
    const allowed = PLATFORM[packageFolder(path)]
    if (specifier.startsWith('node:') && allowed?.test(posix.basename(path)) === true) return []
    return [{ rule: 'platform' as const, where: path, what: `imports ${specifier}` }]
  })
}

function checkUnlisted(workspace: Workspace, imports: readonly Import[]): Problem[] {
  return imports.flatMap(({ path, specifier, kind }) => {
    if (!isPackage(specifier)) return []
    const name = packageName(specifier)
    const manifest = workspace.manifests.get(packageFolder(path))
    const listed = new Set(installedWith(manifest))
    if (isTest(path) || kind === 'type') {
      for (const dev of Object.keys(manifest?.devDependencies ?? {})) listed.add(dev)
    }
    if (isTest(path)) {
      for (const dev of allDependencies(workspace.manifests.get(''))) listed.add(dev)
    }
    return listed.has(name) ? [] : [{ rule: 'unlisted' as const, where: path, what: name }]
  })
}

function checkDeepImports(workspace: Workspace, imports: readonly Import[]): Problem[] {
  return imports.flatMap(({ path, specifier }) => {
    const problem = [{ rule: 'deep-import' as const, where: path, what: specifier }]
    const folder = packageFolder(path)
    const target = resolveRelative(path, specifier)
    if (target !== undefined) {
      const isInside = target.startsWith(`${folder}/`)
      // Through its own index a file imports everything, itself included.
      const isOwnIndex = target === `${folder}/src/index.ts` && !isTest(path)
      const isTestOnly = isTest(target) && !isTest(path)
      return isInside && !isOwnIndex && !isTestOnly ? [] : problem
    }
    if (!specifier.startsWith('@blindcopy/')) return []
    const name = packageName(specifier)
    const targetFolder = folderOf(workspace, name)
    const exported = workspace.manifests.get(targetFolder ?? '')?.exports
    const subpath = `.${specifier.slice(name.length)}`
    const isExported = typeof exported === 'object' && exported !== null && subpath in exported
    return isExported && targetFolder !== folder ? [] : problem
  })
}

function checkCycles(workspace: Workspace, imports: readonly Import[]): Problem[] {
  const targetsByPath = new Map<string, string[]>()
  for (const { path, specifier, kind } of imports) {
    const target = kind === 'type' ? undefined : resolveRelative(path, specifier)
    if (target === undefined) continue
    targetsByPath.set(path, [...(targetsByPath.get(path) ?? []), target])
  }
  const problems: Problem[] = []
  const finished = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) {
      const what = [...trail.slice(at), path].join(' → ')
      problems.push({ rule: 'cycle', where: path, what })
    }
    if (at >= 0 || finished.has(path)) return
    for (const target of targetsByPath.get(path) ?? []) visit(target, [...trail, path])
    finished.add(path)
  }
  for (const path of workspace.files.keys()) visit(path, [])
  return problems
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier)
}

function isPackage(specifier: string): boolean {
  return !/^[./]/.test(specifier) && !isBuiltin(specifier)
}

function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

/** `packages/client` of `packages/client/src/sync/engine.ts`. */
function packageFolder(path: string): string {
  return path.split('/', 2).join('/')
}

function folderOf(workspace: Workspace, name: string): string | undefined {
  return [...workspace.manifests].find(([, manifest]) => manifest.name === name)?.[0]
}

function resolveRelative(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return posix.join(posix.dirname(path), specifier)
}

function installedWith(manifest: Manifest | undefined): string[] {
  return Object.keys({
    ...manifest?.dependencies,
    ...manifest?.peerDependencies,
    ...manifest?.optionalDependencies,
  })
}

function allDependencies(manifest: Manifest | undefined): string[] {
  return [...installedWith(manifest), ...Object.keys(manifest?.devDependencies ?? {})]
}
