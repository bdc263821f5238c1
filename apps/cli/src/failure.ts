/**
 * Failure: what every error code means for the person at the command line: an exit code, a remedy.
 *
 *   0  done
 *   1  anything else: the disk, a folder in use, a fault
 *   2  what was asked for is wrong: usage, input, phrase, no such record, no vault
 *   3  the remote refused, or sync has stopped until the person acts
 *   4  the network
 *   5  integrity: something is not what was written
 * 130  stopped by the person
 *
 * A test compares the table with the codes of the packages; docs/protocol.md explains them all.
 */

import { wrap } from './layout.ts'

export type Exit = 1 | 2 | 3 | 4 | 5 | 130

export type Outcome = { readonly exit: Exit; readonly remedy: string }

const USAGE: Readonly<Record<string, Outcome>> = {
  usage: { exit: 2, remedy: 'See `blindcopy --help`, or `blindcopy COMMAND --help`.' },
  'invalid-json': { exit: 2, remedy: 'Give one JSON object, such as \'{"title":"Hello"}\'.' },
  'invalid-line': { exit: 2, remedy: 'Nothing was written: mend that line, and import again.' },
  unreadable: { exit: 2, remedy: 'Check the path and its permissions.' },
  'file-exists': { exit: 2, remedy: 'Name another file, or give --force to write over it.' },
  unwritable: { exit: 1, remedy: 'Check the folder, its permissions, and the room on the disk.' },
  'setting-refused': {
    exit: 2,
    remedy: 'Correct it there; `blindcopy serve --print-config` lists every setting.',
  },
  'address-in-use': { exit: 1, remedy: 'Choose another --port, or 0 for any that is free.' },
  'address-refused': { exit: 2, remedy: 'Correct --host or --port, as the sentence says.' },
  'needs-attention': {
    exit: 3,
    remedy: 'They are kept: `blindcopy attention list` tells why, and `retry` sends them again.',
  },
  unsound: {
    exit: 5,
    remedy: 'Run `blindcopy verify` on the other device too; `sync --reconcile` goes on from here.',
  },
  'remote-unsound': {
    exit: 5,
    remedy: 'See `blindcopy remote check`, then `remote repair`; docs/remote-administration.md.',
  },
  'remote-gone': { exit: 1, remedy: 'See that the server runs, or is stopped, then run it again.' },
  interrupted: { exit: 130, remedy: 'What was done before it is whole and kept.' },
}

const VERIFY =
  'See `blindcopy verify`, here and on the other device; `sync --reconcile` then goes on.'

const CLIENT: Readonly<Record<string, Outcome>> = {
  'not-a-vault': { exit: 2, remedy: 'Check --vault; `blindcopy init` or `restore` makes a vault.' },
  'vault-exists': { exit: 2, remedy: 'Use it as it is, or choose another folder with --vault.' },
  'vault-in-use': { exit: 1, remedy: 'Close the other program, such as a `sync --watch`.' },
  'vault-damaged': { exit: 5, remedy: 'Keep the folder; restore the phrase into a new one.' },
  'invalid-argument': { exit: 2, remedy: 'Correct what the sentence names.' },
  'reserved-name': { exit: 2, remedy: 'Choose a collection name that does not begin with "$".' },
  'schema-refused': { exit: 2, remedy: 'Correct the field that the sentence names.' },
  'schema-newer': { exit: 2, remedy: 'Update this program; the record is kept as it is.' },
  'write-refused': { exit: 3, remedy: 'It is kept: see `blindcopy attention`.' },
  'not-found': {
    exit: 2,
    remedy: 'See what there is: `blindcopy list`, `devices list`, `keys status`, `conflicts`.',
  },
  'already-exists': { exit: 2, remedy: 'Choose another key.' },
  'transaction-conflict': { exit: 1, remedy: 'Try again when less is being written.' },
  'transaction-too-large': { exit: 2, remedy: 'Split it: at most 1,000 records and 4 MiB.' },
  closed: { exit: 1, remedy: 'Try again.' },
  locked: { exit: 1, remedy: 'Unlock it, or run it again: each command opens the vault anew.' },
  'key-store-failed': { exit: 1, remedy: 'See that the key helper runs by itself, and try again.' },
  'key-store-empty': { exit: 5, remedy: 'Restore the vault from its phrase into a new folder.' },
  network: {
    exit: 4,
    remedy: 'Try again when it can be reached; what you wrote is kept until then.',
  },
  'not-a-remote': { exit: 4, remedy: 'Check the address, and any proxy or login page before it.' },
  'wrong-phrase': { exit: 3, remedy: 'Compare the words with your paper, and check --remote.' },
  'wrong-vault': {
    exit: 2,
    remedy: 'Use what was made from this vault; an old backup does not open with a newer key.',
  },
  'device-revoked': {
    exit: 3,
    remedy:
      'Export what is only here; come back by `devices join`, or `restore`, into a new folder.',
  },
  'last-way-in': { exit: 2, remedy: 'Add another device first; then remove this one from there.' },
  'key-unknown': { exit: 3, remedy: 'Check --remote; or use the phrase, or another backup.' },
  'key-revoked': { exit: 3, remedy: 'Use the recovery phrase, or another backup of the keys.' },
  'keychain-outdated': {
    exit: 5,
    remedy: 'Nothing was changed. Ask whoever runs the remote; the phrase still opens the vault.',
  },
  'bundle-damaged': { exit: 5, remedy: 'Nothing was taken of what is damaged: export it again.' },
  'backup-damaged': {
    exit: 5,
    remedy: 'Nothing was changed. Copy it again, or use another backup.',
  },
  'backup-cut': { exit: 5, remedy: 'Nothing was changed. Copy it again, or use another backup.' },
  'kit-damaged': { exit: 2, remedy: 'Use the file as it was written, or type the 24 words.' },
  'sync-stopped': { exit: 3, remedy: 'Nothing here was changed. See `blindcopy status`.' },
  integrity: {
    exit: 5,
    remedy: 'Nothing here was changed. If it repeats, the remote is broken or hostile.',
  },
  'history-forked': { exit: 5, remedy: VERIFY },
  'history-differs': { exit: 5, remedy: VERIFY },
  'unsupported-platform': { exit: 1, remedy: 'Use Node 20.16 or later.' },
}

const INVITE_AGAIN = 'Invite again on the other device: `blindcopy devices invite`.'

const PAIRING: Readonly<Record<string, Outcome>> = {
  'pairing-code-malformed': {
    exit: 2,
    remedy: 'Copy the whole code again, or type the six words.',
  },
  'pairing-expired': { exit: 3, remedy: INVITE_AGAIN },
  'pairing-denied': { exit: 3, remedy: INVITE_AGAIN },
  'pairing-contested': {
    exit: 3,
    remedy: 'Somebody else may have seen the code: invite again, where nobody looks on.',
  },
  'pairing-failed': { exit: 5, remedy: INVITE_AGAIN },
  'mailbox-unknown': { exit: 3, remedy: INVITE_AGAIN },
  'mailbox-taken': { exit: 3, remedy: INVITE_AGAIN },
}

const ASK_HOST = 'Ask whoever runs the remote.'
const UPDATE = 'Update this program.'
const BY_ITSELF = 'Run it again; nothing was lost.'

const PROTOCOL: Readonly<Record<string, Outcome>> = {
  malformed: { exit: 5, remedy: 'Run it again; if it repeats, the remote or the way is damaged.' },
  'too-large': { exit: 2, remedy: 'Make it smaller: a record holds less than 1 MiB.' },
  'unsupported-version': { exit: 1, remedy: UPDATE },
  'unsupported-protocol': { exit: 3, remedy: 'Update the older of this program and the remote.' },
  'not-carried': { exit: 2, remedy: 'Change the value at the path that the sentence names.' },
  'clock-drift': { exit: 3, remedy: 'Set the clock of this device (or the remote) right.' },
  'clock-exhausted': { exit: 1, remedy: 'Set the clock of this device right.' },
  'keychain-invalid': { exit: 5, remedy: 'Nothing here was changed. Do not trust this remote.' },
  'keychain-forked': { exit: 5, remedy: 'Find out which device or host is not to be trusted.' },
  'keychain-race': { exit: 3, remedy: BY_ITSELF },
  'keychain-unsupported': { exit: 1, remedy: UPDATE },
  'session-required': { exit: 3, remedy: BY_ITSELF },
  'challenge-failed': { exit: 3, remedy: BY_ITSELF },
  'not-a-member': {
    exit: 3,
    remedy:
      'Export what is only here; come back by `devices join`, or `restore`, into a new folder.',
  },
  'unknown-vault': { exit: 3, remedy: `Check the address. ${ASK_HOST}` },
  'origin-refused': {
    exit: 3,
    remedy: 'Check the address for a typing error; the host names its own with `serve --origin`.',
  },
  'registration-required': {
    exit: 3,
    remedy:
      'Give --registration-token; whoever runs the remote sees it by `blindcopy remote tokens`.',
  },
  'registration-closed': { exit: 3, remedy: `${ASK_HOST} Or choose another one.` },
  'sync-id-mismatch': { exit: 3, remedy: BY_ITSELF },
  'epoch-old': { exit: 3, remedy: 'Sync again; `blindcopy sync --retry` sends it anew.' },
  'epoch-unknown': { exit: 3, remedy: 'Sync again; `blindcopy sync --retry` sends it anew.' },
  'checkpoint-refused': { exit: 3, remedy: 'Sync again; if it stays, update this program.' },
  'checkpoint-old': { exit: 3, remedy: 'Sync again: this device counts on from there.' },
  'wrong-author': { exit: 3, remedy: 'The folder may be a copy: restore into a new one instead.' },
  'too-many-requests': { exit: 3, remedy: 'Wait a minute, then run it again.' },
  busy: { exit: 4, remedy: 'Try again later; what you wrote is kept.' },
  'storage-full': { exit: 3, remedy: `What you wrote is kept here. ${ASK_HOST}` },
  'quota-exceeded': { exit: 3, remedy: `What you wrote is kept here. ${ASK_HOST}` },
  internal: { exit: 1, remedy: 'Run it again; if it repeats, please report it.' },
}

const STORE: Readonly<Record<string, Outcome>> = {
  'store-in-use': { exit: 1, remedy: 'Close the other program that has the folder open.' },
  'store-read-only': { exit: 1, remedy: 'Give yourself the right to write there.' },
  'store-full': { exit: 1, remedy: 'Make room on the disk, then run it again; nothing was lost.' },
  'store-corrupt': {
    exit: 5,
    remedy: 'Keep the folder; restore it, or the vault, from elsewhere.',
  },
  'store-closed': { exit: 1, remedy: 'Run it again.' },
  'store-failed': { exit: 1, remedy: 'Check the disk, then run it again.' },
}

const VAULT: Readonly<Record<string, Outcome>> = {
  tampered: { exit: 5, remedy: 'Keep the folder; restore the phrase into a new one.' },
  'phrase-malformed': { exit: 2, remedy: 'Compare with your paper: 24 words, in their order.' },
  'phrase-checksum': { exit: 2, remedy: 'Compare each word, and their order, with your paper.' },
  'passphrase-wrong': {
    exit: 2,
    remedy: 'Type it again; nobody can reset it, but the phrase restores the vault elsewhere.',
  },
  'passphrase-required': { exit: 2, remedy: 'Set BLINDCOPY_PASSPHRASE, or use a terminal.' },
  'key-store-required': { exit: 2, remedy: 'Name it with --key-helper or BLINDCOPY_KEY_HELPER.' },
  'key-store-wrong': { exit: 2, remedy: 'Use the key helper that the vault was closed with.' },
  'key-file-damaged': { exit: 5, remedy: 'Restore the vault from its phrase into a new folder.' },
  'key-mismatch': { exit: 5, remedy: 'Nothing here was changed. Ask on your other devices.' },
  'record-too-large': { exit: 2, remedy: 'Split the record: sealed it must fit 1 MiB.' },
  'parameters-refused': { exit: 5, remedy: 'The key file was changed: use a copy of it.' },
  'memory-refused': { exit: 1, remedy: 'Close other programs, or use a device with more memory.' },
  'passphrase-weak': { exit: 2, remedy: 'Take four or five random words, or more characters.' },
  'recovery-file-damaged': { exit: 5, remedy: 'Use another copy of the key file.' },
  'recovery-kind-wrong': { exit: 2, remedy: 'Give it where the sentence says that it belongs.' },
  'recovery-newer': { exit: 1, remedy: UPDATE },
  'share-count-refused': { exit: 2, remedy: 'Take at least 2 of them, and at most 16 in all.' },
  'share-malformed': { exit: 2, remedy: 'Compare with the paper: 33 words, in their order.' },
  'share-checksum': { exit: 2, remedy: 'Compare each word, and their order, with the paper.' },
  'shares-mixed': { exit: 2, remedy: 'Leave out the shares that do not belong to the others.' },
  'shares-conflict': { exit: 2, remedy: 'Compare both with the paper; one of them was changed.' },
  'shares-too-few': { exit: 2, remedy: 'Find more shares of the same set, and give all at once.' },
}

const ADMIN: Readonly<Record<string, Outcome>> = {
  'no-such-vault': { exit: 2, remedy: 'See `blindcopy remote vaults`, and check --data.' },
  'vault-ambiguous': { exit: 2, remedy: 'Give more digits of the id.' },
  'vault-there': {
    exit: 3,
    remedy: 'It was left as it is; --replace takes it away for what the backup holds.',
  },
  unmendable: {
    exit: 5,
    remedy: 'Restore the vault from a backup with --replace, or `remote delete` it.',
  },
  'admin-socket-refused': {
    exit: 1,
    remedy: 'Name a shorter path in BLINDCOPY_ADMIN_SOCKET, for the server and for commands.',
  },
  'admin-socket-in-use': { exit: 1, remedy: 'Stop the other server, or name another path.' },
}

export const OUTCOMES: Readonly<Record<string, Outcome>> = {
  ...ADMIN,
  ...STORE,
  ...VAULT,
  ...PROTOCOL,
  ...CLIENT,
  ...USAGE,
  ...PAIRING,
}

const UNKNOWN: Outcome = { exit: 1, remedy: 'Run it again; if it repeats, please report it.' }

export type Failure = Outcome & { readonly code: string; readonly message: string }

/** What is told of anything that was thrown. */
export function failureOf(error: unknown): Failure {
  const code = codeIn(error)
  const message = error instanceof Error ? error.message : String(error)
  const isKnown = code !== undefined && Object.hasOwn(OUTCOMES, code)
  const outcome = isKnown ? (OUTCOMES[code] ?? UNKNOWN) : UNKNOWN
  return { ...outcome, code: isKnown ? code : 'internal', message: oneLine(message) }
}

/** A sentence and a remedy for a person, in lines of so many columns, or the one for a machine. */
export function formatFailure(
  { code, message, remedy }: Failure,
  json: boolean,
  columns: number = Number.POSITIVE_INFINITY,
): string {
  if (json) return JSON.stringify({ error: { code, message, remedy } })
  const sentence = wrap(`blindcopy: ${message} [${code}]`, columns, 2)
  return `${sentence}\n  ${wrap(remedy, columns, 2)}`
}

function codeIn(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').replace(/\.$/, '').trim()
