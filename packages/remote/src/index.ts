export type { RequestLine } from './app.ts'
export type { Live, LiveConnection, LiveSocket } from './live.ts'
export type { Registration } from './registration.ts'
export { createRemote, type Remote, type RemoteOptions } from './remote.ts'
