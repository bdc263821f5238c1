/**
 * Puts the command line and all it is made of into few files, `apps/cli/bundle`: a command then
 * starts in half the time, because hundreds of small files need not be found and read. What a
 * command does not use is still not loaded (each part that is loaded on demand is a file).
 *
 * The database has a native part, and stays where it is installed.
 */
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const path = (name) => fileURLToPath(new URL(`../apps/cli/${name}`, import.meta.url))
const OUT = path('bundle')

/** It is a dependency of the package that stores, and found from there. */
const LEVEL = `
import { createRequire } from 'node:module'
const here = createRequire(import.meta.url)
export const { Level } = createRequire(here.resolve('@blindcopy/secondary'))('level')
`

const database = {
  name: 'database',
  resolveId: (id) => (id === 'level' ? '\0level' : null),
  load: (id) => (id === '\0level' ? LEVEL : null),
}

await rm(OUT, { recursive: true, force: true })
const bundle = await rolldown({
  input: path('dist/main.js'),
  platform: 'node',
  plugins: [database],
  // Native parts that are not needed: each has a twin in JavaScript.
  external: ['cbor-extract', 'bufferutil', 'utf-8-validate'],
  logLevel: 'warn',
})
await bundle.write({ dir: OUT, format: 'esm', entryFileNames: 'main.js' })
