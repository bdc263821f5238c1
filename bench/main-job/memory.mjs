/**
 * The peak memory of this process. On Linux two figures: what the process itself holds (anonymous
 * pages, sampled), and the resident set with the files it has mapped (the runtime itself, and tables
 * of the database, which the system may take back at any time).
 */
import { readFileSync } from 'node:fs'

const SAMPLE_MS = 20

let ownPeakMb = 0

function sample() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    const [, kib] = /RssAnon:\s+(\d+)/.exec(status) ?? []
    ownPeakMb = Math.max(ownPeakMb, Number(kib ?? 0) / 1024)
  } catch {
    ownPeakMb = 0
  }
}

/** Samples from now on; the timer keeps no process alive. */
export function watchMemory() {
  setInterval(sample, SAMPLE_MS).unref()
}

export function peakMemory() {
  sample()
  return { ownMb: ownPeakMb, residentMb: process.resourceUsage().maxRSS / 1024 }
}
