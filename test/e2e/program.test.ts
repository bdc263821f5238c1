/**
 * The command line as it is shipped: few files, of which a command loads what it uses. What serves a
 * remote must never have the code at hand that opens an envelope.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const FOLDER = join(import.meta.dirname, '..', '..', 'apps', 'cli', 'bundle')
/** In the file that seals and opens, and in no other. */
const SEALS = 'crypto_aead_xchacha20poly1305_ietf_encrypt'

const textOf = (name: string): string => readFileSync(join(FOLDER, name), 'utf8')

/** All that is loaded with a file: what it imports, and what those import. */
function loadedWith(first: string): string[] {
  const loaded = new Set([first])
  for (const name of loaded) {
    for (const [, other] of textOf(name).matchAll(/^import[^'"]*["']\.\/([^'"]+)["']/gm)) {
      if (other !== undefined) loaded.add(other)
    }
  }
  return [...loaded]
}

/** The file of a command, as the program names it. */
function fileOf(command: string): string {
  const [, name] =
    new RegExp(`import\\("\\./(${command}-[^"]+\\.js)"\\)`).exec(textOf('main.js')) ?? []
  if (name === undefined) throw new Error(`the program loads no ${command}`)
  return name
}

const seals = (name: string): boolean => textOf(name).includes(SEALS)

it('is built as it is shipped', () => {
  expect(existsSync(join(FOLDER, 'main.js'))).toBe(true)
})

it('serves without what could open an envelope', () => {
  expect(loadedWith('main.js').some(seals)).toBe(false)
  expect(loadedWith(fileOf('serve')).some(seals)).toBe(false)
  // The control: what writes a record has it.
  expect(loadedWith(fileOf('records')).some(seals)).toBe(true)
})
