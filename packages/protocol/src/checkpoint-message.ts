/**
 * Messages of the checkpoints (`/v1/checkpoints`). A checkpoint travels as the bytes that were
 * signed (checkpoint.ts); `PUT` takes nothing else as its body.
 */
import * as z from 'zod/mini'
import { CHECKPOINT_BYTES_MAX, DEVICES_ACTIVE_MAX } from './limits.ts'

/** One checkpoint, as its device signed it. */
export const checkpointBytes: z.ZodMiniType<Uint8Array> = z
  .custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= CHECKPOINT_BYTES_MAX,
    `at most ${CHECKPOINT_BYTES_MAX} bytes expected`,
  )
  .check(z.describe('checkpoint'))

/** `GET /v1/checkpoints`: the newest of each active device. */
export const CheckpointsAnswer = z.strictObject({
  checkpoints: z.array(checkpointBytes).check(z.maxLength(DEVICES_ACTIVE_MAX)),
})
export type CheckpointsAnswer = z.infer<typeof CheckpointsAnswer>

/** `PUT /v1/checkpoints`: the number that is stored now. */
export const CheckpointAnswer = z.strictObject({ number: z.int().check(z.positive()) })
export type CheckpointAnswer = z.infer<typeof CheckpointAnswer>
