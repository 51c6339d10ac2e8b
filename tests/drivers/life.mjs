// The life of tasks by node-postgres: see README.md beside it. PREPARED=on: every statement has a name.
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const PREPARED = process.env.PREPARED === 'on'
const { QUEUE } = process.env
const AFTER = `${QUEUE}.after`
const TEXT = 'naïve ☃ "quoted" \\ \'single\' %s $1 :name ?'
const PAYLOAD = { text: TEXT, list: [1, null, true, 0.5], empty: {} }
const LEASE = '30 seconds' // an interval is written as text, and read as an object with its fields
const { version } = createRequire(import.meta.url)('pg/package.json')

// A bigint is read as a string unless it is told otherwise. BigInt is exact and can be compared; it is written as it is.
pg.types.setTypeParser(pg.types.builtins.INT8, BigInt)
const INT8_ARRAY = 1016
pg.types.setTypeParser(INT8_ARRAY, text => pg.types.arrayParser.create(text, BigInt).parse())

async function connect() {
  const client = new pg.Client()
  await client.connect()
  return client
}

const conn = await connect()
const other = await connect()

// A query with a name is prepared once a connection; without, its statement has no name and is gone after the call.
async function rows(text, values = [], on = conn) {
  const name = PREPARED ? createHash('md5').update(text).digest('hex') : undefined
  return (await on.query({ name, text, values, rowMode: 'array' })).rows
}

async function row(text, values, on) {
  const found = await rows(text, values, on)
  if (found.length !== 1) throw new Error(`${found.length} rows from ${text}`)
  return found[0]
}

// The SQLSTATE that this ends with.
const code = (text, values) => rows(text, values).catch(error => error.code)

const acquire = (ttl = LEASE, tasks = 1, queue = QUEUE) =>
  rows("SELECT task_id, lease_token FROM task_acquire_lease($1, 'one', $2, $3)", [queue, ttl, tasks])
const finalize = async (lease, on) =>
  (await row("SELECT outcome FROM task_finalize($1, $2, 'completed')", lease, on))[0]
const heartbeat = lease => row(
  'SELECT outcome, lease_expires_at IS NULL, cancel_requested FROM task_heartbeat($1, $2, $3)', [...lease, '60 seconds'])
const milliseconds = ({ minutes = 0, seconds = 0, milliseconds = 0 }) => minutes * 60000 + seconds * 1000 + milliseconds

async function many() {
  const numbers = Array.from({ length: 100 }, (_, n) => n + 1)
  const created = await rows('SELECT ordinal, outcome, task_id FROM task_create_many($1, $2, keys => $3)',
    [QUEUE, numbers.map(n => ({ n })), numbers.map(n => `many-${n}`)])
  const ended = []
  const until = Date.now() + 30000
  async function work(name) {
    const own = await connect()
    while (ended.length < 100 && Date.now() < until) {
      const leased = await rows('SELECT task_id, lease_token, payload FROM task_acquire_lease($1, $2, $3, 5)',
        [QUEUE, name, LEASE], own)
      for (const [id, token, payload] of leased) ended.push([id, payload.n, await finalize([id, token], own)])
    }
    await own.end()
  }
  await Promise.all([0, 1, 2, 3].map(n => work(`crew-${n}`)))
  const once = new Set(ended.filter(([, , told]) => told === 'finalized').map(([id]) => id))
  return {
    created: created.filter(([, outcome]) => outcome === 'created').length,
    last_ordinal: created.at(-1)[0],
    calls: ended.length,
    finalized_once: once.size,
    same_tasks: created.every(([, , id]) => once.has(id)),
    sum: ended.reduce((sum, [, n]) => sum + n, 0),
  }
}

async function one() {
  const create = payload => row(
    `SELECT outcome, task_id, state FROM task_create($1, $2, name => $3, key => $4, priority => $5,
       run_at => $6, max_attempts => $7, slot_keys => $8, metadata => $9)`,
    [QUEUE, payload, null, TEXT, 9, null, 3, ['driver'], { by: 'driver' }])
  const created = await create(PAYLOAD)
  const again = await create(PAYLOAD)
  const differs = await create({})
  const [id, token, expires, ...rest] = await row('SELECT * FROM task_acquire_lease($1, $2, $3)', [QUEUE, 'one', LEASE])
  const ahead = expires - Date.now()
  const [length, text, slotKeys] = await row(
    'SELECT lease_expires_at - leased_at, lease_token::text, slot_keys FROM task_get($1)', [id])
  const beaten = await heartbeat([id, token])
  const [longer] = await row('SELECT lease_expires_at - heartbeat_at FROM task_get($1)', [id])
  const append = dedupKey => row(
    'SELECT outcome, seq, at IS NULL, cancel_requested FROM task_append_event($1, $2, $3, $4, $5)',
    [id, 'progress', { done: 0.5 }, token, dedupKey])
  const appended = [await append('half'), await append('half'), await append(null)]
  const together = await row('SELECT outcome, first_seq, last_seq FROM task_append_events($1, $2, $3, $4)',
    [id, ['page', 'page'], [{ page: 1 }, null], token])
  const end = () => row('SELECT outcome, state, finalized_at, dispatched FROM task_finalize($1, $2, $3, $4, $5, $6)',
    [id, token, 'failed', PAYLOAD, { why: TEXT }, 'enough'])
  const ended = await end()
  const replayed = await end()
  const [result, error, reason, finalizedAt] = await row(
    'SELECT result, error, reason, finalized_at FROM task_get($1)', [id])
  return {
    created: [created[0], created[2]], again: [again[0], again[1] === created[1]], differs: differs[0],
    acquired: rest, same_task: id === created[1], token: String(token) === text && token > 2n ** 52n,
    ahead: ahead > 25000 && ahead <= 30000, lengths: [milliseconds(length), milliseconds(longer)],
    slot_keys: slotKeys, heartbeat: beaten, appended, together,
    tape: await rows('SELECT seq, kind, body, lease_token = $1 FROM task_events($2)', [token, id]),
    finalized: [ended[0], ended[1], ended[3]],
    replayed: [replayed[0], +replayed[2] === +ended[2] && +ended[2] === +finalizedAt],
    kept: [result, error, reason],
  }
}

async function scheduled() {
  const at = new Date(Date.UTC(2100, 0, 1, 12, 0, 0, 125))
  const [, id, state] = await row('SELECT * FROM task_create($1, run_at => $2)', [QUEUE, at])
  const [runAt] = await row('SELECT run_at FROM task_get($1)', [id])
  return [state, runAt.toISOString().replace(/\.\d+/, ''), runAt.getUTCMilliseconds()]
}

async function batch() {
  await rows('SELECT * FROM task_create_many($1, $2)', [QUEUE, [0, 1, 2]])
  const leases = await acquire(LEASE, 3)
  const ids = leases.map(([id]) => id)
  const tokens = leases.map(([, token]) => token)
  const beaten = await rows('SELECT ordinal, outcome, task_id = ANY($1) FROM task_heartbeat_many($2, $3, $4)',
    [ids, ids, [...tokens.slice(0, 2), 1n], LEASE])
  const ended = await rows('SELECT ordinal, outcome, state FROM task_finalize_many($1, $2, $3, $4)',
    [ids, tokens, ['completed', 'failed', 'cancelled'], [{ n: 1 }, null, null]])
  const results = []
  for (const id of ids) results.push((await row('SELECT result FROM task_get($1)', [id]))[0])
  return { heartbeat: beaten, finalized: ended, results }
}

async function successors() {
  const createItems = `SELECT * FROM task_create_items($1, $2, $3, max_parallel => $4, key => $5, successor => $6,
                         successor_queue => $7)`
  async function group(name, successor) {
    await rows(createItems, [QUEUE, name, [{ item: 0 }, { item: 1 }], 2, name, successor, successor && AFTER])
    return acquire(LEASE, 2)
  }
  const end = async lease => (await row("SELECT dispatched FROM task_finalize($1, $2, 'completed')", lease))[0]
  const dispatch = ([id]) => row("SELECT * FROM task_dispatch_successor($1, 'mail', $2, $3, needs => $4)",
    [id, AFTER, {}, ['sort']])

  const packed = await group('pack', 'ship')
  const dispatched = [await end(packed[0]), await end(packed[1])]
  const [ship] = await acquire(LEASE, 1, AFTER)
  await finalize(ship)

  const [first, last] = await group('sort', null)
  await end(first)
  const waiting = await dispatch(first)
  await end(last)
  const told = await dispatch(last)
  const again = await dispatch(first)
  const [mail] = await acquire(LEASE, 1, AFTER)
  await finalize(mail)
  return {
    chord: [dispatched[0], dispatched[1].length, dispatched[1][0] === ship[0]],
    more: await code(createItems, [QUEUE, 'pack', [{}], 2, 'pack', 'ship', AFTER]),
    waiting, dispatched: [told[0], ...told.slice(2), told[1] === mail[0]], again: [again[0], again[1] === mail[0]],
  }
}

async function errors() {
  return {
    null: await code('SELECT * FROM task_create($1)', [null]),
    message: await rows('SELECT * FROM task_create($1)', [null]).catch(error => error.message),
    state: await code('SELECT * FROM task_finalize($1, $2, $3)', [1, 1, 'done']),
    queue: await code('SELECT * FROM task_acquire_lease($1, $2)', ['nowhere', 'one']),
    role: await code('SELECT * FROM task_cancel($1)', [1]),
    // What is not an object is made JSON by hand: a list would arrive as an array of PostgreSQL's, a string as it is.
    large: await code('SELECT * FROM task_create($1, $2)', [QUEUE, JSON.stringify('x'.repeat(300000))]),
    lease: await code('SELECT task_require_lease($1, $2)', [1, 1]),
  }
}

async function lost() {
  await rows('SELECT * FROM task_create($1)', [QUEUE])
  const [late] = await acquire('100 milliseconds')
  await sleep(200)
  const [lease] = await acquire()
  return {
    same_task: late[0] === lease[0], greater: lease[1] > late[1], heartbeat: await heartbeat(late),
    finalize: await finalize(late), other: await finalize(lease),
  }
}

async function cancelled() {
  await rows('SELECT * FROM task_create($1)', [QUEUE])
  const [lease] = await acquire()
  await other.query('BEGIN')
  const held = await finalize(lease, other)
  await conn.query('BEGIN')
  await conn.query("SET LOCAL statement_timeout = '200 ms'")
  const timeout = await finalize(lease).catch(error => error.code)
  await conn.query('ROLLBACK')
  // The driver itself cannot cancel. Inside a transaction the backend stays the same, through a pooler too.
  await conn.query('BEGIN')
  const [pid] = await row('SELECT pg_backend_pid()')
  const waiting = finalize(lease).catch(error => error.code)
  let ended
  // Again and again: a request that comes before the statement cancels nothing.
  while (!(ended = await Promise.race([waiting, sleep(200)]))) await row('SELECT pg_cancel_backend($1)', [pid], other)
  const stopped = ended === '57014'
  await conn.query('ROLLBACK')
  await other.query('ROLLBACK')
  return { held, timeout, stopped, heartbeat: await heartbeat(lease), finalize: await finalize(lease) }
}

async function rolledBack() {
  await rows('SELECT * FROM task_create($1)', [QUEUE])
  await conn.query('BEGIN')
  const [undone] = await acquire()
  const inside = await finalize(undone)
  await conn.query('ROLLBACK')
  const after = await heartbeat(undone)
  await conn.query('BEGIN')
  const [lease] = await acquire()
  await conn.query('SAVEPOINT before')
  await finalize(lease)
  const savepoint = await code("SELECT * FROM task_finalize($1, $2, 'done')", lease)
  await conn.query('ROLLBACK TO before')
  const [attempt] = await row('SELECT attempt FROM task_get($1)', [lease[0]])
  await conn.query('COMMIT')
  return { inside, after, greater: lease[1] > undone[1], savepoint, attempt, finalize: await finalize(lease) }
}

const life = { many: await many() } // first, so that a pooler has opened all its connections
Object.assign(life, {
  one: await one(), scheduled: await scheduled(), batch: await batch(), successors: await successors(),
  errors: await errors(), lost: await lost(), cancelled: await cancelled(), rolled_back: await rolledBack(),
})
const backends = new Set()
for (let n = 0; n < 12; n++) backends.add((await row('SELECT pg_backend_pid()'))[0])
const [named] = await row('SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql')
await other.end()
await conn.end()
// Counts and places are small enough to be numbers.
const number = (_, value) => typeof value === 'bigint' ? Number(value) : value
console.log(JSON.stringify({ driver: `node-postgres ${version}`, backends: backends.size, named, life }, number))
