/**
 * Sorted list: members in a total order, in blocks of bounded length, so that finding, adding and
 * removing one costs the logarithm of how many there are, and walking on from any place nothing.
 *
 * Written here because the B+ trees at hand are CommonJS modules of 20 kB and more, and a page that
 * loads the client in a browser pays for each.
 */
import { assert } from '@blindcopy/protocol'

const BLOCK_MAX = 256

/** Between two members: before the one at this offset of this block. */
export type Place = { readonly block: number; readonly offset: number }

export class SortedList<M> {
  readonly #compare: (a: M, b: M) => number
  /** None is empty. */
  readonly #blocks: M[][] = []
  #size = 0

  /** Members that compare as 0 are the same member: there is one of them at most. */
  constructor(compare: (a: M, b: M) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#size
  }

  get start(): Place {
    return { block: 0, offset: 0 }
  }

  get end(): Place {
    return { block: this.#blocks.length, offset: 0 }
  }

  /** False, and nothing is changed, when the same member is there already. */
  add(member: M): boolean {
    const { block, offset } = this.seek((other) => this.#compare(other, member))
    const next = this.#blocks[block]?.[offset]
    if (next !== undefined && this.#compare(next, member) === 0) return false
    this.#size++
    // Between two blocks it goes to the end of the first, so that a rising order fills blocks.
    const target = offset === 0 && block > 0 ? block - 1 : block
    const members = this.#blocks[target]
    if (members === undefined) {
      this.#blocks.push([member])
      return true
    }
    if (target < block) members.push(member)
    else members.splice(offset, 0, member)
    if (members.length > BLOCK_MAX) this.#split(target, members)
    return true
  }

  /** The member that was removed, or undefined when there was none. */
  remove(member: M): M | undefined {
    const { block, offset } = this.seek((other) => this.#compare(other, member))
    const members = this.#blocks[block]
    const found = members?.[offset]
    if (members === undefined || found === undefined) return undefined
    if (this.#compare(found, member) !== 0) return undefined
    members.splice(offset, 1)
    if (members.length === 0) this.#blocks.splice(block, 1)
    this.#size--
    return found
  }

  /**
   * The place before the first member that `side` says is not below it: `side` is negative for
   * members below the place, and never again once it was not.
   */
  seek(side: (member: M) => number): Place {
    const blocks = this.#blocks
    const block = firstIndex(blocks.length, (i) => {
      const members = blocks[i] as M[]
      return side(members[members.length - 1] as M) >= 0
    })
    const members = blocks[block]
    if (members === undefined) return this.end
    return { block, offset: firstIndex(members.length, (i) => side(members[i] as M) >= 0) }
  }

  /** The member after a place. */
  after({ block, offset }: Place): M | undefined {
    return this.#blocks[block]?.[offset]
  }

  /** The member before a place. */
  before({ block, offset }: Place): M | undefined {
    return offset > 0 ? this.#blocks[block]?.[offset - 1] : this.#blocks[block - 1]?.at(-1)
  }

  /** The members from one place to another, in order. The list must not change meanwhile. */
  *between(from: Place, to: Place): Generator<M, void> {
    for (let block = from.block; block <= to.block; block++) {
      const members = this.#blocks[block]
      if (members === undefined) return
      const first = block === from.block ? from.offset : 0
      const last = block === to.block ? to.offset : members.length
      for (let i = first; i < last; i++) yield members[i] as M
    }
  }

  /** The first `count` members. */
  first(count: number): M[] {
    const found: M[] = []
    for (const members of this.#blocks) {
      if (found.length >= count) break
      const missing = count - found.length
      for (let i = 0; i < members.length && i < missing; i++) found.push(members[i] as M)
    }
    return found
  }

  #split(block: number, members: M[]): void {
    // At the end of the list a full block stays full: members that come in order fill them all.
    const isLast = block === this.#blocks.length - 1
    const tail = members.splice(isLast ? BLOCK_MAX : BLOCK_MAX / 2)
    assert(tail.length > 0, 'a block that is split is longer than half a block')
    this.#blocks.splice(block + 1, 0, tail)
  }
}

export function isBefore(a: Place, b: Place): boolean {
  return a.block < b.block || (a.block === b.block && a.offset < b.offset)
}

/** The least index below `count` that passes, or `count`: none that fails follows one that does. */
function firstIndex(count: number, passes: (index: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (passes(middle)) high = middle
    else low = middle + 1
  }
  return low
}
