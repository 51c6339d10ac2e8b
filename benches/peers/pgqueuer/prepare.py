"""Writes down pgqueuer's schema and the statements that its client sends, which come from its own builders:
adapters/persistence/qb.py: build_install_query, build_enqueue_query, build_dequeue_query, build_log_job_query (called by
queries.py: Queries.enqueue, Queries.dequeue, Queries.log_jobs)."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder

queue = QueryQueueBuilder()


def statement(sql, *parameters):
    """The statement with SQL in the place of its parameters, without the remarks in it: a colon in one of them would be a variable of pgbench."""
    sql = re.sub(r"\$(\d+)", lambda found: parameters[int(found[1]) - 1], re.sub(r"--.*", "", sql))
    return re.sub(r"\n\s*\n", "\n", sql).strip().rstrip(";")


def enqueue(count):
    """Without a delay, a key for duplicates or headers, as `enqueue("bench", b'{"k": 1}')` fills the arrays (query_helpers.py: normalize_enqueue_params)."""
    fields = ["0", "'bench'::text", """'{"k": 1}'::bytea""", "interval '0'", "NULL::text", "'null'::jsonb"]
    return statement(queue.build_enqueue_query(), *(f"array_fill({field}, ARRAY[{count}])" for field in fields))


def dequeue(count):
    """As a worker takes them that bounds nothing."""
    composed = queue.build_dequeue_query(
        batch_size=count,
        entrypoints=["bench"],
        concurrency_limits=[0],
        queue_manager_id=UUID(int=1),
        global_concurrency_limit=None,
        heartbeat_timeout=timedelta(seconds=30),
    )
    literals = {int: str, list: lambda names: f"'{{{','.join(names)}}}'", UUID: lambda uuid: f"'{uuid}'", timedelta: lambda time: f"'{time}'"}
    return statement(composed.sql, *(literals[type(value)](value) for value in composed.args))


def log(ids):
    return statement(
        queue.build_log_job_query(),
        ids,
        f"array_fill('successful'::pgqueuer_status, ARRAY[cardinality({ids}::bigint[])])",
        f"array_fill(NULL::jsonb, ARRAY[cardinality({ids}::bigint[])])",
    )


# The ids in one row, for pgbench; the client gets the rows.
taken, replaced = re.subn(r"SELECT \* FROM claimed .*\Z", "SELECT array_agg(id) AS ids FROM claimed", dequeue(100))
assert replaced == 1
Path("schema.sql").write_text(QueryBuilderEnvironment().build_install_query())
Path("lifecycle.pgb").write_text(f"{enqueue(1)};\n{dequeue(1)} \\gset\n{log('ARRAY[:id]')};\n")
Path("batch.pgb").write_text(f"{enqueue(100)};\n{taken} \\gset\n{log(':ids')};\n")
Path("fill.sql").write_text(f"{enqueue(':items')};\n")
