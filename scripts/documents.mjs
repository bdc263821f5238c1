/**
 * Documents: real ones to sync, gathered from what is installed here: the Markdown, texts and licences
 * of every package, each package once.
 */
import { copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'

const TEXTS = /^\.(md|markdown|mdx|txt)$/i
const NAMED = /^(licen[cs]e|readme|notice|changelog|authors|copying)\b/i
const FILES_MAX = 2000
const BYTES_MAX = 900_000

/** Copies them below `target`, by package. Returns how many there are and their bytes. */
export function gatherDocuments(root, target) {
  const found = { files: 0, bytes: 0 }
  const store = join(root, 'node_modules', '.pnpm')
  for (const name of readdirSync(store).sort()) {
    const modules = join(store, name, 'node_modules')
    for (const own of packagesIn(modules)) {
      copyTexts({ from: join(modules, own), to: join(target, name), found })
    }
  }
  copyTexts({ from: join(root, 'docs'), to: join(target, 'blindcopy', 'docs'), found })
  return found
}

/** The package of a folder itself: its neighbours are links to other folders of the store. */
function packagesIn(modules) {
  const own = []
  for (const entry of entriesOf(modules)) {
    if (!entry.isDirectory()) continue
    if (!entry.name.startsWith('@')) own.push(entry.name)
    else {
      for (const scoped of entriesOf(join(modules, entry.name))) {
        if (scoped.isDirectory()) own.push(join(entry.name, scoped.name))
      }
    }
  }
  return own
}

function copyTexts({ from, to, found }) {
  for (const entry of entriesOf(from)) {
    if (entry.name.startsWith('.')) continue
    const [source, copy] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copyTexts({ from: source, to: copy, found })
    if (!entry.isFile() || !isText(entry.name) || found.files >= FILES_MAX) continue
    const { size } = statSync(source)
    if (size > BYTES_MAX) continue
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(source, copy)
    found.files++
    found.bytes += size
  }
}

function isText(name) {
  const extension = extname(name)
  return TEXTS.test(extension) || (extension === '' && NAMED.test(name))
}

function entriesOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}
