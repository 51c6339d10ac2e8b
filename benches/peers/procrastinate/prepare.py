"""Writes down procrastinate's schema and the statements that its client sends: sql/queries.sql: defer_jobs, fetch_job, finish_job
(called by manager.py: JobManager.batch_defer_jobs_async, fetch_job, finish_job_by_id_async)."""

from pathlib import Path

from procrastinate import schema, sql


def statement(name, **parameters):
    return (sql.queries[name] % parameters).rstrip(";")


def defer(count):
    one = """ROW('bench', 'bench', 0, NULL, NULL, '{"k": 1}', NULL)::procrastinate_job_to_defer_v1"""
    return statement("defer_jobs", jobs=f"array_fill({one}, ARRAY[{count}])")


# A worker that serves all queues and keeps what it has done, as is its default. Its id is that of the first worker.
fetch = statement("fetch_job", queues="NULL", worker_id="1")
finish = statement("finish_job", job_id=":id", status="'succeeded'", delete_job="false")
Path("schema.sql").write_text(f"{schema.SchemaManager.get_schema()}\n{sql.queries['register_worker']};\n")
Path("lifecycle.pgb").write_text(f"{defer(1)};\n{fetch} \\gset\n{finish};\n")
# Many are deferred at once, but taken and finished one by one.
Path("batch.pgb").write_text(f"{defer(100)};\n" + f"{fetch} \\gset\n{finish};\n" * 100)
Path("fill.sql").write_text(f"{defer(':items')};\n")
