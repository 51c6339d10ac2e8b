-- queue_create, queue_alter: their settings, defaults and errors.

SELECT queue_create('plain');
SELECT name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue_id, on_final_states, paused_at, dropped_at FROM baton.queue \gx
SELECT queue_create(name => 'full', lease_ttl => '1 min', max_attempts => 1, max_lost_leases => 2, backoff_base => '0', backoff_max => '1 day', max_runtime => '1 h', on_lost => 'requeue_unstarted', on_final_queue => 'plain', on_final_states => '{failed}');
SELECT name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue_id = (SELECT queue_id FROM baton.queue WHERE name = 'plain') AS tells_plain, on_final_states FROM baton.queue WHERE name = 'full' \gx
-- NULL leaves as it is.
SELECT queue_alter('full');
SELECT queue_alter('full', max_attempts => 3, on_lost => 'fail');
SELECT queue_alter('full', lease_ttl => '2 min', max_lost_leases => 5, backoff_base => '2 s', backoff_max => '3 s', max_runtime => '4 h');
SELECT name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue_id = (SELECT queue_id FROM baton.queue WHERE name = 'plain') AS tells_plain, on_final_states FROM baton.queue WHERE name = 'full' \gx
-- What may be absent is taken away by 0 and by the empty text.
SELECT queue_alter('full', max_runtime => '0', on_final_queue => '');
SELECT queue_alter('full', max_runtime => '0 days', on_final_queue => '');
SELECT max_runtime, on_final_queue_id, on_final_states FROM baton.queue WHERE name = 'full';
SELECT queue_alter('full', max_runtime => '4 h');

-- What is altered applies from then on: to new tasks, and to leases granted from now on.
SELECT outcome FROM task_create('plain', key => 'before');
SELECT queue_alter('plain', lease_ttl => '1 h', max_attempts => 2);
SELECT outcome FROM task_create('plain', key => 'after');
SELECT key, max_attempts FROM unnest(ARRAY['before', 'after']) k, task_get_by_key('plain', k);
SELECT lease_expires_at > clock_timestamp() + interval '50 min' AS an_hour FROM task_acquire_lease('plain', 'w');

-- The queue "default" can be altered before its first use, and not created.
SELECT queue_create('default');
SELECT queue_alter('default', max_attempts => 9);
SELECT outcome FROM task_create('default', key => 'k');
SELECT max_attempts FROM task_get_by_key('default', 'k');
SELECT queue_create('default');
SELECT lease_ttl, max_attempts FROM baton.queue WHERE name = 'default';

-- Errors: nothing is stored.
SELECT queue_create('plain');
SELECT queue_create('Plain');
SELECT queue_alter('nowhere', max_attempts => 2);
SELECT queue_create('');
SELECT queue_create(repeat('q', 256));
SELECT queue_create(repeat('q', 255));
SELECT queue_create('bad', lease_ttl => '99 ms');
SELECT queue_create('bad', lease_ttl => '24 h 1 ms');
SELECT queue_create('bad', max_attempts => 0);
SELECT queue_create('bad', max_lost_leases => 0);
SELECT queue_create('bad', backoff_base => '-1 s');
SELECT queue_create('bad', backoff_max => '-1 s');
SELECT queue_create('bad', max_runtime => '0');
SELECT queue_create('bad', on_lost => 'retry');
SELECT queue_alter('plain', lease_ttl => '-1 s');
SELECT queue_alter('plain', max_attempts => -1);
SELECT queue_alter('plain', on_lost => '');
SELECT queue_alter('plain', max_runtime => '99 ms');
SELECT queue_create('bad', on_final_queue => 'nowhere');
SELECT queue_create('bad', on_final_states => '{failed}');
SELECT queue_alter('plain', on_final_states => '{failed}');
SELECT left(name, 10) AS name, lease_ttl, max_attempts, on_lost FROM baton.queue ORDER BY name COLLATE "C";

-- Each view has a row per queue, "default" included.
SELECT queue_pause('Plain');
SELECT attname FROM pg_attribute WHERE attrelid = 'baton.queue_stats'::regclass AND attnum > 0 ORDER BY attnum DESC LIMIT 1;
SELECT left(queue, 10) AS queue, scheduled, blocked, ready, running, compensating, oldest_ready_age > '0' AS age, live_leases, paused FROM baton.queue_stats ORDER BY queue COLLATE "C";
SELECT queue, key, name, owner, lease_token > 0 AS token, leased_at <= clock_timestamp() AS leased, started_at, heartbeat_at, lease_expires_at > clock_timestamp() AS live, expired FROM baton.leases;

SELECT * FROM baton_check(true);
