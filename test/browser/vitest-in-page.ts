/**
 * As much of vitest as the conformance suite uses, for a page: it gathers tests as they are
 * declared, and `runTests` runs them one after the other. The comparisons are vitest's own.
 */
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect'
import { use as addTo, expect as chaiExpect } from 'chai'

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) addTo(plugin as never)

export const expect = chaiExpect

type Hook = () => unknown
type Context = { skip(): void }
type Test = { name: string; before: Hook[]; after: Hook[]; run(context: Context): unknown }

const tests: Test[] = []
let scope: { names: string[]; before: Hook[]; after: Hook[] } = { names: [], before: [], after: [] }

export function describe(name: string, declare: () => void): void {
  const outer = scope
  scope = { names: [...outer.names, name], before: [...outer.before], after: [...outer.after] }
  declare()
  scope = outer
}

export const beforeEach = (hook: Hook): void => void scope.before.push(hook)
export const afterEach = (hook: Hook): void => void scope.after.unshift(hook)

export function it(name: string, run: Test['run']): void {
  const { names, before, after } = scope
  tests.push({ name: [...names, name].join(' › '), before, after, run })
}

export type TestResult = { name: string; outcome: 'passed' | 'skipped' | 'failed'; message: string }

export async function runTests(): Promise<TestResult[]> {
  const results: TestResult[] = []
  for (const { name, before, after, run } of tests) {
    let outcome: TestResult['outcome'] = 'passed'
    let message = ''
    const context = {
      skip: () => {
        outcome = 'skipped'
      },
    }
    try {
      for (const hook of before) await hook()
      await run(context)
      for (const hook of after) await hook()
    } catch (error) {
      outcome = 'failed'
      message = String((error as Error).stack ?? error)
    }
    results.push({ name, outcome, message })
  }
  return results
}
