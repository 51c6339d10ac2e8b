#!/usr/bin/env python3
"""Leases the one successor of a finished group and folds the items' results into a report.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=app QUEUE=fold OWNER=fold-1 python3 fold.py

The task's payload says which group: {"items": "<name>"}; the run is the task's own. Waits until the
task is there, reports, and ends.
"""
import hashlib, json, os, signal, sys, time

import psycopg
from psycopg.types.json import Jsonb

QUEUE = os.environ.get("QUEUE", "default")
OWNER = os.environ.get("OWNER", f"fold-{os.getpid()}")
PAGE = 500

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

# autocommit: a lease that is not committed is nobody's. No names for statements: a pooler may stand between.
with psycopg.connect(autocommit=True, prepare_threshold=None) as conn:
    while True:
        task = conn.execute("SELECT task_id, lease_token, run_id, payload FROM task_acquire_lease(%s, %s)",
                            (QUEUE, OWNER)).fetchone()
        if task:
            break
        time.sleep(0.2)
    task_id, token, run_id, payload = task

    report = {"files": 0, "failed": 0, "bytes": 0, "lines": 0, "words": 0}
    digests = hashlib.sha256()
    after = -1
    while True:
        page = conn.execute("SELECT item_index, state, result FROM task_items(%s, %s, %s, %s)",
                            (run_id, payload["items"], after, PAGE)).fetchall()
        if not page:
            break
        for after, state, result in page:  # in item order, so the digest depends on nothing else
            if state == "completed":
                report["files"] += 1
                for total in ("bytes", "lines", "words"):
                    report[total] += result[total]
                digests.update(bytes.fromhex(result["sha256"]))
            else:  # or cancelled, or quarantined: it has no result to fold, and is missing in the totals
                report["failed"] += 1
        # Between two pages: a fold of many pages outlives its lease otherwise.
        conn.execute("SELECT task_heartbeat(%s, %s)", (task_id, token))
    report["digest"] = digests.hexdigest()

    (told,) = conn.execute("SELECT outcome FROM task_finalize(%s, %s, 'completed', %s)",
                           (task_id, token, Jsonb(report))).fetchone()
    print(json.dumps(report), flush=True)
    print(f"told {task_id} {token}: {told}", flush=True)
