-- The invariants of docs/invariants.md that rows can show, each counted again. $1: finished tasks and their tapes too.
-- Takes no lock.
WITH open AS MATERIALIZED (
    SELECT run_id FROM baton.run WHERE state < 10 AND workflow_id IS NOT NULL
), broken (invariant, object, object_id, detail) AS (
    -- L3: a task is live or done, not both, and is what was asked.
    SELECT 'L3', 'task', l.task_id, 'live and done at once' FROM baton.task_live l JOIN baton.task_done d USING (task_id)
    UNION ALL
    SELECT 'L3', 'task', l.task_id, 'live without what was asked' FROM baton.task_live l
    WHERE NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = l.task_id AND t.queue_id = l.queue_id AND t.priority = l.priority AND t.step_id IS NOT DISTINCT FROM l.step_id
                      AND t.slot_keys IS NOT DISTINCT FROM l.slot_keys)
    UNION ALL
    SELECT 'L3', 'task', l.task_id, 'state and lease disagree' FROM baton.task_live l
    WHERE (l.state = 3) <> (l.lease_token IS NOT NULL AND l.owner IS NOT NULL AND l.lease_expires_at IS NOT NULL AND l.check_at IS NOT NULL AND l.leased_seq IS NOT NULL)
    UNION ALL
    SELECT 'L3', 'task', l.task_id, 'state ' || l.state || ' is none of a live task' FROM baton.task_live l WHERE l.state NOT IN (0, 1, 2, 3, 4)
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'scheduled for no time' FROM baton.task_live l WHERE l.state = 0 AND l.run_at IS NULL
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'blocked by nothing' FROM baton.task_live l
    WHERE l.state = 1 AND l.waits_for IS NULL
      AND NOT EXISTS (SELECT FROM baton.step s JOIN baton.run r USING (run_id) WHERE s.step_id = l.step_id AND r.state = 1)
      AND NOT EXISTS (SELECT FROM baton.step s JOIN baton.run r USING (run_id) JOIN baton.step o USING (run_id) JOIN baton.due u ON u.step_id = o.step_id
                      WHERE s.step_id = l.step_id AND r.state IN (2, 4))
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'waits for a slot that it does not need' FROM baton.task_live l
    WHERE l.waits_for IS NOT NULL AND (l.state <> 1 OR abs(l.waits_for) <> ALL (coalesce(l.slot_keys, '{}')))
    UNION ALL
    SELECT 'E1', 'tape', e.tape_id, 'a tape of nothing' FROM baton.event e
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = e.tape_id) AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = e.tape_id)
    GROUP BY e.tape_id
    UNION ALL
    SELECT 'L3', 'task', t.task_id, 'neither live nor done' FROM baton.task t
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.task_id = t.task_id) AND NOT EXISTS (SELECT FROM baton.task_done d WHERE d.task_id = t.task_id)
    UNION ALL
    SELECT 'L3', 'task', d.task_id, 'done without what was asked' FROM baton.task_done d
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = d.task_id AND t.queue_id = d.queue_id)
    -- F1: an end that is to be told is told, and nothing is told that is not.
    UNION ALL
    SELECT 'F1', 'task', d.task_id, 'task ' || d.on_final_task_id || ', which tells of its end, is not there'
    FROM baton.task_done d
    WHERE $1 AND d.on_final_task_id IS NOT NULL AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = d.on_final_task_id)
    UNION ALL
    SELECT 'F1', 'task', l.task_id, 'tells of the end of task ' || l.on_final_of || ', which has not ended'
    FROM baton.task_live l
    WHERE l.on_final_of IS NOT NULL AND EXISTS (SELECT FROM baton.task_live s WHERE s.task_id = l.on_final_of)
    -- V1: no task waits in a queue that was dropped.
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'its queue "' || q.name || '" was dropped'
    FROM baton.task_live l JOIN baton.queue q USING (queue_id) WHERE q.dropped_at IS NOT NULL
    -- L3: nothing is left of what was purged.
    UNION ALL
    SELECT DISTINCT 'L3', 'task', a.task_id, 'annotated, and not there' FROM baton.annotation a
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = a.task_id)
    UNION ALL
    SELECT 'L3', 'task', r.task_id, 'redriven, and not there' FROM baton.redrive r
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = r.task_id)
    UNION ALL
    SELECT DISTINCT 'L3', 'scope', d.scope_id, 'has dispatched, and is not there' FROM baton.dispatch d
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = d.scope_id) AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = d.scope_id)
    UNION ALL
    SELECT 'L3', 'step', s.step_id, 'of run ' || s.run_id || ', which is not there' FROM baton.step s
    WHERE ($1 OR s.state < 10) AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = s.run_id)
    UNION ALL
    SELECT 'L3', 'run', r.run_id, 'its definition is not there' FROM baton.run r
    WHERE ($1 OR r.state < 10) AND r.workflow_id IS NOT NULL AND NOT EXISTS (SELECT FROM baton.workflow w WHERE w.workflow_id = r.workflow_id)
    UNION ALL
    SELECT 'L3', 'task', t.task_id, 'of run ' || t.run_id || ', which is not there' FROM baton.task t
    WHERE $1 AND t.run_id IS NOT NULL AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = t.run_id)
    -- A1, A2: no token is held twice, and none is beyond the sequence.
    UNION ALL
    SELECT 'A1', 'task', min(l.task_id), 'lease token ' || l.lease_token || ' is held by ' || count(*) || ' tasks' FROM baton.task_live l
    WHERE l.lease_token IS NOT NULL GROUP BY l.lease_token HAVING count(*) > 1
    UNION ALL
    SELECT 'A2', 'task', l.task_id, 'lease token ' || l.lease_token || ' was never drawn' FROM baton.task_live l
    WHERE l.lease_token > (SELECT last_value FROM baton.token_seq)
    UNION ALL
    SELECT 'A2', 'task', l.task_id, 'lease token ' || l.lease_token || ' is not greater than an earlier one' FROM baton.task_live l
    WHERE EXISTS (SELECT FROM baton.event e WHERE e.tape_id = l.task_id AND e.kind = 'leased' AND e.lease_token >= l.lease_token)
    -- V1: an expired lease is found by who looks for it; a line's entry is on the line.
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'expires before anybody looks' FROM baton.task_live l
    WHERE l.state = 3 AND l.check_at > l.lease_expires_at
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'its priority is no lane of its queue' FROM baton.task_live l
    WHERE NOT EXISTS (SELECT FROM baton.queue q WHERE q.queue_id = l.queue_id AND q.lanes & (1 << (l.priority + 9)) <> 0)
    UNION ALL
    SELECT 'V1', 'task', l.task_id, 'place in line was never drawn' FROM baton.task_live l
    WHERE l.ready_seq > (SELECT last_value FROM baton.ready_seq)
    -- E1, E2: seq is dense from 1; `final` is last (by construction), and nothing stands at or behind it.
    UNION ALL
    SELECT 'E1', 'task', l.task_id, 'tape has ' || c.events || ' events up to ' || coalesce(c.highest, 0) || ', the task counts ' || l.last_seq
    FROM baton.task_live l
    CROSS JOIN LATERAL (
        SELECT count(*) + (l.leased_seq IS NOT NULL)::int AS events, greatest(max(e.seq), l.leased_seq) AS highest,
               count(*) FILTER (WHERE e.seq = l.leased_seq) AS twice
        FROM baton.event e WHERE e.tape_id = l.task_id) c
    WHERE c.events <> l.last_seq OR coalesce(c.highest, 0) <> l.last_seq OR c.twice > 0
    UNION ALL
    SELECT 'E1', 'task', d.task_id, 'tape has ' || c.events || ' events up to ' || coalesce(c.highest, 0) || ', final is ' || d.last_seq
    FROM baton.task_done d
    CROSS JOIN LATERAL (
        SELECT count(*) + (d.leased_seq IS NOT NULL)::int AS events, greatest(max(e.seq), d.leased_seq) AS highest,
               count(*) FILTER (WHERE e.seq = d.leased_seq) AS twice
        FROM baton.event e WHERE e.tape_id = d.task_id) c
    WHERE $1 AND (c.events <> d.last_seq - 1 OR coalesce(c.highest, 0) <> d.last_seq - 1 OR c.twice > 0)
    UNION ALL
    SELECT 'E2', 'task', e.tape_id, 'a final event of its own' FROM baton.event e
    WHERE $1 AND e.kind = 'final' AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = e.tape_id)
    UNION ALL
    SELECT 'E1', 'run', r.run_id, 'tape has ' || c.events || ' events up to ' || coalesce(c.highest, 0) || ', the run counts ' || r.last_seq
    FROM baton.run r
    CROSS JOIN LATERAL (SELECT count(*) AS events, max(e.seq) AS highest FROM baton.event e WHERE e.tape_id = r.run_id) c
    WHERE ($1 OR r.state < 10) AND (c.events <> r.last_seq OR coalesce(c.highest, 0) <> r.last_seq)
    UNION ALL
    SELECT 'E2', 'run', r.run_id, 'ends ' || c.finals || ' times, last with ' || coalesce(c.last || coalesce(' ' || c.state, ''), 'nothing')
    FROM baton.run r
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE e.kind = 'final') AS finals, (array_agg(e.kind ORDER BY e.seq DESC))[1] AS last,
               (array_agg(e.body ->> 'state' ORDER BY e.seq DESC))[1] AS state
        FROM baton.event e WHERE e.tape_id = r.run_id) c
    WHERE ($1 OR r.state < 10) AND (c.finals <> (r.state >= 10)::int OR r.state >= 10 AND (c.last, c.state) IS DISTINCT FROM ('final', baton._state_name(r.state)))
    -- D4: a step's counters equal a recount.
    UNION ALL
    SELECT 'D4', 'step', s.step_id, 'counts ' || r.counted || ', a recount gives ' || coalesce(r.recounted, '(0,0,0,0,0,0,0)')
    FROM baton.step s
    CROSS JOIN LATERAL (
        SELECT (SELECT ROW(coalesce(sum(c.remaining), 0), coalesce(sum(c.completed), 0), coalesce(sum(c.failed), 0), coalesce(sum(c.cancelled - c.forgotten), 0),
                           coalesce(sum(c.quarantined), 0), coalesce(sum(c.compensated), 0), coalesce(sum(c.compensated_failed), 0))::text FROM baton.step_count c WHERE c.step_id = s.step_id) AS counted,
               (SELECT ROW(count(*) FILTER (WHERE d.state IS NULL) + b.items, count(*) FILTER (WHERE d.state = 10),
                           count(*) FILTER (WHERE d.state IN (11, 14) OR d.state = 13 AND g.state <> 12), count(*) FILTER (WHERE d.state = 12 OR d.state = 13 AND g.state = 12),
                           count(*) FILTER (WHERE d.state = 14), count(*) FILTER (WHERE d.state = 13), count(*) FILTER (WHERE d.state = 13 AND g.state <> 12))::text
                FROM (SELECT coalesce(sum(cardinality(b.payloads)), 0) AS items FROM baton.step_batch b WHERE b.step_id = s.step_id) b
                LEFT JOIN baton.task t ON t.step_id = s.step_id LEFT JOIN baton.task_done d USING (task_id) LEFT JOIN baton.saga g USING (task_id)
                WHERE t.task_id IS NOT NULL OR b.items > 0 GROUP BY b.items) AS recounted) r
    WHERE ($1 OR s.state < 10 OR s.run_id IN (SELECT run_id FROM open)) AND r.counted <> coalesce(r.recounted, '(0,0,0,0,0,0,0)')
    UNION ALL
    SELECT 'D4', 'step', s.step_id, 'open_shards is ' || s.open_shards || ', a recount gives ' || c.open
    FROM baton.step s
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.remaining > 0) AS open FROM baton.step_count c WHERE c.step_id = s.step_id) c
    WHERE ($1 OR s.state < 10 OR s.run_id IN (SELECT run_id FROM open)) AND c.open <> s.open_shards
    UNION ALL
    SELECT 'D4', 'step', s.step_id, 'has ' || c.tasks || ' of ' || s.total || ' tasks'
    FROM baton.step s
    CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM baton.task t WHERE t.step_id = s.step_id)
             + (SELECT coalesce(sum(cardinality(b.payloads)), 0) FROM baton.step_batch b WHERE b.step_id = s.step_id)
             + (SELECT coalesce(sum(c.forgotten), 0) FROM baton.step_count c WHERE c.step_id = s.step_id) AS tasks) c
    WHERE ($1 OR s.state < 10 OR s.run_id IN (SELECT run_id FROM open)) AND c.tasks <> s.total
    UNION ALL
    SELECT 'D4', 'step', s.step_id, 'state ' || s.state || ', and ' || s.open_shards || ' shards are open'
    FROM baton.step s
    WHERE ($1 OR s.state < 10 OR s.run_id IN (SELECT run_id FROM open)) AND (s.state = 1) <> (s.open_shards > 0)
    UNION ALL
    SELECT 'D4', 'step', s.step_id, 'state ' || s.state || ', its items say ' || c.state
    FROM baton.step s
    CROSS JOIN LATERAL (
        SELECT CASE WHEN sum(c.failed) > 0 OR s.error IS NOT NULL THEN 11 WHEN sum(c.cancelled) > 0 THEN 12 ELSE 10 END AS state
        FROM baton.step_count c WHERE c.step_id = s.step_id) c
    WHERE ($1 OR s.run_id IN (SELECT run_id FROM open)) AND s.state >= 10 AND s.started_at IS NOT NULL AND s.total > 0 AND c.state <> s.state
    -- D2: a satisfied join is dispatched, or due: of a successor that a group names, …
    UNION ALL
    SELECT 'D2', 'step', s.step_id, 'successor "' || s.successor || '" is not dispatched'
    FROM baton.step s JOIN baton.run r USING (run_id)
    WHERE s.state >= 10 AND s.successor IS NOT NULL AND r.state = 0
      AND NOT EXISTS (SELECT FROM baton.dispatch d WHERE d.scope_id = s.run_id AND d.successor = s.successor)
      AND NOT EXISTS (SELECT FROM baton.due u JOIN baton.queue q USING (queue_id) WHERE u.step_id = s.step_id AND q.dropped_at IS NULL)
    -- … of a step that a definition says, and of a run whose last step has ended.
    UNION ALL
    SELECT 'D2', 'step', s.step_id, 'waits, and all that it needs has ended'
    FROM baton.step s JOIN baton.run r USING (run_id)
    WHERE s.state = 0 AND r.state IN (0, 4)
      AND NOT EXISTS (SELECT FROM baton.step n WHERE n.run_id = s.run_id AND n.name = ANY (s.needs) AND n.state < 10)
      AND NOT EXISTS (SELECT FROM baton.step o JOIN baton.due u USING (step_id) WHERE o.run_id = s.run_id)
    UNION ALL
    SELECT 'D2', 'run', r.run_id, 'nothing is left to do, and it has not ended'
    FROM baton.run r
    WHERE (r.state IN (0, 4) AND r.workflow_id IS NOT NULL OR r.state = 2)
      AND NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = r.run_id AND s.state < 10)
      AND NOT EXISTS (SELECT FROM baton.dispatch d JOIN baton.task_live l USING (task_id) WHERE d.scope_id = r.run_id)
      AND NOT EXISTS (SELECT FROM baton.step o JOIN baton.due u USING (step_id) WHERE o.run_id = r.run_id)
    -- C1, C2: what has ended or is being cancelled has nothing before it.
    UNION ALL
    SELECT 'C1', 'run', r.run_id, 'has ended, and step "' || s.name || '" has not'
    FROM baton.run r JOIN baton.step s USING (run_id) WHERE r.state >= 10 AND s.state < 10
    UNION ALL
    SELECT 'C2', 'run', r.run_id, 'is being cancelled, and step "' || s.name || '" waits'
    FROM baton.run r JOIN baton.step s USING (run_id) WHERE r.state = 2 AND s.state = 0
    UNION ALL
    SELECT 'C2', 'task', l.task_id, 'has not started, and its run is being cancelled'
    FROM baton.run r JOIN baton.step s USING (run_id) JOIN baton.task_live l USING (step_id)
    WHERE r.state = 2 AND l.state IN (1, 2) AND l.started_at IS NULL AND l.cancel_requested_at IS NULL AND l.attempt = 0 AND l.lost_leases = 0
      AND NOT EXISTS (SELECT FROM baton.step o JOIN baton.due u USING (step_id) WHERE o.run_id = r.run_id)
    UNION ALL
    SELECT 'D4', 'step', b.step_id, 'has items that will never be tasks'
    FROM baton.step_batch b LEFT JOIN baton.step s USING (step_id) WHERE s.state IS DISTINCT FROM 1
    -- D1: what was dispatched exists. (In a run, which is purged as a whole; a task alone may outlive its successor.)
    UNION ALL
    SELECT 'D1', 'task', d.task_id, 'successor "' || d.successor || '" was dispatched and is not there'
    FROM baton.dispatch d JOIN baton.run r ON r.run_id = d.scope_id
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = d.task_id)
    -- D3: never early.
    UNION ALL
    SELECT 'D3', 'step', s.step_id, 'successor "' || s.successor || '" is dispatched and items remain'
    FROM baton.step s JOIN baton.dispatch d ON d.scope_id = s.run_id AND d.successor = s.successor
    JOIN baton.task t ON t.task_id = d.task_id AND t.name = s.successor
    WHERE s.state < 10 AND s.successor IS NOT NULL
    UNION ALL
    SELECT 'D3', 'step', s.step_id, 'started, and step "' || n.name || '", which it needs, has not ended'
    FROM baton.step s JOIN baton.step n ON n.run_id = s.run_id AND n.name = ANY (s.needs)
    WHERE ($1 OR s.state < 10) AND s.started_at IS NOT NULL AND n.state < 10
    -- S1, S2: a slot is held by exactly the tasks that are entitled to it. (Each has one of each key: index slot_holder.)
    UNION ALL
    SELECT 'S1', 'slot_key', k.slot_key, h.slots || ' slots, ' || k.slots || ' counted, ' || h.holders || ' held, capacity ' || k.capacity
    FROM baton.slot_key k
    CROSS JOIN LATERAL (SELECT count(*) AS slots, count(s.holder) AS holders FROM baton.slot s WHERE s.slot_key = k.slot_key) h
    WHERE h.slots <> k.slots OR k.slots < k.capacity
    UNION ALL
    SELECT 'S1', 'slot_key', s.slot_key, 'there is no such key' FROM baton.slot s
    WHERE NOT EXISTS (SELECT FROM baton.slot_key k WHERE k.slot_key = s.slot_key)
    UNION ALL
    SELECT 'S2', 'slot_key', s.slot_key, 'a slot is held by task ' || s.holder || ', which is not entitled to it'
    FROM baton.slot s
    WHERE s.holder IS NOT NULL
      AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.task_id = s.holder AND s.slot_key = ANY (l.slot_keys)
                      AND (l.state IN (2, 3, 4)
                           -- taken back from an acquire, and not ended yet
                           OR l.state = 1 AND l.waits_for IS NULL AND EXISTS (SELECT FROM baton.step p JOIN baton.run r USING (run_id) WHERE p.step_id = l.step_id AND r.state IN (2, 4))))
    UNION ALL
    -- What is compensating keeps what it had: all, or (when it was called off before it was ready again) none.
    SELECT 'S2', 'task', l.task_id, baton._state_name(l.state) || ' with ' || h.held || ' of ' || cardinality(l.slot_keys) || ' slots'
    FROM baton.task_live l
    CROSS JOIN LATERAL (SELECT count(*) AS held FROM baton.slot s WHERE s.holder = l.task_id AND s.slot_key = ANY (l.slot_keys)) h
    WHERE l.slot_keys IS NOT NULL AND l.state IN (2, 3, 4) AND h.held < cardinality(l.slot_keys) AND NOT (l.state = 4 AND h.held = 0)
    UNION ALL
    SELECT 'S2', 'task', l.task_id, 'waits for key ' || abs(l.waits_for) || ', which does not exist, or knows nothing of its queue or its priority' FROM baton.task_live l
    WHERE l.waits_for IS NOT NULL
      AND NOT EXISTS (SELECT FROM baton.slot_key k WHERE k.slot_key = abs(l.waits_for) AND l.queue_id = ANY (k.queue_ids) AND k.lanes & (1 << (l.priority + 9)) <> 0)
    UNION ALL
    SELECT 'V1', 'step', s.step_id, 'a slot is free, nobody waits for it, and there are items that are no tasks'
    FROM baton.step s JOIN baton.run r USING (run_id)
    CROSS JOIN LATERAL (SELECT CASE WHEN s.max_parallel IS NOT NULL THEN s.step_id ELSE r.slot_key END AS slot_key) k
    WHERE s.state = 1 AND (r.state = 0 OR r.state = 4 AND s.survives_failure) AND k.slot_key IS NOT NULL
      AND EXISTS (SELECT FROM baton.step_batch b WHERE b.step_id = s.step_id)
      AND EXISTS (SELECT FROM baton.slot f WHERE f.slot_key = k.slot_key AND f.holder IS NULL)
      AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.waits_for IN (k.slot_key, -k.slot_key))
      AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.step_id = s.step_id AND l.waits_for IS NOT NULL)
      AND NOT EXISTS (SELECT FROM baton.due u WHERE u.step_id = s.step_id OR u.slot_key = k.slot_key)
    -- S4: nobody waits for a slot that is free, unless the hand-over is due. (While a key drains none of its slots is given out.)
    UNION ALL
    SELECT 'S4', 'slot_key', s.slot_key, 'a slot is free and tasks wait for it'
    FROM baton.slot s JOIN baton.slot_key k USING (slot_key)
    WHERE s.holder IS NULL AND k.slots <= k.capacity
      AND EXISTS (SELECT FROM baton.task_live l WHERE l.waits_for IN (s.slot_key, -s.slot_key))
      AND NOT EXISTS (SELECT FROM baton.due u WHERE u.slot_key = s.slot_key)
    GROUP BY s.slot_key
    -- G1: what is being undone is undone by one task at a time, in order, and only what was done.
    UNION ALL
    SELECT 'G1', 'task', l.task_id, 'is compensating, and ' || c.under_way || ' compensations are under way'
    FROM baton.task_live l
    CROSS JOIN LATERAL (SELECT count(*) AS under_way FROM baton.task_live u JOIN baton.compensation c ON c.compensation_task_id = u.task_id
                        WHERE c.task_id = l.task_id AND c.state IS NULL AND u.compensates = l.task_id) c
    WHERE l.state = 4 AND c.under_way <> 1 AND NOT (c.under_way = 0 AND EXISTS (SELECT FROM baton.due u WHERE u.owner_id = l.task_id))
    UNION ALL
    SELECT 'G1', 'task', l.task_id, 'is compensating, and how it ended first is not known' FROM baton.task_live l
    WHERE l.state = 4 AND NOT EXISTS (SELECT FROM baton.saga g WHERE g.task_id = l.task_id)
    UNION ALL
    SELECT 'G1', 'task', l.task_id, l.registrations || ' compensations counted, ' || c.registered || ' registered'
    FROM baton.task_live l
    CROSS JOIN LATERAL (SELECT count(*) AS registered FROM baton.compensation c WHERE c.task_id = l.task_id) c
    WHERE l.registrations IS NOT NULL AND c.registered <> l.registrations
    UNION ALL
    SELECT 'G1', 'run', r.run_id, 'is compensating, and ' || c.under_way || ' compensations are under way'
    FROM baton.run r
    CROSS JOIN LATERAL (SELECT count(*) AS under_way FROM baton.compensation c JOIN baton.task_live u ON u.task_id = c.compensation_task_id
                        WHERE c.run_id = r.run_id AND c.state IS NULL AND u.compensates = r.run_id) c
    WHERE r.state = 3 AND c.under_way <> 1
      AND NOT EXISTS (SELECT FROM baton.step o JOIN baton.due u USING (step_id) WHERE o.run_id = r.run_id)
    UNION ALL
    SELECT 'G1', 'task', l.task_id, 'undoes the work of ' || l.compensates || ', which is not compensating'
    FROM baton.task_live l
    WHERE l.compensates IS NOT NULL
      AND NOT EXISTS (SELECT FROM baton.task_live o WHERE o.task_id = l.compensates AND o.state = 4)
      AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = l.compensates AND r.state = 3)
    UNION ALL
    SELECT 'G1', 'task', c.task_id, 'compensation ' || c.compensation_no || ' was run, and ' || n.compensation_no || ', which was registered after it, was not done'
    FROM baton.compensation c JOIN baton.compensation n ON n.task_id = c.task_id AND n.compensation_no > c.compensation_no
    WHERE ($1 OR c.state IS NULL) AND c.compensation_task_id IS NOT NULL AND n.state IS DISTINCT FROM 10
    UNION ALL
    SELECT 'G1', 'task', c.task_id, 'compensation ' || c.compensation_no || ' was not done, and the task ended compensated'
    FROM baton.compensation c JOIN baton.task_done d USING (task_id)
    WHERE $1 AND d.state = 13 AND c.state IS DISTINCT FROM 10
    UNION ALL
    SELECT 'G1', 'run', r.run_id, 'compensation ' || c.compensation_no || ' of task ' || c.task_id || ' was not done, and the run ended compensated'
    FROM baton.run r JOIN baton.compensation c USING (run_id) JOIN baton.task_done d USING (task_id)
    WHERE $1 AND r.state = 13 AND d.state = 10 AND c.state IS DISTINCT FROM 10
    UNION ALL
    SELECT 'G1', 'task', c.task_id, 'compensation ' || c.compensation_no || ' was run, and the task ' || baton._state_name(d.state)
    FROM baton.compensation c JOIN baton.task_done d USING (task_id)
    WHERE $1 AND c.compensation_task_id IS NOT NULL AND (d.state IN (11, 12) OR d.state = 10 AND NOT EXISTS (SELECT FROM baton.run r WHERE r.run_id = c.run_id AND r.state IN (3, 13, 14)))
    UNION ALL
    SELECT 'G1', 'task', c.task_id, 'ended ' || baton._state_name(d.state) || ', and compensation ' || c.compensation_no || ' is registered'
    FROM baton.compensation c JOIN baton.task_done d USING (task_id) WHERE $1 AND d.state IN (11, 12) AND c.compensation_task_id IS NULL
    UNION ALL
    SELECT 'G1', 'run', r.run_id, 'ended ' || baton._state_name(r.state) || ', and compensation ' || c.compensation_no || ' of task ' || c.task_id || ' is registered'
    FROM baton.run r JOIN baton.compensation c USING (run_id) JOIN baton.task_done d USING (task_id) WHERE $1 AND r.state IN (11, 12) AND d.state = 10
    UNION ALL
    SELECT 'G1', 'task', c.task_id, 'compensation ' || c.compensation_no || ' ended ' || coalesce(baton._state_name(c.state), 'not') || ', its task ' || coalesce(baton._state_name(d.state), 'has not')
    FROM baton.compensation c LEFT JOIN baton.task_done d ON d.task_id = c.compensation_task_id LEFT JOIN baton.task_live l ON l.task_id = c.compensation_task_id
    WHERE ($1 OR c.state IS NULL) AND c.compensation_task_id IS NOT NULL
      AND (d.task_id IS NOT NULL AND d.state IS DISTINCT FROM c.state OR l.task_id IS NOT NULL AND c.state IS NOT NULL OR l.task_id IS NULL AND c.state IS NULL)
    UNION ALL
    SELECT DISTINCT 'L3', 'task', c.task_id, 'its work may be undone, and it is not there' FROM baton.compensation c
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = c.task_id)
    UNION ALL
    SELECT 'L3', 'task', g.task_id, 'ended first as ' || baton._state_name(g.state) || ', and is not there' FROM baton.saga g
    WHERE $1 AND NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = g.task_id)
)
SELECT invariant, object, object_id, detail FROM broken ORDER BY invariant, object, object_id, detail
