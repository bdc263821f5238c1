/**
 * `npm run simulate`: runs seeds of the simulator (test/simulation) and prints what failed.
 *
 * The simulator is TypeScript over the sources of the packages, which this Node cannot run by
 * itself: Vite loads it, with the configuration of the tests.
 */
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const server = await createServer({
  root: ROOT,
  configFile: false,
  logLevel: 'error',
  appType: 'custom',
  // This Node does not know `using` yet.
  oxc: { target: 'es2022' },
  optimizeDeps: { noDiscovery: true, include: [] },
  ssr: { resolve: { conditions: ['source', 'node'], externalConditions: ['node'] } },
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
})
try {
  const { simulate } = await server.ssrLoadModule('/test/simulation/main.ts')
  process.exitCode = await simulate(process.argv.slice(2), (text) => process.stdout.write(text))
} finally {
  await server.close()
}
