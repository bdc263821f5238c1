/**
 * Device names: what a member is called now. It got a name with its entry in the keychain, which
 * nobody can change; another is a sealed record that every device has, the newest wins.
 */
import { equalBytes, type Fields, formatMemberId, type Member } from '@blindcopy/protocol'
import { MEMBER_NAME_BYTES_MAX, VaultError } from '@blindcopy/vault'
import { ClientError } from '../error.ts'
import type { RecordChange } from '../local/row-batch.ts'
import type { WriteContext } from '../records/transaction.ts'
import type { Membership } from './membership.ts'

const COLLECTION = '$device-names'

export class DeviceNames {
  readonly #membership: Membership
  readonly #context: WriteContext
  #namesById: ReadonlyMap<string, string> = new Map()
  #tag: Uint8Array | undefined

  constructor(membership: Membership, context: WriteContext) {
    this.#membership = membership
    this.#context = context
  }

  /** Empty for a name that does not open. */
  nameOf(member: Member): string {
    const renamed = this.#namesById.get(formatMemberId(member.memberId))
    return renamed ?? this.#membership.nameOf(member)
  }

  /** Reads the names; again where a change is of one of them. */
  async load(): Promise<void> {
    const { local, sealer } = this.#context
    const names = new Map<string, string>()
    this.#tag = sealer.tagOf(COLLECTION)
    for await (const page of local.pages(this.#tag)) {
      for (const version of page) {
        const record = this.#open(version)
        const name = record?.fields?.name
        if (record !== undefined && typeof name === 'string') names.set(record.key, name)
      }
    }
    this.#namesById = names
  }

  /** Reads the names again where one has changed. */
  noteChanges(changes: readonly RecordChange[]): void {
    const own = this.#tag
    if (own === undefined || !changes.some(({ tag }) => equalBytes(tag, own))) return
    // What fails here is read again with the next change, or opening.
    void this.load().catch(() => undefined)
  }

  /** A record that the disk has spoiled must not hide the others. */
  #open(version: Parameters<WriteContext['sealer']['open']>[0]) {
    try {
      return this.#context.sealer.open(version)
    } catch (error) {
      if (error instanceof VaultError) return undefined
      throw error
    }
  }

  /** Throws `invalid-argument` for a name that is empty or longer than 254 bytes. */
  async rename(member: Member, name: string): Promise<void> {
    const isText = typeof name === 'string' && name.trim() !== '' && name.isWellFormed()
    if (!isText || new TextEncoder().encode(name).length > MEMBER_NAME_BYTES_MAX) {
      throw new ClientError(
        'invalid-argument',
        `a name has 1 to ${MEMBER_NAME_BYTES_MAX} bytes of text`,
      )
    }
    const { local, sealer } = this.#context
    const fields: Fields = { name }
    const place = sealer.placeOf(COLLECTION, formatMemberId(member.memberId))
    await local.commit([sealer.draft(place, fields)])
    await this.load()
  }
}
