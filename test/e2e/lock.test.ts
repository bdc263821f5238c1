/**
 * A vault that is locked while it syncs, with a real remote: it stops, holds nothing against the
 * remote, and goes on as it was started; what other devices wrote meanwhile comes then.
 */
import { join } from 'node:path'
import { codeOf, createVault, restoreVault, type SyncPhase, type Vault } from '@blindcopy/client'
import { expect, it } from 'vitest'
import { REGISTRATION_TOKEN, startRemote, temporaryFolder } from './processes.ts'

async function untilPhase(vault: Vault, phase: SyncPhase): Promise<void> {
  for await (const status of vault.sync.watch()) if (status.phase === phase) return
}

async function untilCount(vault: Vault, count: number): Promise<void> {
  for await (const found of vault.collection('notes').watch()) if (found.length === count) return
}

it('stops sync, and goes on with it, whatever was under way', async () => {
  const root = temporaryFolder()
  const remote = await startRemote(join(root, 'remote'))
  const { vault: phone, recoveryPhrase } = await createVault({
    path: join(root, 'phone'),
    remote: remote.url,
    registrationToken: REGISTRATION_TOKEN,
    passphrase: 'secret',
  })
  await phone.collection('notes').put('n0', { n: 0 })
  await phone.sync.once()
  const laptop = await restoreVault({
    path: join(root, 'laptop'),
    remote: remote.url,
    recoveryPhrase,
  })
  const phases: SyncPhase[] = []
  const watched = (async () => {
    for await (const { phase } of phone.sync.watch()) phases.push(phase)
  })()
  try {
    phone.sync.start()
    laptop.sync.start()
    await untilPhase(phone, 'live')
    let total = 1
    for (let round = 1; round <= 8; round++) {
      // Locked at another moment each time: while it receives, sends, or does nothing.
      const writes = [phone, laptop].flatMap((device, i) =>
        Array.from({ length: 20 }, (_, k) =>
          device.collection('notes').put(`${i}.${round}.${k}`, { n: round }),
        ),
      )
      await Promise.all(writes.slice(0, round * 5))
      const locked = phone.lock()
      await Promise.allSettled(writes)
      await locked
      expect(phone.sync.status.phase).toBe('resting')
      expect(() => phone.sync.start()).toThrow('locked')
      const wrong = await phone.unlock({ passphrase: 'wrong' }).then(() => 'unlocked', codeOf)
      expect(wrong).toBe('passphrase-wrong')
      await phone.unlock({ passphrase: 'secret' })
      await laptop.durable('remote')
      const found = await Promise.allSettled(writes)
      const written = found.filter(({ status }) => status === 'fulfilled').length
      total += written
      await untilCount(phone, total)
      await phone.durable('remote')
      await untilCount(laptop, total)
      expect(await phone.quarantined()).toEqual([])
      expect(phone.sync.status).toMatchObject({ attention: 0, problem: null })
    }
  } finally {
    await Promise.all([phone.close(), laptop.close()])
    await watched
  }
}, 120_000)
