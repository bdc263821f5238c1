/**
 * Verify: goes through a remote file as a restore would, and keeps nothing of it.
 *
 * What is checked: every frame and its place, and of each vault what image-check.ts checks. It
 * needs no remote and no key, so a backup is looked at wherever it lies.
 */
import { formatHex, type VaultId, type VerifySignature } from '@blindcopy/protocol'
import { type Defect, Defects } from './defects.ts'
import { ImageCheck } from './image-check.ts'
import type { Manifest } from './manifest.ts'
import { readRemoteFile } from './remote-file.ts'

export type VerifiedVault = {
  readonly manifest: Manifest
  readonly defects: readonly Defect[]
  /** The hex of the chain at the seq that was asked for; undefined where the log does not go. */
  readonly chainAt: string | undefined
}

export type VerifiedFile = {
  readonly madeMs: number
  readonly sizeBytes: number
  readonly vaults: readonly VerifiedVault[]
}

export type VerifyOptions = {
  readonly verify: VerifySignature
  /** For each vault, by the hex of its id, the seq at which its chain is of interest. */
  readonly seqs?: ReadonlyMap<string, number> | undefined
}

/** Throws `backup-damaged` or `backup-cut`. */
export async function verifyFile(
  source: AsyncIterable<Uint8Array>,
  options: VerifyOptions,
): Promise<VerifiedFile> {
  const vaults: VerifiedVault[] = []
  let madeMs = 0
  let sizeBytes = 0
  const counted = async function* () {
    for await (const chunk of source) {
      sizeBytes += chunk.length
      yield chunk
    }
  }
  let judging: Judging | undefined
  for await (const part of readRemoteFile(counted())) {
    if (part.type === 'header') madeMs = part.madeMs
    else if (part.type === 'vault') judging = new Judging(part.manifest, options)
    else if (part.type === 'vault-end' && judging !== undefined) vaults.push(judging.finish())
    else judging?.take(part)
  }
  return { madeMs, sizeBytes, vaults }
}

/** What the first vault of a file was when the file was made; undefined when it has none. */
export async function peekFile(
  source: AsyncIterable<Uint8Array>,
): Promise<{ readonly madeMs: number; readonly manifest: Manifest } | undefined> {
  let madeMs = 0
  for await (const part of readRemoteFile(source)) {
    if (part.type === 'header') madeMs = part.madeMs
    else return part.type === 'vault' ? { madeMs, manifest: part.manifest } : undefined
  }
  return undefined
}

class Judging {
  readonly #manifest: Manifest
  readonly #defects = new Defects()
  readonly #check: ImageCheck
  readonly #seq: number | undefined
  #chainAt: string | undefined

  constructor(manifest: Manifest, { verify, seqs }: VerifyOptions) {
    this.#manifest = manifest
    this.#check = new ImageCheck(manifest, verify, this.#defects)
    this.#seq = seqs?.get(formatHex(manifest.vaultId as VaultId))
  }

  take(part: Parameters<ImageCheck['take']>[0]): void {
    const sound = this.#check.take(part)
    if (sound?.type !== 'log') return
    const item = sound.items.find(({ seq }) => seq === this.#seq)
    if (item !== undefined) this.#chainAt = formatHex(item.entry.chain)
  }

  finish(): VerifiedVault {
    this.#check.finish()
    return {
      manifest: this.#manifest,
      defects: this.#defects.list,
      chainAt: this.#chainAt,
    }
  }
}
