/**
 * Typing help: words of a phrase or a share, and passphrases, as a person types them: with Tab, in
 * any case, over several lines, with slips that are told at once.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { askNewPassphrase } from './prompt.ts'
import { askPhrase } from './read-phrase.ts'
import { askShares } from './share-prompt.ts'
import { typingTerminal } from './typing.fixture.ts'
import { askWords, completeLine } from './word-prompt.ts'

const PHRASE = `${'abandon '.repeat(23)}art`

describe('askWords', () => {
  it('completes a word by Tab, and takes any case and spacing', async () => {
    const { terminal } = typingTerminal([
      [' 1: ', 'aban\tABOUT   Zoo\r'],
      [' 4: ', 'wint\t\r'],
      [' 5: ', '\r'],
    ])
    expect(await askWords(terminal, 24)).toBe('abandon about zoo winter')
  })

  it('names what is on no list and what it may be, and goes on from that word', async () => {
    const { terminal, said } = typingTerminal([
      [' 1: ', 'zoo resultt zoo\r'],
      [' 2: ', 'result\r'],
    ])
    expect(await askWords(terminal, 2)).toBe('zoo result')
    expect(said()).toContain('Word 2 is not on the list; it may be "result"')
  })

  it('offers what a line may end with', () => {
    expect(completeLine('zoo win')[0]).toEqual(expect.arrayContaining(['window', 'winter']))
    expect(completeLine('zoo wint')).toEqual([['winter '], 'wint'])
    expect(completeLine('zoo qqq')[0]).toEqual([])
  })
})

describe('askPhrase', () => {
  it('takes all words that are pasted, also after some that were typed', async () => {
    const { terminal } = typingTerminal([
      [' 1: ', 'zoo zoo\r'],
      [' 3: ', `${PHRASE}\r`],
    ])
    expect(await askPhrase(terminal)).toBe(PHRASE)
  })

  it('takes the text of a QR code in the place of words', async () => {
    const kit = 'blindcopy-kit:1?vault=x'
    const { terminal } = typingTerminal([[' 1: ', `${kit}\r`]])
    expect(await askPhrase(terminal)).toBe(kit)
  })

  it('ends with the command at Ctrl-D', async () => {
    const { terminal } = typingTerminal([[' 1: ', '\u0004']])
    await expect(askPhrase(terminal)).rejects.toMatchObject({ code: 'interrupted' })
  })
})

type Case = { readonly kind: string; readonly name: string; readonly words: readonly string[] }

const VECTORS = new URL('../../../test/vectors/recovery.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(VECTORS, 'utf8')) as { readonly cases: readonly Case[] }
const sharesOf = (set: string): readonly string[] =>
  cases.find(({ kind, name }) => kind === 'shares' && name === set)?.words ?? []
/** Two of three, which are enough, and one of another set. */
const SHARES = [...sharesOf('2 of 3'), ...sharesOf('3 of 5').slice(0, 1)]

describe('askShares', () => {
  it('asks until there are enough, and says what is wrong with one', async () => {
    const [first = '', second = '', other = ''] = SHARES
    const words = first.split(' ')
    const slip = words.with(9, words[9] === 'zoo' ? 'year' : 'zoo').join(' ')
    const { terminal, said } = typingTerminal([
      [' 1: ', `${slip}\r`],
      [' 1: ', `${first}\r`],
      [' 1: ', `${first}\r`],
      [' 1: ', `${other}\r`],
      [' 1: ', `${second}\r`],
    ])
    expect(await askShares([], terminal)).toEqual([first, second])
    expect(said()).toMatch(/word 10 may\s+be/)
    expect(said()).toContain('is here already. Type another one.')
    expect(said()).toContain('This share is of another set than the ones before.')
    expect(said()).toContain('(1 more needed)')
  })

  it('asks nothing where there are enough', async () => {
    const { terminal, said } = typingTerminal([])
    expect(await askShares(SHARES.slice(0, 2), terminal)).toEqual(SHARES.slice(0, 2))
    expect(said()).toBe('')
  })
})

describe('askNewPassphrase', () => {
  it('shows nothing of it, and asks again for what is short or differs', async () => {
    const { terminal, said } = typingTerminal([
      ['New: ', 'short\r'],
      ['New: ', 'four random words\r'],
      ['again: ', 'four random swords\r'],
      ['New: ', 'four random words\r'],
      ['again: ', 'four random words\r'],
    ])
    expect(await askNewPassphrase(terminal, 'New: ', 8)).toBe('four random words')
    expect(said()).toContain('at least 8 characters')
    expect(said()).toContain('The two differ')
    expect(said()).not.toContain('random s')
    expect(said()).not.toContain('four random words\n')
  })
})
