/**
 * Bundle size: what an app of the web downloads to have a vault, as its bundler would make it:
 * minified, a file a chunk. Prints a table, or all it knows as JSON, and writes the files to a
 * folder if it is given one. test/browser/bundle.test.ts holds the README to it.
 *
 *   node scripts/bundle-size.mjs [--modules | --json] [--out FOLDER]
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const APP = fileURLToPath(new URL('../test/browser/app.ts', import.meta.url))
const LISTED_MODULES = 12

/** Builds the app. Chunks hold their code, their modules and the chunks they load at once. */
async function buildApp() {
  const result = await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: { input: APP },
    },
  })
  const [{ output }] = Array.isArray(result) ? result : [result]
  return output.filter(({ type }) => type === 'chunk')
}

/** Sizes in bytes of what is loaded at once, and of what is loaded when it is first needed. */
function measure(chunks) {
  const atOnce = chunksAtOnce(chunks)
  return chunks.map((chunk) => ({
    name: chunk.fileName,
    isEntry: chunk.isEntry,
    isAtOnce: atOnce.has(chunk.fileName),
    modules: Object.entries(chunk.modules)
      .map(([path, { renderedLength }]) => ({ path: shortPath(path), bytes: renderedLength }))
      .sort((a, b) => b.bytes - a.bytes),
    ...sizesOf(chunk.code),
  }))
}

function chunksAtOnce(chunks) {
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]))
  const names = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName))
  // A set grows while it is walked, so this visits whatever is found on the way.
  for (const name of names) for (const next of byName.get(name)?.imports ?? []) names.add(next)
  return names
}

function sizesOf(code) {
  const bytes = Buffer.from(code)
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }
  return {
    bytes: bytes.length,
    gzipBytes: gzipSync(bytes, { level: 9 }).length,
    brotliBytes: brotliCompressSync(bytes, quality).length,
  }
}

/** Without where the packages are installed. */
function shortPath(path) {
  const at = path.lastIndexOf('node_modules/')
  return at >= 0 ? path.slice(at + 'node_modules/'.length) : path.replace(ROOT, '')
}

async function write(chunks, folder) {
  for (const { fileName, code } of chunks) {
    const path = join(folder, fileName)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, code)
  }
}

function print(measured, { modules: isListing }) {
  const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(10)
  for (const { name, isAtOnce, bytes, gzipBytes, brotliBytes, modules } of measured) {
    console.log(`${name}, loaded ${isAtOnce ? 'at once' : 'when needed'}`)
    const sizes = [bytes, gzipBytes, brotliBytes].map(kilobytes)
    console.log(`  raw ${sizes[0]}   gzip ${sizes[1]}   brotli ${sizes[2]}`)
    for (const module of isListing ? modules.slice(0, LISTED_MODULES) : []) {
      console.log(`    ${kilobytes(module.bytes)}  ${module.path}`)
    }
  }
}

const { values: options } = parseArgs({
  options: {
    modules: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const chunks = await buildApp()
if (options.out !== undefined) await write(chunks, options.out)
if (options.json) console.log(JSON.stringify(measure(chunks)))
else print(measure(chunks), options)
