#!/usr/bin/env python3
"""A pg_baton worker in Python: leases tasks that name a file, hashes it, counts its lines and words.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=app QUEUE=hash OWNER=py-1 python3 worker.py

Settings, from the environment: QUEUE, OWNER, TTL (seconds a lease lasts), HOLD (seconds to sit on
the first task, to see what happens to a lease meanwhile). SIGTERM ends it after the task in hand.
"""
import hashlib, os, signal, socket, threading, time
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

QUEUE = os.environ.get("QUEUE", "default")
OWNER = os.environ.get("OWNER", f"{socket.gethostname()}-{os.getpid()}")
TTL = timedelta(seconds=float(os.environ.get("TTL", "10")))
HOLD = float(os.environ.get("HOLD", "0"))


def work(payload):
    with open(payload["path"], "rb") as file:
        data = file.read()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
            "lines": data.count(b"\n"), "words": len(data.split())}


@contextmanager
def heartbeat(conn, task_id, token):
    """Extends the lease every third of its length until the work is done."""
    done = threading.Event()

    def beat():
        while not done.wait(TTL.total_seconds() / 3):
            (told,) = conn.execute(
                "SELECT outcome FROM task_heartbeat(%s, %s, %s)", (task_id, token, TTL)).fetchone()
            if told not in ("extended", "not_extended"):  # somebody else has the task, or ended it
                print(f"heartbeat {task_id} {token}: {told}", flush=True)
                return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def main():
    global HOLD
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # autocommit: a lease that is not committed is nobody's, and psycopg would otherwise leave the
    # transaction that acquired it open until the next commit.
    with psycopg.connect(autocommit=True) as conn:
        while not stop.is_set():
            task = conn.execute("SELECT task_id, lease_token, payload FROM task_acquire_lease(%s, %s, %s)",
                                (QUEUE, OWNER, TTL)).fetchone()
            if task is None:
                time.sleep(0.2)
                continue
            task_id, token, payload = task
            try:
                with heartbeat(conn, task_id, token):
                    if HOLD:
                        print(f"holding {task_id} {token}", flush=True)
                        time.sleep(HOLD)
                        HOLD = 0
                    result = work(payload)
            except OSError as error:  # worth another attempt, later and perhaps elsewhere
                (told,) = conn.execute("SELECT outcome FROM task_fail_attempt(%s, %s, %s)",
                                       (task_id, token, Jsonb({"error": str(error)}))).fetchone()
            else:
                (told,) = conn.execute("SELECT outcome FROM task_finalize(%s, %s, 'completed', %s)",
                                       (task_id, token, Jsonb(result))).fetchone()
            # 'finalized', or how this worker was outrun: then the result above counts for nothing.
            print(f"told {task_id} {token}: {told}", flush=True)


main()
