//! Tests that need Rust inside the server: one session each, rolled back at its end.

#[pgrx::pg_schema]
mod tests {
    use crate::model::state::State;
    use crate::model::transition;
    use pgrx::prelude::*;

    fn text(sql: &str) -> String {
        Spi::get_one::<String>(sql).expect(sql).unwrap_or_default()
    }

    fn number(sql: &str) -> i64 {
        Spi::get_one::<i64>(sql).expect(sql).expect(sql)
    }

    fn state(task_id: i64) -> State {
        State::parse(&text(&format!("SELECT state FROM task_get({task_id})")))
            .expect("a known state")
    }

    fn create(more: &str) -> i64 {
        number(&format!("SELECT task_id FROM task_create('default'{more})"))
    }

    fn acquire(task_id: i64) -> i64 {
        number(&format!(
            "SELECT lease_token FROM task_acquire_lease_by_id({task_id}, 'w', '100 ms')"
        ))
    }

    #[pg_test]
    fn state_names_in_sql_are_those_of_the_model() {
        for state in State::ALL {
            let name = text(&format!(
                "SELECT baton._state_name({}::smallint)",
                state.code()
            ));
            assert_eq!(name, state.name());
        }
        assert_eq!(text("SELECT baton._state_name(5::smallint)"), "");
    }

    /// Whatever a function does to a task is a move of the model.
    #[pg_test]
    fn functions_make_legal_moves_only() {
        let moves = transition::moves();
        let legal = |from: State, to: State| {
            from == to || moves.iter().any(|(a, _, b)| (*a, *b) == (from, to))
        };
        let verbs = [
            "SELECT count(*) FROM task_acquire_lease('default', 'w', '100 ms')",
            "SELECT count(*) FROM task_acquire_lease_by_id($id, 'w', '100 ms')",
            "SELECT count(*) FROM task_start($id, $token)",
            "SELECT count(*) FROM task_heartbeat($id, $token)",
            "SELECT count(*) FROM task_append_event($id, 'x')",
            "SELECT count(*) FROM task_finalize($id, $token, 'completed')",
            "SELECT count(*) FROM task_finalize($id, $token, 'quarantined')",
            "SELECT count(*) FROM task_fail_attempt($id, $token)",
            "SELECT count(*) FROM task_release($id, $token)",
            "SELECT count(*) FROM task_release($id, $token, '1 h')",
            "SELECT count(*) FROM task_cancel($id)",
            "SELECT count(*) FROM task_cancel($id, force => true)",
            "SELECT count(*) FROM task_reap()",
        ];
        let births = [
            "",
            ", run_at => clock_timestamp() + interval '1 h'",
            ", max_attempts => 1",
        ];
        for birth in births {
            for lives in 0..4 {
                for verb in verbs {
                    let id = create(birth);
                    let token = if lives > 0 && birth != births[1] {
                        acquire(id)
                    } else {
                        0
                    };
                    match lives {
                        2 => drop(text(&format!("SELECT outcome FROM task_cancel({id})"))),
                        3 => Spi::run("SELECT pg_sleep(0.11)").expect("sleep"),
                        _ => {}
                    }
                    let before = state(id);
                    let call = verb
                        .replace("$id", &id.to_string())
                        .replace("$token", &token.to_string());
                    number(&call);
                    let after = state(id);
                    // A lost lease may be requeued and leased again in one call.
                    let twice = State::ALL
                        .iter()
                        .any(|via| legal(before, *via) && legal(*via, after));
                    assert!(
                        legal(before, after) || (!before.is_terminal() && twice),
                        "{before:?} → {after:?} by {call}"
                    );
                    assert!(
                        !before.is_terminal() || before == after,
                        "{call} moved a finished task"
                    );
                    Spi::run(&format!("SELECT task_cancel({id}, force => true)")).expect("cancel");
                }
            }
        }
        assert_eq!(number("SELECT count(*) FROM baton_check(true)"), 0);
    }

    /// The CHECK refuses what the functions never write.
    #[pg_test]
    fn state_and_lease_agree_below_the_functions() {
        let id = create("");
        Spi::run("SET LOCAL session_replication_role = replica").expect("set");
        for wrong in [
            "state = 3",
            "owner = 'w'",
            "lease_token = 1",
            "lease_expires_at = now()",
        ] {
            let sql = format!("UPDATE baton.task_live SET {wrong} WHERE task_id = {id}");
            let refused = PgTryBuilder::new(|| Spi::run(&sql).is_err())
                .catch_when(PgSqlErrorCode::ERRCODE_CHECK_VIOLATION, |_| true)
                .execute();
            assert!(refused, "{wrong} was accepted");
        }
    }

    /// Facts 7 and 18: raised from off, never lowered, and for the whole transaction.
    #[pg_test]
    fn an_acquire_and_an_end_are_durable() {
        let level = || text("SELECT current_setting('synchronous_commit')");
        let id = create("");
        Spi::run("SET LOCAL synchronous_commit = off").expect("set");
        number(&format!("SELECT count(*) FROM task_heartbeat({id}, 1)"));
        assert_eq!(level(), "off");
        let token = acquire(id);
        assert_eq!(level(), "on");
        for kept in ["local", "remote_apply"] {
            Spi::run(&format!("SET LOCAL synchronous_commit = {kept}")).expect("set");
            number(&format!(
                "SELECT count(*) FROM task_finalize({id}, {token}, 'completed')"
            ));
            assert_eq!(level(), kept);
        }
        Spi::run("SET LOCAL synchronous_commit = off").expect("set");
        Spi::run("SET LOCAL pg_baton.durable_finalize = off").expect("set");
        acquire(create(""));
        assert_eq!(level(), "off");
    }

    fn buffers(sql: &str) -> u64 {
        let explain =
            format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON) {sql}");
        let plan = Spi::get_one::<pgrx::datum::Json>(&explain)
            .expect(sql)
            .expect(sql)
            .0;
        let blocks = |name: &str| plan[0]["Plan"][name].as_u64().expect("a number of blocks");
        blocks("Shared Hit Blocks") + blocks("Shared Read Blocks")
    }

    /// The plans are pinned, whatever the caller sets, and whatever makes them be planned anew. Buffers are
    /// exact: an acquire that reads the whole line touches hundreds.
    #[pg_test]
    fn the_callers_settings_do_not_change_the_plans() {
        number(
            "SELECT count(*) FROM task_create_many('default', array_fill('1'::jsonb, ARRAY[10000]))",
        );
        Spi::run("ANALYZE baton.task, baton.task_live").expect("analyze");
        let hostile = [
            "SET LOCAL enable_indexscan = off",
            "SET LOCAL enable_indexonlyscan = off",
            "SET LOCAL enable_nestloop = off",
            "SET LOCAL random_page_cost = 1e9",
            "CREATE TEMP TABLE first (i int)",
            "SET LOCAL plan_cache_mode = force_custom_plan",
            "ANALYZE baton.task_live",
            "SET LOCAL plan_cache_mode = force_generic_plan",
        ];
        for change in hostile {
            Spi::run(change).expect(change);
            buffers("SELECT * FROM task_acquire_lease('default', 'w', '1 h')"); // plans, which reads the catalogs
            let acquire = buffers("SELECT * FROM task_acquire_lease('default', 'w', '1 h')");
            assert!(
                acquire < 100,
                "an acquire touches {acquire} buffers after {change}"
            );
            let id = number("SELECT max(task_id) FROM baton.leases");
            let token = number(&format!(
                "SELECT lease_token FROM baton.leases WHERE task_id = {id}"
            ));
            for verb in [
                "task_heartbeat($, '2 h')",
                "task_append_event($1, 'x', NULL, $2)",
                "task_finalize($, 'completed')",
            ] {
                let call = verb
                    .replace("$1", &id.to_string())
                    .replace("$2", &token.to_string());
                let call = format!(
                    "SELECT * FROM {}",
                    call.replace('$', &format!("{id}, {token}"))
                );
                let touched = buffers(&call);
                assert!(
                    touched < 700,
                    "{call} touches {touched} buffers after {change}"
                );
            }
        }
    }

    /// A function leaves the caller's role and settings as they were.
    #[pg_test]
    fn the_caller_gets_its_role_and_settings_back() {
        Spi::run("SET LOCAL search_path = pg_temp, public").expect("set");
        let before = text(
            "SELECT current_user || current_setting('search_path') || current_setting('enable_seqscan')",
        );
        acquire(create(""));
        let after = text(
            "SELECT current_user || current_setting('search_path') || current_setting('enable_seqscan')",
        );
        assert_eq!(before, after);
    }

    /// Memory stays flat: nothing is left behind by a call.
    #[pg_test]
    fn calls_leave_no_memory_behind() {
        let used = || {
            number(
                "SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts WHERE name <> 'SPI Proc'",
            )
        };
        let id = create("");
        let token = acquire(id);
        let calls = |n: i32| {
            let sql = format!(
                "DO $$ BEGIN FOR i IN 1..{n} LOOP
                    PERFORM task_heartbeat({id}, {token}); PERFORM task_get({id}); PERFORM task_acquire_lease('default', 'w');
                    PERFORM task_finalize({id}, 0, 'completed', '{{\"k\": 1}}');
                 END LOOP; END $$"
            );
            Spi::run(&sql).expect("calls");
        };
        calls(5_000);
        let before = used();
        calls(5_000);
        let grown = used() - before;
        assert!(grown < 256 * 1024, "{grown} bytes after 20,000 calls");
    }
}
