#!/usr/bin/env python3
"""A worker for trips that are booked at other people's services, and undone if the payment fails.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=app QUEUE=trips OWNER=py-1 python3 saga_worker.py

One program for three queues: `trips` (a task books all of a trip, and registers what would undo it as it goes), `booking` (the steps
of trip.workflow.json, which says itself how they are undone) and `undo`. The services are files in a folder: a file is a booking, and
nothing that a transaction does touches it. The settings are those of worker.py, which also shows heartbeats.
"""
import os, signal, socket, threading, time
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

QUEUE = os.environ.get("QUEUE", "default")
OWNER = os.environ.get("OWNER", f"{socket.gethostname()}-{os.getpid()}")
TTL = timedelta(seconds=float(os.environ.get("TTL", "10")))
HOLD = float(os.environ.get("HOLD", "0"))


class Refused(Exception):
    """The service says no, and would say it again."""


class Outrun(Exception):
    """The task is not this worker's any more."""


def book(folder, booking, terms="booked"):
    """Once under a key that the caller has chosen: asked again it is the same booking. One that was cancelled is never booked again, be it
    that the cancel came first."""
    try:
        with open(os.path.join(folder, booking), "x") as file:
            file.write(terms)
    except FileExistsError:
        if state_of(folder, booking) == "cancelled":
            raise Refused(f"{booking} was cancelled")
    return {"booking": booking}


def cancel(folder, booking):
    """Says the same if it is cancelled already, and if it was never booked."""
    if state_of(folder, booking) == "kept":
        raise Refused(f"{booking} cannot be cancelled")
    beside = os.path.join(folder, f".{booking}.{os.getpid()}")
    with open(beside, "w") as file:
        file.write("cancelled")
    os.replace(beside, os.path.join(folder, booking))


def state_of(folder, booking):
    try:
        with open(os.path.join(folder, booking)) as file:
            return file.read()
    except FileNotFoundError:
        return None


def pay(folder, booking, card):
    if card == "declined":
        raise Refused("the card was declined")
    return book(folder, booking, "paid")


def trip(conn, task_id, token, folder, trip, card, hotel):
    """What would undo a booking is registered before it is made: nobody knows at what moment this worker dies. A second attempt is told
    `exists`, and goes on from there."""
    for what, terms in (("flight", "booked"), ("hotel", hotel)):
        booking = f"{trip}-{what}"
        (told,) = conn.execute("SELECT outcome FROM task_register_compensation(%s, %s, %s, 'undo', %s)",
                               (task_id, token, f"cancel_{what}", Jsonb({"folder": folder, "booking": booking}))).fetchone()
        if told not in ("registered", "exists"):
            raise Outrun(told)
        book(folder, booking, terms)
    return pay(folder, f"{trip}-payment", card)


def work(conn, task_id, token, name, payload):
    if QUEUE == "trips":
        return trip(conn, task_id, token, **payload)
    if QUEUE == "undo":
        return cancel(**payload)
    return {"flight": book, "hotel": book, "pay": pay}[name](**payload)


def hold(task_id, token):
    """The work is done, and nobody has been told."""
    global HOLD
    if HOLD:
        print(f"holding {task_id} {token}", flush=True)
        time.sleep(HOLD)
        HOLD = 0


def main():
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
            try:
                result = work(conn, task_id, token, name, payload)
                hold(task_id, token)
                sql, value = "SELECT outcome FROM task_finalize(%s, %s, 'completed', %s)", result
            except Outrun as outrun:
                print(f"told {task_id} {token}: {outrun}", flush=True)
                continue
            except Refused as refused:
                value = {"message": str(refused)}
                sql = "SELECT outcome FROM task_finalize(%s, %s, 'failed', error => %s, reason => 'refused')"
                if QUEUE == "undo":  # worth another attempt: whoever gives up here leaves it to people
                    sql = "SELECT outcome FROM task_fail_attempt(%s, %s, %s)"
            # 'compensation_started': it ends when all that it has registered is undone.
            (told,) = conn.execute(sql, (task_id, token, value and Jsonb(value))).fetchone()
            print(f"told {task_id} {token}: {told}", flush=True)


main()
