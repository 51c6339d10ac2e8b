// Makes pg-boss's schema and its queue, lives a life and a batch through its client, and writes down what that sent:
// manager.js: createJob, insert, fetch, complete (their SQL: plans.js: insertJobs, fetchNextJob, completeJobs).
import { PgBoss } from 'pg-boss';
import { get, last, run, statement, write } from './record.mjs';

const boss = new PgBoss({ database: process.env.PGDATABASE, supervise: false, schedule: false });
boss.on('error', (error) => { throw error; });
await boss.start();
await boss.createQueue('bench', { partition: true });

await boss.send('bench', { k: 1 });
const [one] = await boss.fetch('bench');
await boss.complete('bench', one.id, { ok: true });
const create = /INSERT INTO pgboss\.j\w+/, fetch = /FOR UPDATE OF j SKIP LOCKED/, complete = /state = 'completed'/;
write('lifecycle.pgb',
  run(statement(last(create))),
  get(statement(last(fetch))),
  run(statement(last(complete), { 2: 'ARRAY[:id]' })));

await boss.insert('bench', Array.from({ length: 100 }, () => ({ data: { k: 1 } })));
const many = await boss.fetch('bench', { batchSize: 100 });
await boss.complete('bench', many.map(({ id }) => id), { ok: true });
write('batch.pgb',
  run(statement(last(create))),
  // The ids in one row, for pgbench; the client gets the rows.
  get(`WITH fetched AS (\n${statement(last(fetch))}\n)\nSELECT array_agg(id) AS ids FROM fetched`),
  run(statement(last(complete), { 2: ':ids' })));

// As many at once as psql's variable `items` says.
const items = `(SELECT json_agg('{"data": {"k": 1}}'::json) FROM generate_series(1, :items))`;
write('fill.sql', run(statement(last(create), { 1: items })));

await boss.deleteAllJobs('bench');
await boss.stop({ graceful: false });
