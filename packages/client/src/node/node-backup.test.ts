/** A backup file that is not there, or cannot be one: told as that, before anything is read. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { backupFile } from './node-backup.ts'

it('says of a backup file why it cannot be read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blindcopy-backup-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const readAll = async (path: string) => {
    for await (const _ of backupFile(path)());
  }
  await expect(readAll(join(folder, 'none'))).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining('(ENOENT: it is not there)'),
  })
  await expect(readAll(folder)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining('(EISDIR)'),
  })
})
