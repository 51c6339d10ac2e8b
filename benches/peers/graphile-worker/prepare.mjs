// Makes graphile-worker's schema, lives a life and a batch through its client, and writes down what that sent: helpers.js: makeAddJob,
// makeAddJobs; sql/getJobs.js: batchGetJobs; sql/completeJobs.js: batchCompleteJobs.
import { Logger, makeWorkerUtils, run as work, runOnce } from 'graphile-worker';
import { get, last, run, statement, write } from './record.mjs';

const options = { connectionString: `postgres:///${process.env.PGDATABASE}`, logger: new Logger(() => () => {}), noHandleSignals: true };
const utils = await makeWorkerUtils(options);
await utils.migrate();
const create = /\.add_jobs?\(/, fetch = /\bskip locked\b/, complete = /^delete from \S+\._private_jobs/;

await utils.addJob('bench', { k: 1 });
await runOnce({ ...options, taskList: { bench: async () => {} } });
write('lifecycle.pgb',
  run(statement(last(create))),
  get(statement(last(fetch))),
  run(statement(last(complete), { 1: ':id' })));

// A worker that fetches and completes 100 at a time: as many run at once, and complete together.
const worker = { concurrentJobs: 100, localQueue: { size: 100 }, completeJobBatchDelay: 50 };
await utils.addJobs(Array.from({ length: 100 }, () => ({ identifier: 'bench', payload: { k: 1 } })));
const runner = await work({ ...options, preset: { worker }, taskList: { bench: async () => {} } });
for (let tries = 0; !/\bunnest\b/.test(last(complete).text); tries++) {
  if (tries === 1000) throw new Error('its worker did not complete many at once');
  await new Promise((done) => setTimeout(done, 10));
}
await runner.stop();
// The ids in one row, for pgbench; the client gets the rows.
const taken = statement(last(fetch)).replace(/\)\s*update (?=\S+\._private_jobs )/, '),\nfetched as (\nupdate ').replace(/\*$/, 'jobs.*');
if (!taken.includes('fetched')) throw new Error('its fetch reads otherwise than it did');
write('batch.pgb',
  run(statement(last(create))),
  get(`${taken}\n)\nselect array_agg(id) as ids from fetched`),
  run(statement(last(complete), { 1: ':ids' })));
// As many at once as psql's variable `items` says.
const items = `(SELECT json_agg('{"identifier": "bench", "payload": {"k": 1}}'::json) FROM generate_series(1, :items))`;
write('fill.sql', run(statement(last(create), { 1: items })));
await utils.release();
