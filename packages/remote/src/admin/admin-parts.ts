/**
 * Admin parts: what the administration of a remote works on. Beside a server they are the server's
 * own, so that both go through the same sections and the same cache.
 */
import type { Parts } from '../parts.ts'

export type AdminParts = Pick<
  Parts,
  'store' | 'vaults' | 'summaries' | 'live' | 'verify' | 'limits' | 'nowMs' | 'random'
>
