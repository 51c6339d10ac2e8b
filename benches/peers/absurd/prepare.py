"""Writes down absurd's schema, as `absurdctl init` and `absurdctl create-queue bench` apply it, and the statements that its client sends:
absurd_sdk/__init__.py: Absurd.spawn, Absurd.claim_tasks, _complete_task_run."""

from pathlib import Path

import absurdctl

spawn = """SELECT task_id, run_id, attempt FROM absurd.spawn_task('bench', 'bench', '{"k": 1}', '{"max_attempts": 5}')"""


def claim(what, count):
    return f"SELECT {what} FROM absurd.claim_task('bench', 'worker', 120, {count})"


def complete(run_id):
    return f"""SELECT absurd.complete_run('bench', {run_id}, '{{"ok": true}}')"""


everything = "run_id, task_id, attempt, task_name, params, retry_strategy, max_attempts, headers, wake_event, event_payload"
Path("schema.sql").write_text(f"{absurdctl.BUNDLED_SCHEMA_SQL}\nSELECT absurd.create_queue('bench');\n")
Path("lifecycle.pgb").write_text(f"{spawn};\n{claim(everything, 1)} \\gset\n{complete(':run_id')};\n")
# Many are claimed at once, but spawned and completed one by one.
Path("batch.pgb").write_text(
    f"{spawn};\n" * 100
    + f"{claim('array_agg(run_id) AS ids', 100)} \\gset\n"
    + "".join(f"{complete(f'(:ids::uuid[])[{i}]')};\n" for i in range(1, 101))
)
# The rows that absurd.spawn_task writes.
Path("fill.sql").write_text("""
WITH spawned AS MATERIALIZED (
    SELECT absurd.portable_uuidv7() AS task_id, absurd.portable_uuidv7() AS run_id, absurd.current_time() AS now FROM generate_series(1, :items)
), tasks AS (
    INSERT INTO absurd.t_bench (task_id, task_name, params, max_attempts, enqueue_at, state, attempts, last_attempt_run)
    SELECT task_id, 'bench', '{"k": 1}', 5, now, 'pending', 1, run_id FROM spawned
)
INSERT INTO absurd.r_bench (run_id, task_id, attempt, state, available_at) SELECT run_id, task_id, 1, 'pending', now FROM spawned;
""")
