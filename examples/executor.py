#!/usr/bin/env python3
"""A message-driven executor on pg_baton: items end in the database, their completion messages reach several copies of
the executor late, more than once and in any order, and each group's successor is dispatched once.

    pip install 'psycopg[binary]'
    PGHOST=/var/run/postgresql PGUSER=postgres python3 executor.py --groups 100 --items 5 --executors 4 --workers 6

The executor keeps no count of what has ended: it asks `task_dispatch_successor` for every message, and acts on the
one `dispatched`. Two things to know before you copy it:

- A worker that dies between its finalize and its message sends none. Whoever cannot rule that out asks once more for
  groups that stay open, or names the successor in `task_create_items`, and needs no messages.
- A connection may break after `dispatched` was committed and before it was heard; asked again, the answer is
  `already_dispatched`. What must be done exactly once is the successor's work, or written in the same transaction.
"""
import argparse, heapq, json, multiprocessing, os, queue, random, sys, time
from collections import Counter, defaultdict
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

PACK, SHIP = "executor-pack", "executor-ship"  # the queues of the items and of the successors
MAX_PARALLEL = 3
TTL = timedelta(seconds=5)  # an item takes milliseconds; worker.py shows heartbeats
LATE = 0.2  # seconds that a message may take
PATIENCE = 15  # seconds without an answer: longer than a lease, so something is broken
TRIES = 8


class Client:
    """A connection, one call a transaction. Whatever is asked here may be asked twice, so a call that failed is made
    again: the connection broke, the server restarts, a deadlock (40P01; single calls have none), a timeout."""
    conn, answer_lost = None, False

    def call(self, sql, *values):
        self.answer_lost = False
        for tried in range(1, TRIES + 1):
            try:
                if self.conn is None or self.conn.closed:
                    # No names for statements: a pooler may stand between.
                    self.conn = psycopg.connect(autocommit=True, prepare_threshold=None)
                return self.conn.execute(sql, values).fetchall()
            except psycopg.OperationalError as error:
                if tried == TRIES:
                    raise
                if self.conn is not None and self.conn.closed:
                    self.answer_lost = True  # committed or not: only who asks again knows
                print(f"{os.getpid()} asks again: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
                time.sleep(random.uniform(0, 0.02 * 2 ** tried))


def schedule(client, groups, items):
    """Creates groups without a built-in successor. Returns the run of each item."""
    run_of, now = {}, time.time_ns()
    for n in range(groups):
        payloads = [Jsonb({"order": n, "item": item}) for item in range(items)]
        run_of |= {task_id: run_id for run_id, task_id in client.call(  # the key makes it safe to ask twice
            "SELECT run_id, task_id FROM task_create_items(%s, 'pack', %s, max_parallel => %s, key => %s)",
            PACK, payloads, MAX_PARALLEL, f"{now}-{n}")}
    return run_of


def goes_on(stop):
    """Until the end, or until the program that began this process is gone."""
    return not stop.is_set() and multiprocessing.parent_process().is_alive()


def work(bus, stop):
    """A worker: ends an item first, and says so then."""
    client = Client()
    while goes_on(stop):
        leased = client.call("SELECT task_id, lease_token FROM task_acquire_lease(%s, %s, %s)",
                             PACK, f"worker-{os.getpid()}", TTL)
        if not leased:
            time.sleep(0.02)
        for task_id, token in leased:
            time.sleep(random.uniform(0, 0.005))  # the work
            ((told,),) = client.call("SELECT outcome FROM task_finalize(%s, %s, 'completed')", task_id, token)
            if told in ("finalized", "already_finalized"):  # otherwise the item was somebody else's by then
                bus.put(json.dumps({"task_id": task_id}))


def deliver(bus, inbox, duplicates, stop):
    """The message bus. Half of all messages come at once, so that the executor's copies meet; the others late."""
    due = []
    inbox.cancel_join_thread()  # what nobody takes must not keep this process from ending
    while goes_on(stop):
        while due and due[0][0] <= time.monotonic():
            inbox.put(heapq.heappop(due)[1])
        try:
            message = bus.get(timeout=max(0, min(0.1, due[0][0] - time.monotonic())) if due else 0.1)
        except queue.Empty:
            continue
        for _ in range(1 + duplicates):
            late = random.choice((0, random.uniform(0, LATE)))
            heapq.heappush(due, (time.monotonic() + late, message))


def execute(inbox, answers, stop):
    """A copy of the executor: asks for every message, whatever the others do."""
    client = Client()
    while goes_on(stop):
        try:
            task_id = json.loads(inbox.get(timeout=0.1))["task_id"]
        except queue.Empty:
            continue
        begun = time.monotonic()
        ((outcome,),) = client.call("SELECT outcome FROM task_dispatch_successor(%s, 'ship', %s, %s)",
                                    task_id, SHIP, Jsonb({"after": task_id}))
        # Here stands what a scheduler does if, and only if, the outcome is 'dispatched'.
        answers.put((task_id, outcome, client.answer_lost, begun, time.monotonic()))


def judge(client, told):
    """Counts what was told, and returns what must not be."""
    outcomes, broken, met, lost = Counter(dispatched=0, waiting=0, already_dispatched=0), [], 0, 0
    for run_id, calls in told.items():
        outcomes.update(outcome for outcome, *_ in calls)
        winners = [call for call in calls if call[0] == "dispatched"]
        met += any(a is not b and a[2] < b[3] and b[2] < a[3] for a in winners for b in calls)
        unheard = not winners and any(answer_lost for _, answer_lost, *_ in calls)
        lost += unheard
        ((count,),) = client.call("SELECT count(*) FROM task_list(%s, name => 'ship', run_id => %s)", SHIP, run_id)
        if count != 1 or len(winners) != 1 and not unheard:
            broken.append(f"group {run_id} has {count} successors, and {len(winners)} calls were told dispatched")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    print(f"{len(told)} groups: {counts}; {met} dispatched while another copy asked; {lost} dispatched and not heard")
    if len(outcomes) > 3:
        broken.append("calls were told what nobody expects")
    return broken + [f"baton_check(true): {row}" for row in client.call("SELECT * FROM baton_check(true)")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in dict(groups=100, items=5, executors=4, workers=6, duplicates=3).items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{default} if not given")
    args = parser.parse_args()
    multiprocessing.set_start_method("spawn")  # a process that was forked would share connections and pipes
    client = Client()
    for name in (PACK, SHIP):
        try:
            client.call("SELECT queue_create(%s)", name)
        except psycopg.errors.UniqueViolation:
            pass  # an earlier run's
    bus, inbox, answers = (multiprocessing.Queue() for _ in range(3))
    stop = multiprocessing.Event()
    crew = [("bus", deliver, (bus, inbox, args.duplicates, stop))]
    crew += [(f"worker-{n}", work, (bus, stop)) for n in range(args.workers)]
    crew += [(f"executor-{n}", execute, (inbox, answers, stop)) for n in range(args.executors)]
    crew = [multiprocessing.Process(name=name, target=act, args=what, daemon=True) for name, act, what in crew]
    for process in crew:
        process.start()

    run_of = schedule(client, args.groups, args.items)
    told, left, heard = defaultdict(list), len(run_of) * (1 + args.duplicates), time.monotonic()
    while left:
        try:
            task_id, *call = answers.get(timeout=0.5)
        except queue.Empty:
            if time.monotonic() - heard > PATIENCE:
                dead = [process.name for process in crew if not process.is_alive()]
                sys.exit(f"{left} messages without an answer; processes that have ended: {', '.join(dead) or 'none'}")
            continue
        if task_id in run_of:  # and not of an earlier run that was stopped
            told[run_of[task_id]].append(call)
            left, heard = left - 1, time.monotonic()
    stop.set()
    for process in crew:
        process.join(timeout=5)
    sys.exit("\n".join(judge(client, told)) or None)


if __name__ == "__main__":
    main()
