#!/usr/bin/env node
import { existsSync } from 'node:fs'

// The same program, in few files or as it was compiled.
const places = ['../bundle/main.js', '../dist/main.js'].map((at) => new URL(at, import.meta.url))
const main = places.find((place) => existsSync(place))
if (main !== undefined) await import(main.href)
else {
  process.stderr.write('blindcopy: it is not built yet\n  Run `npm run build` in the repository.\n')
  process.exitCode = 1
}
