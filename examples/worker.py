#!/usr/bin/env python3
"""A pg_baton worker in Python: leases tasks that name a file, hashes it, counts its lines and words.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=app QUEUE=hash OWNER=py-1 python3 worker.py

Settings, from the environment: QUEUE, OWNER, TTL (seconds a lease lasts), HOLD (seconds to sit on
the first result, to see what happens to a lease meanwhile). SIGTERM ends it after the task in hand.
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


def work(payload, unwanted):
    """Looks between two lines whether anybody still wants the result; if not, there is none."""
    digest, total = hashlib.sha256(), {"bytes": 0, "lines": 0, "words": 0}
    with open(payload["path"], "rb") as file:
        for line in file:
            if unwanted.is_set():
                return None
            digest.update(line)
            total["bytes"] += len(line)
            total["lines"] += line.count(b"\n")
            total["words"] += len(line.split())
    return {"sha256": digest.hexdigest(), **total}


@contextmanager
def heartbeat(conn, task_id, token):
    """Extends the lease every third of its length. Sets `unwanted` when somebody asks to cancel, or when the
    lease is gone; `unwanted.lost` then says how."""
    done, unwanted = threading.Event(), threading.Event()
    unwanted.lost = None

    def beat():
        while not done.wait(TTL.total_seconds() / 3) and not unwanted.lost:
            told, cancel_requested = conn.execute(
                "SELECT outcome, cancel_requested FROM task_heartbeat(%s, %s, %s)", (task_id, token, TTL)).fetchone()
            if told not in ("extended", "not_extended"):  # lease_lost, lease_expired, terminal
                unwanted.lost = told
            if unwanted.lost or cancel_requested:
                unwanted.set()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield unwanted
    finally:
        done.set()
        thread.join()


def main():
    global HOLD
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # autocommit: a lease that is not committed is nobody's, and psycopg would otherwise leave the
    # transaction that acquired it open until the next commit. No statement gets a name, so that a
    # pooler in transaction mode may stand before the server (docs/drivers.md).
    with psycopg.connect(autocommit=True, prepare_threshold=None) as conn:
        while not stop.is_set():
            task = conn.execute("SELECT task_id, lease_token, payload FROM task_acquire_lease(%s, %s, %s)",
                                (QUEUE, OWNER, TTL)).fetchone()
            if task is None:
                time.sleep(0.2)
                continue
            task_id, token, payload = task
            try:
                with heartbeat(conn, task_id, token) as unwanted:
                    result = work(payload, unwanted)
                    if HOLD:
                        print(f"holding {task_id} {token}", flush=True)
                        time.sleep(HOLD)
                        HOLD = 0
            except OSError as error:  # worth another attempt, later and perhaps elsewhere
                (told,) = conn.execute("SELECT outcome FROM task_fail_attempt(%s, %s, %s)",
                                       (task_id, token, Jsonb({"error": str(error)}))).fetchone()
            else:
                if result is None and unwanted.lost:  # stopped, and nobody waits for a word from here
                    told = unwanted.lost
                else:
                    state = "completed" if result else "cancelled"
                    (told,) = conn.execute("SELECT outcome FROM task_finalize(%s, %s, %s, %s)",
                                           (task_id, token, state, result and Jsonb(result))).fetchone()
            # 'finalized', or how this worker was outrun: then the result above counts for nothing.
            print(f"told {task_id} {token}: {told}", flush=True)


main()
