/**
 * The tabs of a browser that have one vault open: Web Locks and a BroadcastChannel, by its name.
 */
import { formatHex } from '@blindcopy/protocol'
import { holdSync, runAlone } from './browser-locks.ts'
import type { TabMessage, Tabs } from './tabs.ts'

const TAB_ID_BYTES = 8

export function browserTabs(path: string, random: (size: number) => Uint8Array): Tabs {
  const channel = new BroadcastChannel(`blindcopy:${path}`)
  let isOpen = true
  return {
    id: formatHex(random(TAB_ID_BYTES)),
    lock: { isShared: true, run: (job) => runAlone(path, job) },
    post(message) {
      if (isOpen) channel.postMessage(message)
    },
    onMessage(listener) {
      const heard = ({ data }: MessageEvent<TabMessage>): void => listener(data)
      channel.addEventListener('message', heard)
      return () => channel.removeEventListener('message', heard)
    },
    lead: (signal) => holdSync(path, 'exclusive', signal),
    async untilUnled(signal) {
      const release = await holdSync(path, 'shared', signal)
      await release()
    },
    close() {
      isOpen = false
      channel.close()
    },
  }
}
