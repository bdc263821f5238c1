/**
 * Defects: what can be wrong with a vault, by name, and what may be done about each.
 *
 *   mend    `repair` puts it right, and nothing is lost by it
 *   heal    `repair` takes it out, and the vault gets a new SyncId: devices bring back theirs
 *   keep    it is left as it is: a later program may know what it is
 *   fatal   there is nothing left to put it right from: a backup, or a reset
 */

export const DEFECTS = {
  'state-missing': 'mend',
  'state-damaged': 'fatal',
  'keychain-damaged': 'fatal',
  'keychain-count-differs': 'mend',
  'keychain-place-differs': 'mend',
  'log-gap': 'fatal',
  'log-damaged': 'fatal',
  'chain-differs': 'fatal',
  'head-differs': 'fatal',
  'envelope-misplaced': 'heal',
  'envelope-stray': 'heal',
  'envelope-superseded': 'mend',
  'envelope-lost': 'heal',
  'index-missing': 'mend',
  'index-wrong': 'mend',
  'transaction-missing': 'mend',
  'transaction-stray': 'mend',
  'count-differs': 'mend',
  'fingerprint-differs': 'heal',
  'bytes-differ': 'mend',
  'greatest-time-low': 'mend',
  'checkpoint-damaged': 'mend',
  'history-damaged': 'mend',
  'history-count-differs': 'mend',
  'expiry-missing': 'mend',
  'expiry-stray': 'mend',
  'recovery-index-missing': 'mend',
  'recovery-index-stray': 'mend',
  'key-unknown': 'keep',
} as const

export type DefectName = keyof typeof DEFECTS

export type Defect = {
  readonly name: DefectName
  /** How often. */
  readonly count: number
  /** The first of them, in words. */
  readonly what: string
}

/** Gathers defects of one vault; there may be as many as records. */
export class Defects {
  readonly #found = new Map<DefectName, { count: number; readonly what: string }>()

  add(name: DefectName, what: string): void {
    const found = this.#found.get(name)
    if (found === undefined) this.#found.set(name, { count: 1, what })
    else found.count++
  }

  has(name: DefectName): boolean {
    return this.#found.has(name)
  }

  get list(): Defect[] {
    return [...this.#found].map(([name, { count, what }]) => ({ name, count, what }))
  }

  /** Those that nothing can be put right from. */
  get fatal(): Defect[] {
    return this.list.filter(({ name }) => DEFECTS[name] === 'fatal')
  }
}
