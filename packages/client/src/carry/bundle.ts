/**
 * Bundle: all that a device holds of a vault, sealed, as one file (sealed-file.ts) that another
 * device of the vault takes without a remote.
 *
 * It is read twice (decision 0018): once to check it as a whole, and only then to take it, so that
 * one that is refused has changed nothing.
 */
import {
  BUNDLE_VERSION,
  bundleSignedBytes,
  encodePeerMessage,
  encodeUtf8,
  equalBytes,
  type Keychain,
  ProtocolError,
} from '@blindcopy/protocol'
import { ClientError, codeOf } from '../error.ts'
import { endRestoring, isRestoring } from '../local/restoring.ts'
import type { CarriedIntake } from './carried.ts'
import { heldEnvelopes, scanHeld } from './carried-source.ts'
import {
  type CarriedReport,
  type Carrier,
  candidateKeychain,
  isSignedBy,
  takeKeychain,
  withIntake,
} from './carrier.ts'
import { envelopeBatches } from './peer-exchange.ts'
import {
  type FileChecked,
  type FileForm,
  type FileProgress,
  FileReading,
  type FileSource,
  FileWriting,
  readWholeFile,
} from './sealed-file.ts'

/** Opens a bundle from its beginning; called twice. */
export type BundleSource = FileSource

export type BundleProgress = FileProgress

export type BundleReport = CarriedReport & {
  /** Versions in the bundle. */
  readonly count: number
  readonly madeMs: number
}

/** Envelopes of one frame of a file, in bytes. */
export const FILE_BATCH_BYTES_MAX: number = 1024 * 1024

const BUNDLE: FileForm = {
  noun: 'bundle',
  magic: encodeUtf8('bcbundle'),
  header: 'header',
  version: BUNDLE_VERSION,
  isStrict: false,
  signedBytes: bundleSignedBytes,
  damaged: (what, { cause }) => damaged(what, cause),
  cut: () => damaged('it is incomplete: its end is missing'),
}

/** A bundle of all that this device may give away, in chunks of about a megabyte. */
export async function* writeBundle(
  carrier: Carrier,
  onProgress: (progress: BundleProgress) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const { local, membership, vaultId } = carrier
  const { count: total } = await scanHeld(local.state)
  const writing = new FileWriting(BUNDLE)
  const header = [BUNDLE_VERSION, vaultId, carrier.nowMs(), total] as const
  yield writing.begin(encodePeerMessage('header', ...header))
  for (const entry of membership.keychain.entries) {
    yield writing.frame(encodePeerMessage('keychain', [entry], false))
  }
  let count = 0
  const envelopes = heldEnvelopes(local.state.store)
  for await (const batch of envelopeBatches(envelopes, FILE_BATCH_BYTES_MAX)) {
    count += batch.length
    yield writing.frame(encodePeerMessage('envelopes', batch, false))
    onProgress({ done: count, total: Math.max(total, count) })
  }
  yield writing.end(count, vaultId, membership.device)
}

/**
 * Takes a bundle. Throws `bundle-damaged`, `wrong-vault`, `not-a-member`, `keychain-forked` or
 * `unsupported-version`, and changes nothing, when it is not whole or not of this vault.
 */
export function readBundle(
  carrier: Carrier,
  source: BundleSource,
  onProgress?: (progress: BundleProgress) => void,
): Promise<BundleReport> {
  return takeFile(carrier, BUNDLE, { source, onProgress })
}

/** Checks a file as a whole, then takes it. */
export async function takeFile(
  carrier: Carrier,
  form: FileForm,
  options: {
    readonly source: FileSource
    readonly onProgress?: ((progress: FileProgress) => void) | undefined
  },
): Promise<BundleReport> {
  const { source, onProgress } = options
  const { vaultId, membership } = carrier
  const checked = await readWholeFile(form, source(), { vaultId })
  const [total, digest] = checked.end
  const candidate = candidateOf(form, membership.keychain, checked.entries)
  const isRestore = await isRestoring(carrier.local.state.store, digest)
  if (!isRestore) checkMaker(form, checked, candidate)
  await takeKeychain(carrier, checked.entries)
  const taking = async (intake: CarriedIntake): Promise<{ sent: number }> => {
    let done = 0
    const reading = new FileReading(form, vaultId)
    for await (const message of reading.messages(source())) {
      if (message.kind !== 'envelopes') continue
      await intake.take(message.content[0])
      done += message.content[0].length
      onProgress?.({ done, total })
    }
    if (!equalBytes(reading.digest, digest)) {
      const what = 'it was changed while it was read; what was taken from it is whole'
      throw form.damaged(what, {})
    }
    return { sent: 0 }
  }
  const report = await withIntake(carrier, taking, { isRestore })
  if (isRestore) await endRestoring(carrier.local.state)
  return { ...report, count: total, madeMs: checked.header.madeMs }
}

/** Throws `not-a-member` when none of this keychain has signed the file. */
export function checkMaker(form: FileForm, { end }: FileChecked, keychain: Keychain): void {
  const [, digest, memberId, signature] = end
  const message = form.signedBytes({ vaultId: keychain.vaultId, memberId, digest })
  if (isSignedBy(keychain, memberId, { message, signature })) return
  throw new ProtocolError('not-a-member', `no device of this vault has made this ${form.noun}`)
}

function candidateOf(
  form: FileForm,
  ...chain: Parameters<typeof candidateKeychain>
): ReturnType<typeof candidateKeychain> {
  try {
    return candidateKeychain(...chain)
  } catch (cause) {
    if (codeOf(cause) === 'keychain-forked' || codeOf(cause) === 'keychain-unsupported') throw cause
    throw form.damaged('its list of devices does not hold', { cause })
  }
}

function damaged(what: string, cause?: unknown): ClientError {
  return new ClientError('bundle-damaged', `the bundle cannot be taken: ${what}`, { cause })
}
