/**
 * The line of the load benchmark: HTTP over connections that are kept, with as little work on this
 * side as can be, so that the remote is what is measured.
 */
import { Agent, request } from 'node:http'
import { decodeCbor, encodeCbor } from '@blindcopy/protocol'

export function createLine(url, connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const { hostname, port } = new URL(url)

  function send(method, path, body, headers = {}) {
    return new Promise((resolve, reject) => {
      const options = { agent, hostname, port, method, path, headers }
      const sent = request(options, (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const bytes = Buffer.concat(chunks)
          if (response.statusCode === 200) resolve(new Uint8Array(bytes))
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${bytes}`))
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  return {
    origin: url,
    liveUrl: `${url.replace('http', 'ws')}/v1/live`,
    request: send,
    async cbor(method, path, message, headers = {}) {
      const body = encodeCbor(message)
      const all = { 'Content-Type': 'application/cbor', 'Content-Length': body.length, ...headers }
      return decodeCbor(await send(method, path, body, all))
    },
    close: () => agent.destroy(),
  }
}
