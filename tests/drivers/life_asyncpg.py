"""The life of tasks by asyncpg: see README.md beside it. PREPARED=on: statements are kept by name."""
import asyncio, json, os, time
from datetime import datetime, timedelta, timezone

import asyncpg

PREPARED = os.environ["PREPARED"] == "on"
QUEUE = os.environ["QUEUE"]
AFTER = QUEUE + ".after"
TEXT = "naïve ☃ \"quoted\" \\ 'single' %s $1 :name ?"
PAYLOAD = {"text": TEXT, "list": [1, None, True, 0.5], "empty": {}}
LEASE = timedelta(seconds=30)
# 0: no statement is kept, and none has a name; a pooler in transaction mode needs that.
CACHE = {} if PREPARED else {"statement_cache_size": 0}


async def jsonb(conn):
    """jsonb is text to asyncpg unless it is told otherwise."""
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def connect():
    conn = await asyncpg.connect(**CACHE)
    await jsonb(conn)
    return conn


async def rows(sql, *values, on=None):
    return [list(record) for record in await (on or conn).fetch(sql, *values)]


async def row(sql, *values, on=None):
    (only,) = await rows(sql, *values, on=on)
    return only


async def code(sql, *values):
    """The SQLSTATE that this ends with."""
    try:
        return await rows(sql, *values)
    except asyncpg.PostgresError as error:
        return error.sqlstate


async def acquire(ttl=LEASE, max_tasks=1, queue=QUEUE):
    return await rows("SELECT task_id, lease_token FROM task_acquire_lease($1, 'one', $2, $3)", queue, ttl, max_tasks)


async def finalize(lease, on=None, **waits):
    return await (on or conn).fetchval("SELECT outcome FROM task_finalize($1, $2, 'completed')", *lease, **waits)


async def heartbeat(lease):
    return await row("SELECT outcome, lease_expires_at IS NULL, cancel_requested FROM task_heartbeat($1, $2, $3)",
                     *lease, timedelta(seconds=60))


async def many():
    payloads = [{"n": n} for n in range(1, 101)]
    created = await rows("SELECT ordinal, outcome, task_id FROM task_create_many($1, $2, keys => $3)",
                         QUEUE, payloads, [f"many-{n}" for n in range(1, 101)])
    ended, begun = [], time.monotonic()

    async def work(pool, name):
        while len(ended) < 100 and time.monotonic() - begun < 30:
            # What is given back to the pool is reset by it, so that each turn shows that nothing of a session is needed.
            async with pool.acquire() as own:
                for task_id, token, payload in await rows(
                        "SELECT task_id, lease_token, payload FROM task_acquire_lease($1, $2, $3, 5)",
                        QUEUE, name, LEASE, on=own):
                    ended.append((task_id, payload["n"], await finalize((task_id, token), on=own)))

    async with asyncpg.create_pool(min_size=4, max_size=4, init=jsonb, **CACHE) as pool:
        await asyncio.gather(*(work(pool, f"crew-{n}") for n in range(4)))
    return {"created": sum(outcome == "created" for _, outcome, _ in created),
            "last_ordinal": created[-1][0],
            "calls": len(ended),
            "finalized_once": len({task_id for task_id, _, told in ended if told == "finalized"}),
            "same_tasks": {task_id for task_id, *_ in ended} == {task_id for *_, task_id in created},
            "sum": sum(n for _, n, _ in ended)}


async def one():
    async def create(payload):
        return await row("""SELECT outcome, task_id, state FROM task_create($1, $2, name => $3, key => $4, priority => $5,
                              run_at => $6, max_attempts => $7, slot_keys => $8, metadata => $9)""",
                         QUEUE, payload, None, TEXT, 9, None, 3, ["driver"], {"by": "driver"})

    created, again, differs = await create(PAYLOAD), await create(PAYLOAD), await create({})
    task_id, token, expires_at, *rest = await row("SELECT * FROM task_acquire_lease($1, $2, $3)", QUEUE, "one", LEASE)
    lease = (task_id, token)
    ahead = expires_at - datetime.now(timezone.utc)
    length, text, slot_keys = await row(
        "SELECT lease_expires_at - leased_at, lease_token::text, slot_keys FROM task_get($1)", task_id)
    beaten = await heartbeat(lease)
    (longer,) = await row("SELECT lease_expires_at - heartbeat_at FROM task_get($1)", task_id)

    async def append(dedup_key):
        return await row("SELECT outcome, seq, at IS NULL, cancel_requested FROM task_append_event($1, $2, $3, $4, $5)",
                         task_id, "progress", {"done": 0.5}, token, dedup_key)

    appended = [await append("half"), await append("half"), await append(None)]
    together = await row("SELECT outcome, first_seq, last_seq FROM task_append_events($1, $2, $3, $4)",
                         task_id, ["page", "page"], [{"page": 1}, None], token)

    async def end():
        return await row("SELECT outcome, state, finalized_at, dispatched FROM task_finalize($1, $2, $3, $4, $5, $6)",
                         task_id, token, "failed", PAYLOAD, {"why": TEXT}, "enough")

    ended, replayed = await end(), await end()
    result, error, reason, finalized_at = await row(
        "SELECT result, error, reason, finalized_at FROM task_get($1)", task_id)
    return {"created": [created[0], created[2]], "again": [again[0], again[1] == created[1]], "differs": differs[0],
            "acquired": rest, "same_task": task_id == created[1], "token": str(token) == text and token > 2**52,
            "ahead": 25 < ahead.total_seconds() <= 30,
            "lengths": [length // timedelta(milliseconds=1), longer // timedelta(milliseconds=1)],
            "slot_keys": slot_keys, "heartbeat": beaten, "appended": appended, "together": together,
            "tape": await rows("SELECT seq, kind, body, lease_token = $1 FROM task_events($2)", token, task_id),
            "finalized": [ended[0], ended[1], ended[3]], "replayed": [replayed[0], replayed[2] == ended[2] == finalized_at],
            "kept": [result, error, reason]}


async def scheduled():
    at = datetime(2100, 1, 1, 12, 0, 0, 125000, timezone.utc)
    _, task_id, state = await row("SELECT * FROM task_create($1, run_at => $2)", QUEUE, at)
    (run_at,) = await row("SELECT run_at FROM task_get($1)", task_id)
    return [state, run_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), run_at.microsecond // 1000]


async def batch():
    await rows("SELECT * FROM task_create_many($1, $2)", QUEUE, list(range(3)))
    leases = await acquire(max_tasks=3)
    ids, tokens = [list(column) for column in zip(*leases)]
    beaten = await rows("SELECT ordinal, outcome, task_id = ANY($1) FROM task_heartbeat_many($1, $2, $3)",
                        ids, [*tokens[:2], 1], LEASE)
    ended = await rows("SELECT ordinal, outcome, state FROM task_finalize_many($1, $2, $3, $4)",
                       ids, tokens, ["completed", "failed", "cancelled"], [{"n": 1}, None, None])
    results = [(await row("SELECT result FROM task_get($1)", task_id))[0] for task_id in ids]
    return {"heartbeat": beaten, "finalized": ended, "results": results}


async def successors():
    create_items = """SELECT * FROM task_create_items($1, $2, $3, max_parallel => $4, key => $5, successor => $6,
                        successor_queue => $7)"""

    async def group(name, successor):
        await rows(create_items, QUEUE, name, [{"item": n} for n in range(2)], 2, name, successor, successor and AFTER)
        return await acquire(max_tasks=2)

    async def end(lease):
        return (await row("SELECT dispatched FROM task_finalize($1, $2, 'completed')", *lease))[0]

    first, last = await group("pack", "ship")
    dispatched = [await end(first), await end(last)]
    (ship,) = await acquire(queue=AFTER)
    await finalize(ship)

    async def dispatch(lease):
        return await row("SELECT * FROM task_dispatch_successor($1, 'mail', $2, $3, needs => $4)",
                         lease[0], AFTER, {}, ["sort"])

    first, last = await group("sort", None)
    await end(first)
    waiting = await dispatch(first)
    await end(last)
    told, again = await dispatch(last), await dispatch(first)
    (mail,) = await acquire(queue=AFTER)
    await finalize(mail)
    more = await code(create_items, QUEUE, "pack", [{}], 2, "pack", "ship", AFTER)
    return {"chord": [dispatched[0], len(dispatched[1]), dispatched[1] == [ship[0]]], "more": more,
            "waiting": waiting, "dispatched": [told[0], *told[2:], told[1] == mail[0]],
            "again": [again[0], again[1] == mail[0]]}


async def errors():
    try:
        await rows("SELECT * FROM task_create($1)", None)
    except asyncpg.PostgresError as error:
        message = error.message
    return {"null": await code("SELECT * FROM task_create($1)", None), "message": message,
            "state": await code("SELECT * FROM task_finalize($1, $2, $3)", 1, 1, "done"),
            "queue": await code("SELECT * FROM task_acquire_lease($1, $2)", "nowhere", "one"),
            "role": await code("SELECT * FROM task_cancel($1)", 1),
            "large": await code("SELECT * FROM task_create($1, $2)", QUEUE, "x" * 300_000),
            "lease": await code("SELECT task_require_lease($1, $2)", 1, 1)}


async def lost():
    await rows("SELECT * FROM task_create($1)", QUEUE)
    (late,) = await acquire(timedelta(milliseconds=100))
    await asyncio.sleep(0.2)
    (lease,) = await acquire()
    return {"same_task": late[0] == lease[0], "greater": lease[1] > late[1], "heartbeat": await heartbeat(late),
            "finalize": await finalize(late), "other": await finalize(lease)}


async def cancelled():
    await rows("SELECT * FROM task_create($1)", QUEUE)
    (lease,) = await acquire()
    held_open = other.transaction()
    await held_open.start()
    held = await finalize(lease, on=other)
    try:
        async with conn.transaction():
            await conn.execute("SET LOCAL statement_timeout = '200 ms'")
            await finalize(lease)
    except asyncpg.QueryCanceledError as error:
        timeout = error.sqlstate
    try:
        await finalize(lease, timeout=0.2)
    except asyncio.TimeoutError:
        # The cancel request is still on its way, and the statement may end well before it arrives: whoever gets a
        # TimeoutError does not know what happened. The connection's following statement waits for that.
        stopped = await conn.fetchval("SELECT true")
    await held_open.rollback()
    return {"held": held, "timeout": timeout, "stopped": stopped, "heartbeat": await heartbeat(lease),
            "finalize": await finalize(lease)}


async def rolled_back():
    await rows("SELECT * FROM task_create($1)", QUEUE)
    transaction = conn.transaction()
    await transaction.start()
    (undone,) = await acquire()
    inside = await finalize(undone)
    await transaction.rollback()
    after = await heartbeat(undone)
    async with conn.transaction():
        (lease,) = await acquire()
        try:
            async with conn.transaction():  # a savepoint
                await finalize(lease)
                await row("SELECT * FROM task_finalize($1, $2, 'done')", *lease)
        except asyncpg.PostgresError as error:
            state = error.sqlstate
        (attempt,) = await row("SELECT attempt FROM task_get($1)", lease[0])
    return {"inside": inside, "after": after, "greater": lease[1] > undone[1], "savepoint": state, "attempt": attempt,
            "finalize": await finalize(lease)}


async def main():
    global conn, other
    conn, other = await connect(), await connect()
    life = {}
    # `many` first, so that a pooler has opened all its connections
    for part in (many, one, scheduled, batch, successors, errors, lost, cancelled, rolled_back):
        life[part.__name__] = await part()
    backends = {(await row("SELECT pg_backend_pid()"))[0] for _ in range(12)}
    (named,) = await row("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql")
    print(json.dumps({"driver": f"asyncpg {asyncpg.__version__}", "backends": len(backends), "named": named, "life": life}))


asyncio.run(main())
