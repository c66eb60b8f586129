// Uploads a file with tus-js-client, however often the connection breaks, and prints
// what it knows of it, a line of JSON each: how much was sent, and the job at the end.
import fs from 'node:fs'
import { Transform } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { Upload } from 'tus-js-client'

const [endpoint, path, key, pace] = process.argv.slice(2)
const size = fs.statSync(path).size
const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n')

// A file that is read no faster than at pace MB a second.
const paced = {
  size,
  slice(start, end) {
    const slow = new Transform({
      async transform(chunk, _, done) {
        await setTimeout(chunk.length / (pace * 1000))
        done(null, chunk)
      },
    })
    const value = fs.createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 20 }).pipe(slow)
    value.size = Math.min(end, size) - start
    return Promise.resolve({ value, done: end >= size })
  },
  close() {},
}

new Upload(path, {
  endpoint,
  fileReader: { openFile: () => Promise.resolve(paced) },
  fingerprint: () => Promise.resolve(null),
  retryDelays: Array(1000).fill(50),
  metadata: { filename: 'large.bin', filetype: 'application/octet-stream', kind: 'work' },
  headers: { 'Idempotency-Key': key },
  onProgress: (sent) => tell({ sent }),
  onSuccess: ({ lastResponse }) => tell({ job: lastResponse.getHeader('Leat-Job-Id') }),
  onError: (err) => {
    console.error(String(err))
    process.exitCode = 1
  },
}).start()
