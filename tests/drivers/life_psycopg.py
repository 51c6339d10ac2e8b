"""The life of tasks by psycopg 3: see README.md beside it. PREPARED=on: every statement by a name of its own."""
import json, os, threading, time
from datetime import datetime, timedelta, timezone

import psycopg
from psycopg.types.json import Jsonb

PREPARED = os.environ["PREPARED"] == "on"
QUEUE = os.environ["QUEUE"]
AFTER = QUEUE + ".after"
TEXT = "naïve ☃ \"quoted\" \\ 'single' %s $1 :name ?"
PAYLOAD = {"text": TEXT, "list": [1, None, True, 0.5], "empty": {}}
LEASE = timedelta(seconds=30)


def connect():
    # None: never by a name, which a pooler in transaction mode needs; 0: from the first time on (5 if not given).
    return psycopg.connect(autocommit=True, prepare_threshold=0 if PREPARED else None)


conn, other = connect(), connect()


def rows(sql, *values, on=conn):
    return on.execute(sql, values).fetchall()


def row(sql, *values, on=conn):
    (only,) = rows(sql, *values, on=on)
    return only


def code(sql, *values):
    """The SQLSTATE that this ends with."""
    try:
        return rows(sql, *values)
    except psycopg.Error as error:
        return error.sqlstate


def acquire(ttl=LEASE, max_tasks=1, queue=QUEUE):
    return rows("SELECT task_id, lease_token FROM task_acquire_lease(%s, 'one', %s, %s)", queue, ttl, max_tasks)


def finalize(lease, on=conn):
    return row("SELECT outcome FROM task_finalize(%s, %s, 'completed')", *lease, on=on)[0]


def heartbeat(lease):
    return row("SELECT outcome, lease_expires_at IS NULL, cancel_requested FROM task_heartbeat(%s, %s, %s)",
               *lease, timedelta(seconds=60))


def many():
    payloads = [Jsonb({"n": n}) for n in range(1, 101)]
    created = rows("SELECT ordinal, outcome, task_id FROM task_create_many(%s, %s, keys => %s)",
                   QUEUE, payloads, [f"many-{n}" for n in range(1, 101)])
    ended, begun = [], time.monotonic()

    def work(name):
        with connect() as own:
            while len(ended) < 100 and time.monotonic() - begun < 30:
                for task_id, token, payload in rows(
                        "SELECT task_id, lease_token, payload FROM task_acquire_lease(%s, %s, %s, 5)",
                        QUEUE, name, LEASE, on=own):
                    ended.append((task_id, payload["n"], finalize((task_id, token), on=own)))

    crew = [threading.Thread(target=work, args=(f"crew-{n}",)) for n in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return {"created": sum(outcome == "created" for _, outcome, _ in created),
            "last_ordinal": created[-1][0],
            "calls": len(ended),
            "finalized_once": len({task_id for task_id, _, told in ended if told == "finalized"}),
            "same_tasks": {task_id for task_id, *_ in ended} == {task_id for *_, task_id in created},
            "sum": sum(n for _, n, _ in ended)}


def one():
    def create(payload):
        return row("""SELECT outcome, task_id, state FROM task_create(%s, %s, name => %s, key => %s, priority => %s,
                        run_at => %s, max_attempts => %s, slot_keys => %s, metadata => %s)""",
                   QUEUE, Jsonb(payload), None, TEXT, 9, None, 3, ["driver"], Jsonb({"by": "driver"}))

    created, again, differs = create(PAYLOAD), create(PAYLOAD), create({})
    (task_id, token, expires_at, *rest), = rows("SELECT * FROM task_acquire_lease(%s, %s, %s)", QUEUE, "one", LEASE)
    lease = (task_id, token)
    ahead = expires_at - datetime.now(timezone.utc)
    length, text, slot_keys = row("SELECT lease_expires_at - leased_at, lease_token::text, slot_keys FROM task_get(%s)",
                                  task_id)
    beaten = heartbeat(lease)
    (longer,) = row("SELECT lease_expires_at - heartbeat_at FROM task_get(%s)", task_id)

    def append(dedup_key):
        return row("SELECT outcome, seq, at IS NULL, cancel_requested FROM task_append_event(%s, %s, %s, %s, %s)",
                   task_id, "progress", Jsonb({"done": 0.5}), token, dedup_key)

    appended = [append("half"), append("half"), append(None)]
    together = row("SELECT outcome, first_seq, last_seq FROM task_append_events(%s, %s, %s, %s)",
                   task_id, ["page", "page"], [Jsonb({"page": 1}), None], token)

    def end():
        return row("SELECT outcome, state, finalized_at, dispatched FROM task_finalize(%s, %s, %s, %s, %s, %s)",
                   task_id, token, "failed", Jsonb(PAYLOAD), Jsonb({"why": TEXT}), "enough")

    ended, replayed = end(), end()
    result, error, reason, finalized_at = row("SELECT result, error, reason, finalized_at FROM task_get(%s)", task_id)
    return {"created": [created[0], created[2]], "again": [again[0], again[1] == created[1]], "differs": differs[0],
            "acquired": rest, "same_task": task_id == created[1], "token": str(token) == text and token > 2**52,
            "ahead": 25 < ahead.total_seconds() <= 30, "lengths": [length // timedelta(milliseconds=1), longer // timedelta(milliseconds=1)],
            "slot_keys": slot_keys, "heartbeat": beaten, "appended": appended, "together": together,
            "tape": rows("SELECT seq, kind, body, lease_token = %s FROM task_events(%s)", token, task_id),
            "finalized": [ended[0], ended[1], ended[3]], "replayed": [replayed[0], replayed[2] == ended[2] == finalized_at],
            "kept": [result, error, reason]}


def scheduled():
    at = datetime(2100, 1, 1, 12, 0, 0, 125000, timezone.utc)
    _, task_id, state = row("SELECT * FROM task_create(%s, run_at => %s)", QUEUE, at)
    (run_at,) = row("SELECT run_at FROM task_get(%s)", task_id)
    return [state, run_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), run_at.microsecond // 1000]


def batch():
    rows("SELECT * FROM task_create_many(%s, %s)", QUEUE, [Jsonb(n) for n in range(3)])
    leases = acquire(max_tasks=3)
    ids, tokens = [list(column) for column in zip(*leases)]
    beaten = rows("SELECT ordinal, outcome, task_id = ANY(%s) FROM task_heartbeat_many(%s, %s, %s)",
                  ids, ids, [*tokens[:2], 1], LEASE)
    ended = rows("SELECT ordinal, outcome, state FROM task_finalize_many(%s, %s, %s, %s)",
                 ids, tokens, ["completed", "failed", "cancelled"], [Jsonb({"n": 1}), None, None])
    results = [row("SELECT result FROM task_get(%s)", task_id)[0] for task_id in ids]
    return {"heartbeat": beaten, "finalized": ended, "results": results}


def successors():
    create_items = """SELECT * FROM task_create_items(%s, %s, %s, max_parallel => %s, key => %s, successor => %s,
                        successor_queue => %s)"""

    def group(name, successor):
        rows(create_items, QUEUE, name, [Jsonb({"item": n}) for n in range(2)], 2, name, successor, successor and AFTER)
        return acquire(max_tasks=2)

    def end(lease):
        return row("SELECT dispatched FROM task_finalize(%s, %s, 'completed')", *lease)[0]

    first, last = group("pack", "ship")
    dispatched = [end(first), end(last)]
    (ship,) = acquire(queue=AFTER)
    finalize(ship)

    def dispatch(lease):
        return row("SELECT * FROM task_dispatch_successor(%s, 'mail', %s, %s, needs => %s)",
                   lease[0], AFTER, Jsonb({}), ["sort"])

    first, last = group("sort", None)
    end(first)
    waiting = dispatch(first)
    end(last)
    told, again = dispatch(last), dispatch(first)
    (mail,) = acquire(queue=AFTER)
    finalize(mail)
    more = code(create_items, QUEUE, "pack", [Jsonb({})], 2, "pack", "ship", AFTER)
    return {"chord": [dispatched[0], len(dispatched[1]), dispatched[1] == [ship[0]]], "more": more,
            "waiting": waiting, "dispatched": [told[0], *told[2:], told[1] == mail[0]],
            "again": [again[0], again[1] == mail[0]]}


def errors():
    try:
        rows("SELECT * FROM task_create(%s)", None)
    except psycopg.Error as error:
        message = error.diag.message_primary
    return {"null": code("SELECT * FROM task_create(%s)", None), "message": message,
            "state": code("SELECT * FROM task_finalize(%s, %s, %s)", 1, 1, "done"),
            "queue": code("SELECT * FROM task_acquire_lease(%s, %s)", "nowhere", "one"),
            "role": code("SELECT * FROM task_cancel(%s)", 1),
            "large": code("SELECT * FROM task_create(%s, %s)", QUEUE, Jsonb("x" * 300_000)),
            "lease": code("SELECT task_require_lease(%s, %s)", 1, 1)}


def lost():
    rows("SELECT * FROM task_create(%s)", QUEUE)
    (late,) = acquire(timedelta(milliseconds=100))
    time.sleep(0.2)
    (lease,) = acquire()
    return {"same_task": late[0] == lease[0], "greater": lease[1] > late[1], "heartbeat": heartbeat(late),
            "finalize": finalize(late), "other": finalize(lease)}


def cancelled():
    rows("SELECT * FROM task_create(%s)", QUEUE)
    (lease,) = acquire()
    with other.transaction(force_rollback=True):
        held = finalize(lease, on=other)
        try:
            with conn.transaction():
                conn.execute("SET LOCAL statement_timeout = '200 ms'")
                finalize(lease)
        except psycopg.errors.QueryCanceled as error:
            timeout = error.sqlstate
        ended = threading.Event()

        def cancel():
            while not ended.wait(0.2):  # again and again: a request that comes before the statement cancels nothing
                conn.cancel_safe()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            finalize(lease)
        except psycopg.errors.QueryCanceled:
            stopped = True
        ended.set()
        canceller.join()
    return {"held": held, "timeout": timeout, "stopped": stopped, "heartbeat": heartbeat(lease), "finalize": finalize(lease)}


def rolled_back():
    rows("SELECT * FROM task_create(%s)", QUEUE)
    with conn.transaction(force_rollback=True):
        (undone,) = acquire()
        inside = finalize(undone)
    after = heartbeat(undone)
    with conn.transaction():
        (lease,) = acquire()
        try:
            with conn.transaction():  # a savepoint
                finalize(lease)
                row("SELECT * FROM task_finalize(%s, %s, 'done')", *lease)
        except psycopg.Error as error:
            state = error.sqlstate
        (attempt,) = row("SELECT attempt FROM task_get(%s)", lease[0])
    return {"inside": inside, "after": after, "greater": lease[1] > undone[1], "savepoint": state, "attempt": attempt,
            "finalize": finalize(lease)}


many = many()  # first, so that a pooler has opened all its connections
life = {"many": many, "one": one(), "scheduled": scheduled(), "batch": batch(), "successors": successors(),
        "errors": errors(), "lost": lost(), "cancelled": cancelled(), "rolled_back": rolled_back()}
backends = {row("SELECT pg_backend_pid()")[0] for _ in range(12)}
(named,) = row("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql")
print(json.dumps({"driver": f"psycopg {psycopg.__version__}", "backends": len(backends), "named": named, "life": life}))
