#!/usr/bin/env python3
"""A worker for the workflow of files.workflow.json. One program does all of its steps: a task bears its step's name.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=app QUEUE=files OWNER=py-1 python3 workflow_worker.py

It neither knows nor asks what comes after a task: the definition says so, and the call that ends the last task of a step
makes those of the steps that follow. The settings are those of worker.py, which also shows heartbeats: here a task takes
milliseconds, and its lease seconds.
"""
import hashlib, json, os, signal, socket, threading, time
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

QUEUE = os.environ.get("QUEUE", "default")
OWNER = os.environ.get("OWNER", f"{socket.gethostname()}-{os.getpid()}")
TTL = timedelta(seconds=float(os.environ.get("TTL", "10")))
HOLD = float(os.environ.get("HOLD", "0"))
TOTALS = ("bytes", "lines", "words")


class Wrong(Exception):
    """The input is not as it must be; another attempt would find it no better."""


def fetch(folder):
    """The folder's own list says which files there are, and what they must hold."""
    with open(os.path.join(folder, "SHA256SUMS")) as sums:
        lines = (line.rstrip("\n").split("  ", 1) for line in sums)
        return {"files": [{"name": name, "sha256": sha256} for sha256, name in lines]}


def hash_file(folder, name, sha256):
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Wrong(f"{name} has {len(data)} bytes and the checksum {found[:8]}, not {sha256[:8]}")
    return {"name": name, "sha256": found, "bytes": len(data), "lines": data.count(b"\n"), "words": len(data.split())}


def validate(folder, files, hashed):
    """The results come joined, in the order of the items: each file must be there once, with all of its bytes."""
    if [(file["name"], file["sha256"]) for file in hashed] != [(file["name"], file["sha256"]) for file in files]:
        raise Wrong(f"{len(hashed)} results are not those of the {len(files)} files")
    size = sum(os.path.getsize(os.path.join(folder, file["name"])) for file in files)
    totals = {total: sum(file[total] for file in hashed) for total in TOTALS}
    if totals["bytes"] != size:
        raise Wrong(f"{totals['bytes']} bytes were hashed, and the files have {size}")
    digests = b"".join(bytes.fromhex(file["sha256"]) for file in hashed)
    return {"files": len(hashed), **totals, "digest": hashlib.sha256(digests).hexdigest()}


def report(path, totals):
    """Written beside its place and moved there, since a task may be done twice: whole, whoever comes last."""
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w") as file:
        json.dump(totals, file)
    os.replace(beside, path)
    return {"path": path}


STEPS = {step.__name__: step for step in (fetch, hash_file, validate, report)}


def main():
    global HOLD
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # A lease that is not committed is nobody's. No names for statements: a pooler may stand between.
    with psycopg.connect(autocommit=True, prepare_threshold=None) as conn:
        while not stop.is_set():
            task = conn.execute("SELECT task_id, lease_token, name, payload FROM task_acquire_lease(%s, %s, %s)",
                                (QUEUE, OWNER, TTL)).fetchone()
            if task is None:
                time.sleep(0.1)
                continue
            task_id, token, name, payload = task
            if HOLD:
                print(f"holding {task_id} {token}", flush=True)
                time.sleep(HOLD)
                HOLD = 0
            try:
                result = STEPS[name](**payload)
            except Wrong as error:  # ends the task at once
                sql, value = "SELECT outcome FROM task_finalize(%s, %s, 'failed', error => %s)", {"message": str(error)}
            except OSError as error:  # worth another attempt, later and perhaps elsewhere
                sql, value = "SELECT outcome FROM task_fail_attempt(%s, %s, %s)", {"message": str(error)}
            else:
                sql, value = "SELECT outcome FROM task_finalize(%s, %s, 'completed', %s)", result
            (told,) = conn.execute(sql, (task_id, token, Jsonb(value))).fetchone()
            print(f"told {task_id} {token}: {told}", flush=True)


main()
