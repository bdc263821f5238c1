/**
 * Registration: who may create a vault here. A vault that is here already never asks for it.
 */
import { encodeUtf8, equalBytesConstantTime, ProtocolError, sha256 } from '@blindcopy/protocol'

export type Registration =
  | { readonly mode: 'open' }
  /** Read for each new vault: a getter lets it be changed while the remote runs. */
  | { readonly mode: 'token'; readonly token: string }
  | { readonly mode: 'closed' }

/** Throws `registration-closed`, or `registration-required` when the token is missing or wrong. */
export function checkRegistration(registration: Registration, offered: string | undefined): void {
  switch (registration.mode) {
    case 'open':
      return
    case 'closed':
      throw new ProtocolError('registration-closed', 'this remote takes no new vaults')
    case 'token': {
      // Hashed first: of one length, so that the comparison tells nothing by its time.
      const expected = sha256(encodeUtf8(registration.token))
      const isRight = equalBytesConstantTime(expected, sha256(encodeUtf8(offered ?? '')))
      if (offered !== undefined && isRight) return
      throw new ProtocolError(
        'registration-required',
        'a new vault needs the registration token of this remote: ask whoever runs it',
      )
    }
  }
}
