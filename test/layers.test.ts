/**
 * The layers of this repository hold; and each rule that says so can fail, shown on a workspace of a
 * few made-up files.
 */

import { describe, expect, it } from 'vitest'
import { checkLayers, type Rule } from './layers.ts'
import { type Manifest, readWorkspace, type Workspace } from './workspace.ts'

describe('this repository', () => {
  it('keeps its layers', { timeout: 60_000 }, () => {
    const workspace = readWorkspace()
    expect(workspace.files.size).toBeGreaterThan(20)
    // The walk over what is installed means nothing if it finds nothing.
    expect(workspace.installed.has('hono')).toBe(true)
    expect(workspace.installed.has('@noble/hashes')).toBe(true)
    expect(checkLayers(workspace)).toEqual([])
  })
})

describe('checkLayers', () => {
  it('finds nothing in a small workspace that keeps the rules', () => {
    expect(rules({})).toEqual([])
  })

  describe('remote-reach', () => {
    it('fails when the manifest of the remote lists the vault, the client or sodium', () => {
      for (const name of ['@blindcopy/vault', '@blindcopy/client', 'sodium-native']) {
        expect(rules({}, { 'packages/remote': { dependencies: { [name]: '*' } } })).toContain(
          'remote-reach',
        )
        expect(rules({}, { 'packages/remote': { devDependencies: { [name]: '*' } } })).toContain(
          'remote-reach',
        )
      }
    })

    it('fails when a file of the remote imports the vault, even for a type or in a test', () => {
      for (const file of ['app.ts', 'app.test.ts']) {
        const source = "import type { Key } from '@blindcopy/vault'"
        expect(rules({ [`packages/remote/src/${file}`]: source })).toContain('remote-reach')
      }
    })

    it('fails when a package below the remote, or a third party, leads there', () => {
      const below = { 'packages/secondary/src/a.ts': "import '@blindcopy/vault'" }
      expect(rules(below)).toContain('remote-reach')
      const installed = { hono: { dependencies: { deep: '*' } }, deep: dependsOn('libsodium') }
      expect(rules({}, {}, installed)).toEqual(['remote-reach'])
    })
  })

  describe('sync-keys', () => {
    it('fails when a file under sync/ imports the vault', () => {
      const source = "import type { Keyring } from '@blindcopy/vault'"
      expect(rules({ 'packages/client/src/sync/engine.ts': source })).toEqual(['sync-keys'])
    })

    it('fails when it reaches a file that does', () => {
      const files = {
        'packages/client/src/sync/engine.ts': "import { b } from '../b.ts'",
        'packages/client/src/b.ts': "export * from './c.ts'",
        'packages/client/src/c.ts': "import { open } from '@blindcopy/vault'",
      }
      expect(rules(files)).toEqual(['sync-keys'])
    })

    it('allows a type of a file that does, and a test that seals', () => {
      const files = {
        'packages/client/src/sync/engine.ts': "import type { C } from '../c.ts'",
        'packages/client/src/sync/engine.test.ts': "import { seal } from '@blindcopy/vault'",
        'packages/client/src/c.ts': "import { open } from '@blindcopy/vault'",
      }
      expect(rules(files)).toEqual([])
    })
  })

  it('direction: fails on an import or a manifest against it', () => {
    for (const [folder, name] of [
      ['packages/protocol', 'secondary'],
      ['packages/vault', 'secondary'],
      ['packages/client', 'remote'],
      ['apps/web', 'remote'],
    ] as const) {
      const dependencies = { [`@blindcopy/${name}`]: '*' }
      expect(rules({}, { [folder]: { dependencies } })).toContain('direction')
      const source = `import { x } from '@blindcopy/${name}'`
      expect(rules({ [`${folder}/src/a.ts`]: source })).toContain('direction')
    }
  })

  describe('funnel', () => {
    it.each([
      ['libsodium-wrappers', 'packages/vault/src/sodium.ts', 'packages/vault/src/seal.ts'],
      [
        '@scure/bip39/wordlists/english.js',
        'packages/vault/src/phrase.ts',
        'packages/vault/src/a.ts',
      ],
      ['cbor-x', 'packages/protocol/src/codec.ts', 'packages/protocol/src/a.ts'],
      ['@noble/hashes/sha2.js', 'packages/protocol/src/hash.ts', 'packages/protocol/src/a.ts'],
      ['level', 'packages/secondary/src/level-store.ts', 'packages/secondary/src/a.ts'],
      ['hono', 'packages/remote/src/app.ts', 'packages/client/src/a.ts'],
      ['@hono/node-server', 'packages/remote/src/node.ts', 'apps/cli/src/a.ts'],
      ['ws', 'packages/client/src/node/node-socket.ts', 'packages/client/src/socket.ts'],
      ['ws', 'packages/remote/src/node-live.ts', 'packages/remote/src/app.ts'],
      ['pino', 'packages/remote/src/node-log.ts', 'packages/remote/src/app.ts'],
      ['ipaddr.js', 'packages/remote/src/address.ts', 'packages/remote/src/app.ts'],
      ['smol-toml', 'apps/cli/src/serve/settings-file.ts', 'apps/cli/src/kit.ts'],
      ['prom-client', 'packages/remote/src/observe/prometheus.ts', 'packages/remote/src/app.ts'],
      ['commander', 'apps/cli/src/main.ts', 'packages/client/src/a.ts'],
      ['cli-progress', 'apps/cli/src/a/b.ts', 'apps/web/src/a.ts'],
    ])('keeps %s in %s and out of %s', (specifier, inside, outside) => {
      const source = `import x from '${specifier}'`
      expect(rules({ [inside]: source })).not.toContain('funnel')
      expect(rules({ [outside]: source })).toContain('funnel')
    })

    it('lets the large sodium in only on demand, and only into argon2id.ts', () => {
      const later = "export const load = () => import('libsodium-wrappers-sumo')"
      expect(rules({ 'packages/vault/src/argon2id.ts': later })).toEqual([])
      expect(rules({ 'packages/vault/src/sodium.ts': later })).toEqual(['funnel'])
      const now = "import sodium from 'libsodium-wrappers-sumo'"
      expect(rules({ 'packages/vault/src/argon2id.ts': now })).toEqual(['funnel'])
    })

    it('knows the parts of Level and any other sodium, which belong nowhere', () => {
      const level = "import { ClassicLevel } from 'classic-level'"
      expect(rules({ 'packages/secondary/src/level-store.ts': level })).toContain('funnel')
      const sodium = "import sodium from 'sodium-native'"
      expect(rules({ 'packages/vault/src/sodium.ts': sodium })).toContain('funnel')
    })
  })

  it('platform: keeps the modules of Node in the files that are named for it', () => {
    const source = "import { createHash } from 'node:crypto'"
    for (const path of [
      'client/src/node.ts',
      'client/src/node/node-socket.ts',
      'remote/src/node-a.ts',
    ]) {
      expect(rules({ [`packages/${path}`]: source })).toEqual([])
    }
    for (const path of [
      'protocol/src/node.ts',
      'vault/src/a.ts',
      'client/src/a.ts',
      'remote/src/a.ts',
    ]) {
      expect(rules({ [`packages/${path}`]: source })).toEqual(['platform'])
    }
    expect(rules({ 'packages/protocol/src/a.test.ts': source })).toEqual([])
    expect(rules({ 'apps/cli/src/a.ts': "import 'fs'" })).toEqual(['platform'])
  })

  it('unlisted: fails on an import that the manifest does not list', () => {
    expect(rules({ 'packages/vault/src/a.ts': "import { z } from 'zod'" })).toEqual(['unlisted'])
    expect(rules({ 'packages/vault/src/a.ts': "import fc from 'fast-check'" })).toEqual([
      'unlisted',
    ])
    expect(rules({ 'packages/vault/src/a.test.ts': "import fc from 'fast-check'" })).toEqual([])
  })

  it('deep-import: fails behind the export map, outside of the package and on the own index', () => {
    for (const specifier of [
      '@blindcopy/protocol/src/ids.ts',
      '@blindcopy/protocol/ids',
      '../../protocol/src/ids.ts',
      './index.ts',
    ]) {
      const source = `import { x } from '${specifier}'`
      expect(rules({ 'packages/vault/src/a.ts': source })).toEqual(['deep-import'])
    }
    const fixture = "import { a } from './a.fixture.ts'"
    expect(rules({ 'packages/vault/src/a.ts': fixture })).toEqual(['deep-import'])
    expect(rules({ 'packages/vault/src/a.test.ts': fixture })).toEqual([])
    const suite = "import { describeStore } from '@blindcopy/secondary/suite'"
    expect(rules({ 'packages/client/src/a.test.ts': suite })).toEqual([])
  })

  it('cycle: fails on files that load each other, and not on types', () => {
    const cycle = {
      'packages/vault/src/a.ts': "import { b } from './b.ts'",
      'packages/vault/src/b.ts': "export { c } from './c.ts'",
      'packages/vault/src/c.ts': "import { type A } from './a.ts'",
    }
    expect(rules(cycle)).toEqual(['cycle'])
    const types = { ...cycle, 'packages/vault/src/c.ts': "import type { A } from './a.ts'" }
    expect(rules(types)).toEqual([])
  })
})

const MANIFESTS: Readonly<Record<string, Manifest>> = {
  '': { devDependencies: { vitest: '*', 'fast-check': '*' } },
  'packages/protocol': { ...dependsOn('cbor-x', '@noble/hashes'), exports: { '.': {} } },
  'packages/vault': dependsOn(
    '@blindcopy/protocol',
    '@scure/bip39',
    'libsodium-wrappers',
    'libsodium-wrappers-sumo',
  ),
  'packages/secondary': {
    ...dependsOn('@blindcopy/protocol', 'level'),
    exports: { '.': {}, './suite': {} },
  },
  'packages/client': dependsOn(
    '@blindcopy/protocol',
    '@blindcopy/vault',
    '@blindcopy/secondary',
    'ws',
  ),
  'packages/remote': dependsOn('@blindcopy/protocol', '@blindcopy/secondary', 'hono', 'ws'),
  'apps/cli': dependsOn('@blindcopy/client', '@blindcopy/remote', 'commander', 'cli-progress'),
  'apps/web': dependsOn('@blindcopy/client'),
}

/** The rules that a small workspace breaks, each once, in the order of the checks. */
function rules(
  files: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, Manifest>> = {},
  installed: Readonly<Record<string, Manifest>> = {},
): Rule[] {
  const manifests = new Map(
    Object.entries(MANIFESTS).map(([folder, manifest]) => {
      const change = changes[folder]
      const name = folder === '' ? 'workspace' : `@blindcopy/${folder.split('/')[1]}`
      const exports = manifest.exports ?? { '.': {} }
      const dependencies = { ...manifest.dependencies, ...change?.dependencies }
      return [folder, { ...manifest, ...change, name, exports, dependencies }] as const
    }),
  )
  const workspace: Workspace = {
    files: new Map(Object.entries(files)),
    manifests,
    installed: new Map(Object.entries(installed)),
  }
  return [...new Set(checkLayers(workspace).map(({ rule }) => rule))]
}

function dependsOn(...names: readonly string[]): Manifest {
  return { dependencies: Object.fromEntries(names.map((name) => [name, '*'])) }
}
