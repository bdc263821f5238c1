/**
 * Fuzz: rounds of cases against a remote, each made of a seed and its number, until the time is up.
 * After each round everything is judged: the answers, the store, the faults that were told, and the
 * honest device, whose work goes on meanwhile; at the end the memory that is still in use.
 *
 *   round n    chance (seed, n) ──▶ 1 to 4 cases, side by side ──▶ what changed in the store?
 */
import { type Chance, chanceOf } from '../simulation/chance.ts'
import type { Case, Family, Outcome } from './case.ts'
import { keychainLie } from './cases-keychain.ts'
import { mutatedMessage, oddHeaders, oddLogin, oddPath } from './cases-messages.ts'
import { leftAlone, oddFrames, oddHandshake } from './cases-socket.ts'
import { burst, oddCheckpoint, oddMailbox, oddPush, oddReconcile } from './cases-vault.ts'
import { oddWire, slowWire } from './cases-wire.ts'
import { checkLog } from './honest.ts'
import { must } from './judge.ts'
import { bytesInUse, hex, openTarget, type Stored, type Target } from './target.ts'

type Weighed = { readonly family: Family; readonly weight: number; readonly isAlone?: boolean }

export const FAMILIES: Readonly<Record<string, Weighed>> = {
  mutatedMessage: { family: mutatedMessage, weight: 30 },
  oddHeaders: { family: oddHeaders, weight: 12 },
  oddPath: { family: oddPath, weight: 8 },
  oddLogin: { family: oddLogin, weight: 4 },
  oddWire: { family: oddWire, weight: 12 },
  oddFrames: { family: oddFrames, weight: 14 },
  oddHandshake: { family: oddHandshake, weight: 3 },
  oddPush: { family: oddPush, weight: 14 },
  oddReconcile: { family: oddReconcile, weight: 4 },
  oddCheckpoint: { family: oddCheckpoint, weight: 5 },
  oddMailbox: { family: oddMailbox, weight: 4 },
  burst: { family: burst, weight: 2 },
  // What it reads back must be of its own doing.
  keychainLie: { family: keychainLie, weight: 9, isAlone: true },
  leftAlone: { family: leftAlone, weight: 1 },
}

export type FuzzOptions = {
  readonly seed: number
  readonly untilMs: number
  /** This one alone, as it would be in its place. */
  readonly round?: number
  readonly roundsMax?: number
}

export type FuzzReport = {
  readonly rounds: number
  readonly cases: number
  /** How often each code was answered; `ok` for a success. */
  readonly codes: ReadonlyMap<string, number>
  readonly grownBytes: number
}

/** A target is used for so many rounds; then its store would be slow to compare. */
const ROUNDS_A_TARGET = 250
/** The first rounds load code, fill caches and grow tables. */
const WARM_ROUNDS = 60

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const codes = new Map<string, number>()
  let cases = 0
  let warmBytes = 0
  let rounds = 0
  let target = await openTarget()
  const renew = async (): Promise<void> => {
    const defects = JSON.stringify(await target.defects())
    must(defects === '{}', `the store is not sound: ${defects}`)
    await target.close()
    target = await openTarget()
  }
  try {
    for (let n = options.round ?? 0; !isOver(options, n); n++) {
      if (rounds > WARM_ROUNDS && rounds % ROUNDS_A_TARGET === 0) await renew()
      if (rounds === WARM_ROUNDS) {
        await renew()
        warmBytes = await bytesInUse()
      }
      const outcomes = await runRound(target, options.seed, n)
      for (const code of outcomes.flatMap((one) => one.codes)) {
        codes.set(code ?? 'ok', (codes.get(code ?? 'ok') ?? 0) + 1)
      }
      cases += outcomes.length
      rounds++
    }
    // With an empty store again: what was stored is no growth.
    await renew()
    const grownBytes = rounds > WARM_ROUNDS ? (await bytesInUse()) - warmBytes : 0
    return { rounds, cases, codes, grownBytes }
  } finally {
    await target.close()
  }
}

/**
 * Senders that take their time, all at once: apart, because each takes as long as the remote is
 * patient, and where that is short the honest are cut off on a busy machine.
 */
export async function fuzzSlow(seed: number, count: number): Promise<number> {
  const target = await openTarget({ headersMs: 1_000, transferMs: 2_000, silenceMs: 2_000 })
  try {
    const before = await target.stored()
    const made: Case[] = []
    for (let n = 0; n < count; n++) made.push(await slowWire(target, chanceOf(seed, `slow ${n}`)))
    const outcomes = await Promise.all(made.map((one) => one.run()))
    const { faults } = target.bench
    must(faults.length === 0, `a fault is told: ${faultText(faults[0])}`)
    const allowed = outcomes.map(({ mayChange }) => mayChange)
    judgeStore(target, { before, after: await target.stored(), allowed, works: false })
    return outcomes.length
  } finally {
    await target.close()
  }
}

function isOver({ round, roundsMax, untilMs }: FuzzOptions, n: number): boolean {
  if (round !== undefined) return n > round
  return n >= (roundsMax ?? Number.POSITIVE_INFINITY) || Date.now() >= untilMs
}

async function runRound(target: Target, seed: number, n: number): Promise<Outcome[]> {
  const chance = chanceOf(seed, `round ${n}`)
  const made = await makeCases(target, chance)
  const said = made.map(({ what }) => what)
  try {
    return await judgeRound(target, made, n)
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    throw new Error(`seed ${seed}, round ${n}:\n  ${said.join('\n  ')}\n${text}`)
  }
}

async function makeCases(target: Target, chance: Chance): Promise<Case[]> {
  const made: Case[] = []
  const drawn = new Set<string>()
  for (let left = 1 + chance.below(4); left > 0; left--) {
    const name = drawFamily(chance)
    const { family, isAlone } = FAMILIES[name] as Weighed
    if (isAlone && drawn.has(name)) continue
    drawn.add(name)
    made.push(await family(target, chance.fork(`${name} ${left}`)))
  }
  return made
}

function drawFamily(chance: Chance): string {
  const weighed = Object.entries(FAMILIES)
  const total = weighed.reduce((sum, [, { weight }]) => sum + weight, 0)
  let left = chance.below(total)
  for (const [name, { weight }] of weighed) {
    left -= weight
    if (left < 0) return name
  }
  throw new Error('weights')
}

async function judgeRound(target: Target, made: readonly Case[], n: number): Promise<Outcome[]> {
  const { bench, honest, attacker } = target
  // Rates and tokens go by this clock.
  bench.clock.ms += 2_000
  const before = await target.stored()
  const works = n % 3 === 0
  const [outcomes] = await Promise.all([
    Promise.all(made.map((one) => one.run())),
    works ? honest.work() : undefined,
  ])
  must(bench.faults.length === 0, `a fault is told: ${faultText(bench.faults[0])}`)
  const allowed = [...outcomes.map(({ mayChange }) => mayChange)]
  judgeStore(target, { before, after: await target.stored(), allowed, works })
  const mayHaveMoved = outcomes.some(({ mayChange }) => mayChange !== 'nothing')
  if (mayHaveMoved || n % 200 === 0) await attacker.join()
  if (n % 10 === 0) checkLog(attacker, await attacker.pull('?since=0'))
  return outcomes
}

const faultText = (fault: unknown): string =>
  fault instanceof Error ? `${fault.stack} ${String(fault.cause ?? '')}` : String(fault)

function judgeStore(
  { attacker, honest }: Target,
  round: {
    readonly before: Stored
    readonly after: Stored
    readonly allowed: readonly Outcome['mayChange'][]
    readonly works: boolean
  },
): void {
  const { before, after, allowed, works } = round
  const own = hex(attacker.chain.vaultId)
  const others = allowed.flatMap((one) => (typeof one === 'string' ? [] : one))
  const isAllowed = (key: string): boolean => {
    if (key.startsWith(honest.vaultId)) return works
    if (key.startsWith(own)) {
      // `s`: the state of the vault.
      const isState = key === `${own}73`
      return allowed.includes('vault') || (isState && allowed.includes('state'))
    }
    if (others.some((vaultId) => key.startsWith(vaultId))) return true
    // `i`: where a recovery key leads.
    return others.length > 0 && key.length === 66 && key.endsWith('69')
  }
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    if (before.get(key) === after.get(key)) continue
    const how = before.has(key) ? (after.has(key) ? 'changed' : 'deleted') : 'added'
    must(isAllowed(key), `key ${key.slice(0, 8)}…${key.slice(64)} was ${how}: ${allowed}`)
  }
}
