/**
 * Pairing against a remote that meddles, against somebody who has seen the code, and against a
 * network that loses what it likes: the two devices pair, or nothing is given and nothing written.
 *
 * Threats: 2 (unauthenticated keys, ghost device), 8 (a login to the wrong host), 10 (an invitation
 * that is replayed, or whose key is swapped). Lessons: B3, B7, B8, B12.
 */
import { codeOf } from '@blindcopy/client'
import {
  encodeMessage,
  formatMemberId,
  KeychainAnswer,
  MAILBOX_MS,
  MailboxAnswer,
  MailboxWriteAnswer,
  MailboxWriteRequest,
  type PairingInvite,
  type PairingJoin,
  pairingCommitment,
  parseCheckpoint,
  parseMessage,
  type VaultId,
} from '@blindcopy/protocol'
import { generateDeviceKeys, generatePairingWords, memberProof } from '@blindcopy/vault'
import { describe, expect, it } from 'vitest'
import { dump } from '../../packages/remote/src/remote.fixture.ts'
import { exportOf, REMOTE, refusal, unreachable, type World } from '../simulation/world.ts'
import { cbor, flip, rewriteRoute } from './adversary.ts'
import {
  approveWhoever,
  type Box,
  expectNobody,
  Insider,
  join,
  makeStage,
  onMailboxes,
  pair,
  rewriteMailbox,
  rewriteWrites,
  type Stage,
  yes,
} from './pairing.ts'

const codeOfRefusal = async (promise: Promise<unknown>) => codeOf(await refusal(promise))

/** How both ends end, in codes; undefined for one that pairs. */
async function ends(...running: Promise<unknown>[]): Promise<(string | undefined)[]> {
  const results = await Promise.allSettled(running)
  return results.map((result) => (result.status === 'rejected' ? codeOf(result.reason) : undefined))
}

describe('two devices that pair', () => {
  it.each(['code', 'words'] as const)(
    'see the same digits, and share the vault, by %s',
    async (form) => {
      const stage = await makeStage(11)
      const { vault } = stage
      const invitation = await vault.pairing.invite({ form })
      expect(Object.keys(invitation)).toContain(form)
      const { joined, newcomer, digits } = await pair(stage, invitation)
      expect(digits).toMatch(/^\d{6}$/)
      expect(newcomer).toMatchObject({ digits, name: 'canary of a name' })
      await joined.sync.once()
      await vault.sync.once()
      expect(await exportOf(joined)).toBe(await exportOf(vault))
      expect(await exportOf(joined)).toContain('canary-of-a-note')
      for (const one of [vault, joined]) {
        expect(one.devices().map(({ name }) => name)).toEqual(['the inviter', 'canary of a name'])
      }
      await joined.close()
      expect((await stage.newcomer.open()).vaultId).toBe(vault.vaultId)
    },
  )

  it('are told to the person with the vault and the device that invites', async () => {
    const stage = await makeStage(12)
    const { vault } = stage
    const invitation = await vault.pairing.invite()
    let asked: unknown
    const confirm = async (question: object): Promise<boolean> => {
      asked = question
      return true
    }
    const approving = approveWhoever(invitation)
    await join(stage, invitation, { confirm })
    const { digits } = await approving
    // Seen at once by whoever said yes, and gone at once when that was a mistake.
    const [, joined] = vault.devices()
    expect(joined?.name).toBe('canary of a name')
    await vault.keys.revoke([joined?.deviceId as string])
    expect(vault.devices()).toHaveLength(1)
    expect(asked).toEqual({ digits, vaultId: vault.vaultId, inviterId: vault.deviceId })
  })

  it('pair before the vault was ever synced, and after a restart of the session', async () => {
    const stage = await makeStage(13)
    const other = stage.world.makeDevice()
    const { vault } = await other.create()
    const invitation = await vault.pairing.invite()
    stage.world.restartRemote({ tokenKey: new Uint8Array(32).fill(8) })
    await expect(invitation.cancel()).resolves.toBeUndefined()
    expect((await vault.pairing.invite()).code).toMatch(/^blindcopy-pair:/)
  })

  it('leave nothing at the remote that it can read, and nothing on its disk but the new entry', async () => {
    const stage = await makeStage(14)
    const seen: Uint8Array[] = []
    for (const device of [stage.inviter, stage.newcomer]) {
      const before = device.network.fetch
      device.network.fetch = async (request, carry) => {
        seen.push(Buffer.from([...request.headers].join('\n') + request.url))
        seen.push(new Uint8Array(await request.clone().arrayBuffer()))
        return before(request, carry)
      }
    }
    const invitation = await stage.vault.pairing.invite()
    const { keys } = new Insider(stage.world, invitation.code ?? '')
    await pair(stage, invitation)
    const all = Buffer.concat([...seen, ...(await dump(stage.world.store)).flat()])
    const words = ['canary of a name', 'the inviter', 'canary-of-a-note', invitation.code ?? '']
    for (const word of words) expect(all.includes(word), word).toBe(false)
    const secret = Buffer.from((invitation.code ?? '').slice(15), 'base64url').subarray(1, 17)
    expect(all.includes(secret)).toBe(false)
    expect(all.includes(Buffer.from(keys.sealingKey.bytes))).toBe(false)
    // What names a mailbox stands in headers and bodies alone.
    const urls = seen
      .filter((_, i) => i % 2 === 0)
      .map((text) => text.toString().split('http').pop())
    expect(urls.join()).not.toContain(Buffer.from(keys.mailboxId).toString('base64url'))
  })

  it('hand on the newest checkpoint, which the log of the remote must then contain', async () => {
    const stage = await makeStage(15)
    const invitation = await stage.vault.pairing.invite()
    const insider = new Insider(stage.world, invitation.code ?? '')
    const { joined } = await pair(stage, invitation)
    const approve = insider.open('approve', 3, (await insider.read()).messages[3])
    const bytes = approve?.checkpoint ?? new Uint8Array(0)
    expect(formatMemberId(parseCheckpoint(bytes).memberId)).toBe(stage.vault.deviceId)
    const stored = (await stage.newcomer.disk.entries()).map(([, value]) => hexOf(value))
    expect(stored).toContain(hexOf(bytes))
    await joined.sync.once()
    expect((await joined.verify()).isSound).toBe(true)
  })

  it('refuse a checkpoint that is none, or of another vault, before anything is written', async () => {
    const other = await makeStage(16)
    const foreign = await other.vault.checkpoints.newestCheckpoint()
    expect(foreign).not.toBeNull()
    for (const checkpoint of [foreign, new Uint8Array(300), new Uint8Array(0)]) {
      const stage = await makeStage(17)
      const invitation = await stage.vault.pairing.invite()
      const insider = new Insider(stage.world, invitation.code ?? '')
      rewriteMailbox(stage.newcomer, (mailbox) => {
        const approve = insider.open('approve', 3, mailbox.messages[3])
        if (approve === undefined) return mailbox
        return withMessage(mailbox, 3, insider.seal({ ...approve, checkpoint }))
      })
      const approving = approveWhoever(invitation)
      expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
      await approving
      await expectNobody(stage, 2)
    }
  })
})

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const withMessage = (mailbox: Box, slot: number, message: Uint8Array | null): Box => ({
  ...mailbox,
  messages: mailbox.messages.with(slot, message),
})

describe('a person who says no', () => {
  it('at the inviter: the newcomer hears it, and nobody is added', async () => {
    const stage = await makeStage(21)
    const invitation = await stage.vault.pairing.invite()
    const denying = invitation.newcomer().then(async (newcomer) => {
      await newcomer.deny()
      expect(await codeOfRefusal(newcomer.approve())).toBe('invalid-argument')
    })
    expect(await ends(join(stage, invitation), denying)).toEqual(['pairing-denied', undefined])
    await expectNobody(stage)
  })

  it('at the newcomer: the inviter hears it, also when it approves later', async () => {
    const stage = await makeStage(22)
    const invitation = await stage.vault.pairing.invite()
    const joining = join(stage, invitation, { confirm: async () => false })
    const newcomer = await invitation.newcomer()
    expect(await codeOfRefusal(joining)).toBe('pairing-denied')
    expect(await codeOfRefusal(newcomer.approve())).toBe('pairing-contested')
    await expectNobody(stage)
  })

  it('takes the invitation back', async () => {
    const stage = await makeStage(23)
    const invitation = await stage.vault.pairing.invite()
    const waiting = invitation.newcomer()
    const ended = ends(waiting)
    await invitation.cancel()
    expect(await ended).toEqual(['pairing-expired'])
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-expired')
    await expectNobody(stage)
  })

  it('gives up waiting by a signal, on either side, and may wait again', async () => {
    const stage = await makeStage(24)
    const invitation = await stage.vault.pairing.invite()
    const stop = new AbortController()
    const waiting = invitation.newcomer(stop.signal)
    const reason = new Error('enough')
    const ended = refusal(waiting)
    stop.abort(reason)
    expect(await ended).toBe(reason)
    const { joined } = await pair(stage, invitation)
    expect(joined.vaultId).toBe(stage.vault.vaultId)

    const again = await makeStage(25)
    const second = await again.vault.pairing.invite()
    const halt = new AbortController()
    const confirm = async (): Promise<boolean> => {
      halt.abort(reason)
      return true
    }
    const joining = refusal(join(again, second, { signal: halt.signal, confirm }))
    await second.newcomer()
    expect(await joining).toBe(reason)
    await expectNobody(again)
  })

  it('closes the vault meanwhile', async () => {
    const stage = await makeStage(26)
    const invitation = await stage.vault.pairing.invite()
    const ended = ends(invitation.newcomer())
    await stage.vault.close()
    expect(await ended).toEqual(['closed'])
    expect(await codeOfRefusal(stage.vault.pairing.invite())).toBe('closed')
  })

  it('locks the vault meanwhile: the invitation is over, and another can be made', async () => {
    const stage = await makeStage(27)
    const { vault } = stage
    const invitation = await vault.pairing.invite()
    const joining = ends(join(stage, invitation))
    const newcomer = await invitation.newcomer()
    await vault.lock()
    expect(await codeOfRefusal(newcomer.approve())).toBe('locked')
    await vault.unlock()
    expect(await codeOfRefusal(newcomer.approve())).toBe('locked')
    expect(await joining).toEqual(['pairing-expired'])
    await expectNobody(stage)
    await invitation.cancel()
    await pair(stage, await vault.pairing.invite())
  })

  it('says yes or no to an invitation that was taken back', async () => {
    const stage = await makeStage(28)
    const invitation = await stage.vault.pairing.invite()
    const joining = ends(join(stage, invitation))
    const newcomer = await invitation.newcomer()
    await invitation.cancel()
    expect(await codeOfRefusal(newcomer.approve())).toBe('pairing-expired')
    expect(await joining).toEqual(['pairing-expired'])
    await expectNobody(stage)
  })
})

describe('a remote that meddles with the mailbox', () => {
  const MEDDLING: readonly [string, (mailbox: Box) => Box][] = [
    ['changes the invitation', (box) => withMessage(box, 0, flipIn(box, 0))],
    ['changes the reveal', (box) => withMessage(box, 2, flipIn(box, 2))],
    ['serves the reveal as the verdict', (box) => withMessage(box, 3, box.messages[2] ?? null)],
    ['serves the join as the reveal', (box) => withMessage(box, 2, box.messages[1] ?? null)],
    ['serves the invitation as the reveal', (box) => withMessage(box, 2, box.messages[0] ?? null)],
    ['serves the verdict of its making', (box) => withMessage(box, 3, new Uint8Array(2_088))],
    ['serves an empty verdict', (box) => withMessage(box, 3, new Uint8Array(0))],
  ]
  const flipIn = (mailbox: Box, slot: number): Uint8Array | null => {
    const message = mailbox.messages[slot]
    return message ? flip(message, 70) : null
  }

  it.each(MEDDLING)('%s: the newcomer gives up', async (_what, rewrite) => {
    const stage = await makeStage(31)
    const invitation = await stage.vault.pairing.invite()
    rewriteMailbox(stage.newcomer, rewrite)
    const inviting = refusalOrUndefined(invitation.newcomer())
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
    await invitation.cancel()
    await inviting
    await expectNobody(stage)
  })

  it('changes the verdict: the newcomer gives up, and the inviter can see and revoke it', async () => {
    const stage = await makeStage(30)
    const invitation = await stage.vault.pairing.invite()
    rewriteMailbox(stage.newcomer, (box) => withMessage(box, 3, flipIn(box, 3)))
    const approving = approveWhoever(invitation)
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
    await approving
    await expectNobody(stage, 2)
  })

  it('changes what the newcomer says: the inviter gives up, and closes', async () => {
    for (const rewrite of [
      (message: Uint8Array) => flip(message, 70),
      (message: Uint8Array) => message.slice(0, 30),
    ]) {
      const stage = await makeStage(32)
      const invitation = await stage.vault.pairing.invite()
      rewriteWrites(stage.newcomer, (write) => ({ ...write, message: rewrite(write.message) }))
      expect(await ends(join(stage, invitation), invitation.newcomer())).toEqual([
        'pairing-expired',
        'pairing-failed',
      ])
      await expectNobody(stage)
    }
  })

  it('replays what was said in another pairing of the same two devices', async () => {
    const stage = await makeStage(33)
    const first = await stage.vault.pairing.invite()
    let recorded: Box | undefined
    rewriteMailbox(stage.newcomer, (mailbox) => {
      recorded = mailbox
      return mailbox
    })
    await pair(stage, first)
    expect(recorded?.messages.every((message) => message !== null)).toBe(true)
    for (const slot of [0, 2, 3]) {
      const again: Stage = { ...stage, newcomer: stage.world.makeDevice() }
      const invitation = await stage.vault.pairing.invite()
      rewriteMailbox(again.newcomer, (box) =>
        withMessage(box, slot, recorded?.messages[slot] ?? null),
      )
      const inviting = refusalOrUndefined(invitation.newcomer())
      expect(await codeOfRefusal(join(again, invitation)), String(slot)).toBe('pairing-failed')
      await invitation.cancel()
      await inviting
      await expectNobody(again, 2)
    }
    const invitation = await stage.vault.pairing.invite()
    rewriteMailbox(stage.inviter, (box) => withMessage(box, 1, recorded?.messages[1] ?? null))
    expect(await codeOfRefusal(invitation.newcomer())).toBe('pairing-failed')
  })

  it('hides the messages, or keeps the mailbox for ever: both ends count ten minutes themselves', async () => {
    const stage = await makeStage(34)
    const startMs = stage.world.clock.ms
    const invitation = await stage.vault.pairing.invite()
    expect(invitation.expiresMs).toBe(startMs + MAILBOX_MS)
    let kept: Box | undefined
    const hide = (mailbox: Box): Box => ({
      ...mailbox,
      messages: [...mailbox.messages.slice(0, 1), null, null, null],
    })
    for (const device of [stage.inviter, stage.newcomer]) {
      onMailboxes(device, 'GET', async (request, carry) => {
        const response = await carry(request)
        if (response.ok) kept = hide(parseMessage(MailboxAnswer, await bodyOf(response)))
        return cbor(encodeMessage(MailboxAnswer, kept as Box))
      })
    }
    expect(await ends(join(stage, invitation), invitation.newcomer())).toEqual([
      'pairing-expired',
      'pairing-expired',
    ])
    expect(stage.world.clock.ms - startMs).toBeGreaterThanOrEqual(MAILBOX_MS)
    expect(stage.world.clock.ms - startMs).toBeLessThan(MAILBOX_MS + 10_000)
    await expectNobody(stage)
  })

  it('delays the answer of the newcomer past the end: it is not approved any more', async () => {
    const stage = await makeStage(35)
    const invitation = await stage.vault.pairing.invite()
    const joining = ends(join(stage, invitation, { confirm: yes }))
    const newcomer = await invitation.newcomer()
    stage.world.clock.ms += MAILBOX_MS
    expect(await codeOfRefusal(newcomer.approve())).toBe('pairing-expired')
    expect(await joining).toEqual(['pairing-expired'])
    await expectNobody(stage)
  })

  it('loses the mailbox with a restart', async () => {
    const stage = await makeStage(36)
    const invitation = await stage.vault.pairing.invite()
    const joining = ends(join(stage, invitation))
    const newcomer = await invitation.newcomer()
    stage.world.restartRemote()
    expect(await codeOfRefusal(newcomer.approve())).toBe('pairing-expired')
    expect(await joining).toEqual(['pairing-expired'])
    await expectNobody(stage)
  })
})

const bodyOf = async (message: Request | Response): Promise<Uint8Array> =>
  new Uint8Array(await message.clone().arrayBuffer())

const refusalOrUndefined = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('two that answer one invitation', () => {
  it('both lose it, whoever came first, and the person is told', async () => {
    const stage = await makeStage(41)
    const thief: Stage = { ...stage, newcomer: stage.world.makeDevice() }
    const invitation = await stage.vault.pairing.invite()
    const stealing = ends(join(thief, invitation))
    const newcomer = await invitation.newcomer()
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-contested')
    expect(await codeOfRefusal(newcomer.approve())).toBe('pairing-contested')
    expect(['pairing-contested', 'pairing-expired']).toContain((await stealing)[0])
    await expectNobody(stage)
    await expectNobody(thief)
  })

  it('before the inviter looks', async () => {
    const stage = await makeStage(42)
    const thief: Stage = { ...stage, newcomer: stage.world.makeDevice() }
    const invitation = await stage.vault.pairing.invite()
    const both = ends(join(thief, invitation), join(stage, invitation))
    expect(await both).toEqual(['pairing-contested', 'pairing-contested'])
    expect(await codeOfRefusal(invitation.newcomer())).toBe('pairing-contested')
    await expectNobody(stage)
  })
})

/** Keys of somebody's own, with all that a message needs. */
function stranger(world: World, vaultId: VaultId) {
  const keys = generateDeviceKeys(world.chance.bytes)
  const nonce = world.chance.bytes(32)
  const { signingKey, kemKey } = keys
  const message: PairingJoin = {
    type: 'join',
    signingKey,
    kemKey,
    proof: memberProof(vaultId, keys),
    name: 'canary of a name',
    nonce,
  }
  return { keys, nonce, join: message }
}

describe('a remote that has seen the code', () => {
  /** Stands between the two: to each it is the other, with keys of its own. */
  async function standBetween(stage: Stage, code: string): Promise<Insider> {
    const insider = new Insider(stage.world, code)
    const invite = insider.open('invite', 0, (await insider.read()).messages[0]) as PairingInvite
    const own = stranger(stage.world, invite.vaultId)
    const commitment = pairingCommitment(invite.vaultId, own.nonce)
    const { signingKey, kemKey } = own.keys
    const lie: PairingInvite = { ...invite, signingKey, kemKey, commitment }
    rewriteMailbox(stage.newcomer, (mailbox) => ({
      ...mailbox,
      messages: [
        insider.seal(lie),
        null,
        insider.seal({ type: 'reveal', nonce: own.nonce }),
        mailbox.messages[3] ?? null,
      ],
    }))
    const message = insider.seal(own.join)
    rewriteWrites(stage.newcomer, (write) => ({ ...write, message }))
    return insider
  }

  it('and puts its keys in the place of both: the digits differ, as often as it tries', async () => {
    for (let seed = 50; seed < 60; seed++) {
      const stage = await makeStage(seed)
      const invitation = await stage.vault.pairing.invite()
      await standBetween(stage, invitation.code ?? '')
      const shown: string[] = []
      const asking = invitation.newcomer()
      const confirm = async ({ digits }: { digits: string }): Promise<boolean> => {
        shown.push(digits, (await asking).digits)
        return false
      }
      expect(await codeOfRefusal(join(stage, invitation, { confirm }))).toBe('pairing-denied')
      expect(new Set(shown).size).toBe(2)
      const newcomer = await asking
      await newcomer.deny()
      await expectNobody(stage)
    }
  })

  it('and reveals another nonce than it committed to, to make the digits fit', async () => {
    const stage = await makeStage(61)
    const invitation = await stage.vault.pairing.invite()
    const insider = new Insider(stage.world, invitation.code ?? '')
    rewriteMailbox(stage.newcomer, (box) => {
      const nonce = stage.world.chance.bytes(32)
      return withMessage(box, 2, insider.seal({ type: 'reveal', nonce }))
    })
    let isAsked = false
    const confirm = async (): Promise<boolean> => {
      isAsked = true
      return true
    }
    const inviting = refusalOrUndefined(invitation.newcomer())
    expect(await codeOfRefusal(join(stage, invitation, { confirm }))).toBe('pairing-failed')
    expect(isAsked).toBe(false)
    await inviting
    await expectNobody(stage)
  })

  it('and answers anew once it has heard the nonce: the first answer stays, and its digits', async () => {
    const stage = await makeStage(74)
    const { vault, inviter, world } = stage
    const invitation = await vault.pairing.invite()
    const insider = new Insider(world, invitation.code as string)
    const { vaultId } = insider.open('invite', 0, (await insider.read()).messages[0]) ?? {}
    const answers = ['one', 'two'].map((name) => {
      const device = generateDeviceKeys(world.chance.bytes)
      const { signingKey, kemKey } = device
      const proof = memberProof(vaultId as never, device)
      const nonce = world.chance.bytes(32)
      return insider.seal({ type: 'join', signingKey, kemKey, proof, name, nonce })
    })
    rewriteMailbox(inviter, (box) => ({
      ...box,
      messages: box.messages.with(1, answers[0] ?? null),
    }))
    const heard: string[] = []
    onMailboxes(inviter, 'POST', async (request) => {
      const body = new Uint8Array(await request.clone().arrayBuffer())
      const { message } = parseMessage(MailboxWriteRequest, body)
      heard.push(Buffer.from(message).toString('hex'))
      expect(insider.open('reveal', 2, message)).toBeDefined()
      answers.reverse()
      if (heard.length > 1) return cbor(encodeMessage(MailboxWriteAnswer, { expiresMs: 1 }))
      return new Response('', { status: 400 })
    })
    expect(await codeOfRefusal(invitation.newcomer())).toBe('not-a-remote')
    expect((await invitation.newcomer()).name).toBe('one')
    // Word for word: another would look to the other end like a second inviter.
    expect(new Set(heard).size).toBe(1)
  })

  it('and asks in the place of the newcomer with a proof that is none', async () => {
    const stage = await makeStage(62)
    const invitation = await stage.vault.pairing.invite()
    const insider = new Insider(stage.world, invitation.code ?? '')
    const invite = insider.open('invite', 0, (await insider.read()).messages[0]) as PairingInvite
    const one = stranger(stage.world, invite.vaultId)
    const other = stranger(stage.world, invite.vaultId)
    await insider.write({ ...one.join, proof: other.join.proof })
    expect(await codeOfRefusal(invitation.newcomer())).toBe('pairing-failed')
    await expectNobody(stage)
  })

  it('and asks with the keys of a device that is a member, or with a KEM key that is none', async () => {
    for (const make of ['member', 'zeros'] as const) {
      const stage = await makeStage(63)
      const invitation = await stage.vault.pairing.invite()
      const insider = new Insider(stage.world, invitation.code ?? '')
      const invite = insider.open('invite', 0, (await insider.read()).messages[0]) as PairingInvite
      const { keys, join: honest } = stranger(stage.world, invite.vaultId)
      const kemKey = make === 'zeros' ? keys.kemKey.slice().fill(255) : invite.kemKey
      const { signingKey } = make === 'zeros' ? keys : invite
      const lie = { ...honest, signingKey, kemKey: kemKey as typeof keys.kemKey }
      const signer = { ...keys, signingKey: lie.signingKey, kemKey: lie.kemKey }
      await insider.write({ ...lie, proof: memberProof(invite.vaultId, signer) })
      const attempt = invitation.newcomer().then((newcomer) => newcomer.approve())
      expect(await codeOfRefusal(attempt), make).toBe('pairing-failed')
      await expectNobody(stage)
    }
  })

  it('and says yes in the place of the inviter: the newcomer is in no vault, and writes none', async () => {
    const stage = await makeStage(64)
    const invitation = await stage.vault.pairing.invite()
    const insider = new Insider(stage.world, invitation.code ?? '')
    rewriteMailbox(stage.newcomer, (box) => {
      const invite = insider.open('invite', 0, box.messages[0]) as PairingInvite
      const { keychainHead } = invite
      return withMessage(box, 3, insider.seal({ type: 'approve', keychainHead, checkpoint: null }))
    })
    const inviting = refusalOrUndefined(invitation.newcomer())
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
    await inviting
    await expectNobody(stage)
  })

  it('and invites into a vault of its own: the digits are not those of the other screen', async () => {
    const stage = await makeStage(65)
    const trap = await makeStage(66)
    const invitation = await stage.vault.pairing.invite()
    const lure = await trap.vault.pairing.invite()
    const insider = new Insider(stage.world, invitation.code ?? '')
    const lurer = new Insider(trap.world, lure.code ?? '')
    // The inviter is shown somebody; the newcomer scans its code and gets the trap's mailbox.
    const invite = insider.open('invite', 0, (await insider.read()).messages[0]) as PairingInvite
    await insider.write(stranger(stage.world, invite.vaultId).join)
    const { digits: shownToInviter } = await invitation.newcomer()
    rewriteMailbox(stage.newcomer, async (box) => {
      const { messages } = await lurer.read()
      const lured = lurer.open('invite', 0, messages[0])
      const reveal = lurer.open('reveal', 2, messages[2])
      const said = [lured, undefined, reveal, undefined]
      return { ...box, messages: said.map((message) => (message ? insider.seal(message) : null)) }
    })
    rewriteWrites(stage.newcomer, (write) => {
      const message =
        write.message.length > 100 ? insider.open('join', 1, write.message) : undefined
      if (message !== undefined) void lurer.write(message)
      return undefined
    })
    const shown: string[] = []
    const confirm = async (question: { digits: string; vaultId: string }): Promise<boolean> => {
      shown.push(question.digits, question.vaultId)
      return false
    }
    const luring = lure.newcomer()
    expect(await codeOfRefusal(join(stage, invitation, { confirm }))).toBe('pairing-denied')
    expect(shown).toEqual([expect.not.stringContaining(shownToInviter), trap.vault.vaultId])
    await luring
    await expectNobody(stage)
  })
})

describe('a remote that serves a list of devices of its making', () => {
  /** Once the newcomer is approved, it is served what `rewrite` makes of the chain. */
  async function served(
    rewrite: (entries: Uint8Array[], stage: Stage) => Uint8Array[] | Promise<Uint8Array[]>,
  ): Promise<[string | undefined, Stage]> {
    const stage = await makeStage(71)
    const invitation = await stage.vault.pairing.invite()
    rewriteRoute(stage.newcomer, '/v1/keychain', async (request, carry) => {
      const response = await carry(request)
      const { entries } = parseMessage(KeychainAnswer, new Uint8Array(await response.arrayBuffer()))
      // A part at a time: what begins later than the whole is left as it is.
      const isWhole = new URL(request.url).searchParams.get('from') === '0'
      const lies = isWhole ? await rewrite(entries, stage) : []
      return cbor(encodeMessage(KeychainAnswer, { entries: lies }))
    })
    const approving = refusalOrUndefined(approveWhoever(invitation))
    const code = await codeOfRefusal(join(stage, invitation))
    await approving
    return [code, stage]
  }

  const LIES: readonly [
    string,
    (entries: Uint8Array[], stage: Stage) => Uint8Array[] | Promise<Uint8Array[]>,
  ][] = [
    ['without the newcomer', (entries) => entries.slice(0, -1)],
    ['that ends before the invitation', (entries) => entries.slice(0, 1)],
    ['that is empty', () => []],
    ['with an entry changed', (entries) => entries.with(1, flip(entries[1] as Uint8Array, 90))],
    ['with two entries swapped', ([a, b, c, ...rest]) => [a, c, b, ...rest] as Uint8Array[]],
    [
      'of another vault',
      async (_entries, { world }) => {
        const { vault } = await world.makeDevice().create()
        const entries: Uint8Array[] = []
        for await (const chunk of vault.exportBundle()) entries.push(chunk)
        return [entries[0] as Uint8Array]
      },
    ],
  ]
  it.each(LIES)('%s: the newcomer refuses it and writes nothing', async (_what, rewrite) => {
    const [code, stage] = await served(rewrite)
    expect(code).toBe('pairing-failed')
    // The inviter has added it in good faith: it is listed, and can be revoked.
    await expectNobody(stage, 2)
  })

  it('refuses the login: the newcomer writes nothing', async () => {
    const stage = await makeStage(72)
    const invitation = await stage.vault.pairing.invite()
    rewriteRoute(stage.newcomer, '/v1/session', async () => {
      const problem = { type: 't', title: 't', status: 403, code: 'not-a-member', detail: 'no' }
      const headers = { 'content-type': 'application/problem+json' }
      return new Response(JSON.stringify(problem), { status: 403, headers })
    })
    const approving = approveWhoever(invitation)
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
    await approving
    await expectNobody(stage, 2)
  })
})

describe('a network that loses what it likes', () => {
  it('loses every second look at the mailbox: both look again', async () => {
    const stage = await makeStage(81)
    const invitation = await stage.vault.pairing.invite()
    const lost = [stage.inviter, stage.newcomer].map((device) => {
      const looks = { count: 0, lost: 0 }
      onMailboxes(device, 'GET', async (request, carry) => {
        if (looks.count++ % 2 === 0) return carry(request)
        looks.lost++
        return unreachable()
      })
      return looks
    })
    const { joined } = await pair(stage, invitation)
    expect(joined.devices()).toHaveLength(2)
    for (const looks of lost) expect(looks.lost).toBeGreaterThan(0)
  })

  it('loses the answer to what is written: it is written again, the same', async () => {
    const stage = await makeStage(84)
    const invitation = await stage.vault.pairing.invite()
    let lost = 0
    onMailboxes(stage.inviter, 'POST', async (request, carry) => {
      const { slot } = parseMessage(MailboxWriteRequest, await bodyOf(request))
      const response = await carry(request)
      return slot === 3 && lost++ < 3 ? unreachable() : response
    })
    let answers = 0
    onMailboxes(stage.newcomer, 'POST', async (request, carry) => {
      const response = await carry(request)
      return answers++ === 0 ? unreachable() : response
    })
    const { joined } = await pair(stage, invitation)
    expect([lost, answers]).toEqual([4, 2])
    expect(joined.devices()).toHaveLength(2)
  })

  it('loses the answer to the append: said again, it adds nobody twice', async () => {
    const stage = await makeStage(82)
    const invitation = await stage.vault.pairing.invite()
    let isLost = false
    rewriteRoute(stage.inviter, '/v1/keychain', async (request, carry) => {
      const response = await carry(request)
      if (request.method === 'GET' || isLost) return response
      isLost = true
      return unreachable()
    })
    const joining = join(stage, invitation)
    const newcomer = await invitation.newcomer()
    expect(await codeOfRefusal(newcomer.approve())).toBe('network')
    await newcomer.approve()
    const joined = await joining
    await stage.vault.sync.once()
    expect(joined.devices()).toHaveLength(2)
    expect(stage.vault.devices()).toHaveLength(2)
  })

  it('lets others append first: the approval is signed again for the chain as it is then', async () => {
    const stage = await makeStage(83)
    const invitation = await stage.vault.pairing.invite()
    const third = stage.world.makeDevice()
    let races = 0
    rewriteRoute(stage.inviter, '/v1/keychain', async (request, carry) => {
      if (request.method === 'POST' && races++ === 0) await third.restore(stage.recoveryPhrase)
      return carry(request)
    })
    const { joined } = await pair(stage, invitation)
    expect(races).toBe(2)
    expect(joined.devices()).toHaveLength(3)
  })
})

describe('a vault that changes while two devices pair', () => {
  it('revokes the inviter: nobody is let in, and the invitation is gone', async () => {
    const stage = await makeStage(85)
    const other = await stage.world.makeDevice().restore(stage.recoveryPhrase)
    const invitation = await stage.vault.pairing.invite()
    const joining = ends(join(stage, invitation))
    const newcomer = await invitation.newcomer()
    await other.keys.revoke([stage.vault.deviceId])
    const code = await codeOfRefusal(newcomer.approve())
    expect(['not-a-member', 'pairing-expired']).toContain(code)
    expect(await joining).toEqual(['pairing-expired'])
    expect(other.devices()).toHaveLength(1)
    expect([stage.newcomer.disk.config, stage.newcomer.disk.keys]).toEqual([undefined, undefined])
  })

  it('revokes the newcomer before it joins: it writes nothing', async () => {
    const stage = await makeStage(86)
    const other = await stage.world.makeDevice().restore(stage.recoveryPhrase)
    const invitation = await stage.vault.pairing.invite()
    let isRevoked = false
    rewriteRoute(stage.newcomer, '/v1/challenge', async (request, carry) => {
      await other.sync.once()
      const listed = other.devices().find(({ name }) => name === 'canary of a name')
      if (!isRevoked) await other.keys.revoke([listed?.deviceId ?? ''])
      isRevoked = true
      return carry(request)
    })
    const approving = approveWhoever(invitation)
    expect(await codeOfRefusal(join(stage, invitation))).toBe('pairing-failed')
    await approving
    expect(isRevoked).toBe(true)
    await expectNobody(stage, 2)
  })

  it('begins an epoch: the newcomer is given its keys, and reads what is written after it', async () => {
    const stage = await makeStage(87)
    const other = await stage.world.makeDevice().restore(stage.recoveryPhrase)
    const invitation = await stage.vault.pairing.invite()
    const joining = join(stage, invitation)
    const newcomer = await invitation.newcomer()
    await other.keys.rotate()
    await other.sync.once()
    await other.collection('notes').put('after', { text: 'sealed under the new epoch' })
    await other.sync.once()
    await newcomer.approve()
    const joined = await joining
    await joined.sync.once()
    expect(await joined.collection('notes').get('after')).toEqual({
      text: 'sealed under the new epoch',
    })
    expect(await exportOf(joined)).toBe(await exportOf(other))
  })
})

describe('a code that is wrong', () => {
  it('finds no invitation, and tells no more than one that has expired', async () => {
    const stage = await makeStage(91)
    const invitation = await stage.vault.pairing.invite({ form: 'words' })
    const words = generatePairingWords(stage.world.chance.bytes)
    const wrong = refusal(join(stage, { words, remote: REMOTE }))
    stage.world.clock.ms += MAILBOX_MS
    const late = refusal(join({ ...stage, newcomer: stage.world.makeDevice() }, invitation))
    expect(codeOf(await wrong)).toBe('pairing-expired')
    expect(((await wrong) as Error).message).toBe(((await late) as Error).message)
    await expectNobody(stage)
  })

  it('is used once: a second device finds nothing to join', async () => {
    const stage = await makeStage(92)
    const invitation = await stage.vault.pairing.invite()
    await pair(stage, invitation)
    const second: Stage = { ...stage, newcomer: stage.world.makeDevice() }
    expect(await codeOfRefusal(join(second, invitation))).toBe('pairing-expired')
    await expectNobody(second, 2)
  })

  it('and options that make no sense are refused before anything is sent', async () => {
    const stage = await makeStage(93)
    stage.newcomer.network.fetch = unreachable
    const { code } = await stage.vault.pairing.invite()
    for (const [by, expected] of [
      [{ code: 'blindcopy-pair:AAAA' }, 'pairing-code-malformed'],
      [{ code: '' }, 'pairing-code-malformed'],
      [{ words: 'six words that are not listed', remote: REMOTE }, 'pairing-code-malformed'],
      [{ words: 'zoo zoo zoo zoo zoo zoo' }, 'invalid-argument'],
      [{ words: 'zoo zoo zoo zoo zoo zoo', remote: 'nowhere' }, 'invalid-argument'],
      [{ code, words: 'zoo' }, 'invalid-argument'],
      [{}, 'invalid-argument'],
      [{ code, confirm: undefined }, 'invalid-argument'],
      [{ code }, 'network'],
    ] as const) {
      expect(await codeOfRefusal(join(stage, by as never))).toBe(expected)
    }
    const form = 'picture' as 'code'
    expect(await codeOfRefusal(stage.vault.pairing.invite({ form }))).toBe('invalid-argument')
    stage.newcomer.disk.others = ['photo.jpg']
    expect(await codeOfRefusal(join(stage, { code: code ?? '' }))).toBe('not-a-vault')
  })
})
