// A pg_baton worker in Node: leases tasks that name a file, hashes it, counts its lines and words.
//
//     npm install pg
//     PGHOST=/var/run/postgresql PGUSER=app QUEUE=hash OWNER=node-1 node worker.mjs
//
// Settings, from the environment: QUEUE, OWNER, TTL (seconds a lease lasts), HOLD (seconds to sit on
// the first result, to see what happens to a lease meanwhile). SIGTERM ends it after the task in hand.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const { QUEUE = 'default', OWNER = `${hostname()}-${process.pid}`, TTL = '10' } = process.env
const ttl = `${TTL} seconds`
let hold = Number(process.env.HOLD ?? 0)
let stop = false
process.on('SIGTERM', () => { stop = true })

// Ends with an AbortError once nobody wants the result any more.
async function work({ path }, signal) {
  const hash = createHash('sha256')
  let bytes = 0, lines = 0, words = 0, inWord = false
  for await (const data of createReadStream(path, { signal })) {
    hash.update(data)
    bytes += data.length
    for (const byte of data) {
      const space = byte === 32 || (byte >= 9 && byte <= 13)
      if (byte === 10) lines++
      if (!space && !inWord) words++
      inWord = !space
    }
  }
  return { sha256: hash.digest('hex'), bytes, lines, words }
}

// Without BEGIN every statement is its own transaction: each answer below is already committed.
const client = new pg.Client()
await client.connect()
const ask = async (sql, values) => (await client.query(sql, values)).rows[0]

while (!stop) {
  // A bigint arrives as a string; it goes back to the server as it came.
  const task = await ask('SELECT task_id, lease_token, payload FROM task_acquire_lease($1, $2, $3)', [QUEUE, OWNER, ttl])
  if (!task) {
    await sleep(200)
    continue
  }
  const lease = [task.task_id, task.lease_token]
  const unwanted = new AbortController()
  let lost
  const heart = setInterval(async () => { // extends the lease every third of its length
    const { outcome, cancel_requested } = await ask(
      'SELECT outcome, cancel_requested FROM task_heartbeat($1, $2, $3)', [...lease, ttl])
    if (outcome !== 'extended' && outcome !== 'not_extended') lost = outcome // lease_lost, lease_expired, terminal
    if (lost || cancel_requested) unwanted.abort()
  }, Number(TTL) * 1000 / 3)
  let told
  try {
    const result = await work(task.payload, unwanted.signal)
    if (hold) {
      console.log(`holding ${lease.join(' ')}`)
      await sleep(hold * 1000)
      hold = 0
    }
    told = await ask("SELECT outcome FROM task_finalize($1, $2, 'completed', $3)", [...lease, result])
  } catch (error) {
    if (error.name === 'AbortError') { // stopped; if the lease is gone, nobody waits for a word from here
      told = lost ? { outcome: lost } : await ask("SELECT outcome FROM task_finalize($1, $2, 'cancelled')", lease)
    } else if (error.syscall) { // worth another attempt, later and perhaps elsewhere
      told = await ask('SELECT outcome FROM task_fail_attempt($1, $2, $3)', [...lease, { error: error.message }])
    } else throw error // not about the file: end here, the lease comes back by itself
  } finally {
    clearInterval(heart)
  }
  // 'finalized', or how this worker was outrun: then the result above counts for nothing.
  console.log(`told ${lease.join(' ')}: ${told.outcome}`)
}
await client.end()
