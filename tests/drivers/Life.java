// The life of tasks by JDBC: see README.md beside it. PREPARED=on: every statement gets a name at its first use.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Types;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

public class Life {
    static final boolean PREPARED = System.getenv("PREPARED").equals("on");
    static final String QUEUE = System.getenv("QUEUE"), AFTER = QUEUE + ".after";
    static final String TEXT = "naïve ☃ \"quoted\" \\ 'single' %s $1 :name ?";
    static final Json PAYLOAD = new Json("{\"text\": " + quoted(TEXT) + ", \"list\": [1, null, true, 0.5], \"empty\": {}}");
    static final PGInterval LEASE = seconds(30);
    static Connection conn, other;

    /** The JDK has no JSON: it goes to the server and comes back as text. */
    record Json(String text) {}

    record Lease(long taskId, long token) {}

    static Connection connect() throws SQLException {
        // prepareThreshold=0: never by a name, which a pooler in transaction mode needs (5 if not given).
        return DriverManager.getConnection("jdbc:postgresql://%s:%s/%s?user=%s&prepareThreshold=%d".formatted(
            System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"), System.getenv("PGUSER"),
            PREPARED ? 1 : 0));
    }

    static PGInterval seconds(double seconds) {
        return new PGInterval(0, 0, 0, 0, 0, seconds);
    }

    /** setString says varchar, for which there is no function of that name: jsonb must be named. */
    static PGobject jsonb(Json json) throws SQLException {
        var value = new PGobject();
        value.setType("jsonb");
        value.setValue(json.text());
        return value;
    }

    static void bind(PreparedStatement statement, int at, Object value) throws SQLException {
        var connection = statement.getConnection();
        if (value == null) {
            statement.setNull(at, Types.NULL); // the function's argument says of what type
        } else if (value instanceof Json json) {
            statement.setObject(at, jsonb(json));
        } else if (value instanceof Json[] list) {
            var texts = Arrays.stream(list).map(json -> json == null ? null : json.text()).toArray();
            statement.setArray(at, connection.createArrayOf("jsonb", texts));
        } else if (value instanceof String[] list) {
            statement.setArray(at, connection.createArrayOf("text", list));
        } else if (value instanceof Long[] list) {
            statement.setArray(at, connection.createArrayOf("bigint", list));
        } else {
            statement.setObject(at, value); // String, Long, Integer, PGInterval, OffsetDateTime
        }
    }

    static Object read(ResultSet set, int at) throws SQLException {
        var value = switch (set.getMetaData().getColumnTypeName(at)) {
            case "jsonb" -> set.getString(at) == null ? null : new Json(set.getString(at));
            case "timestamptz" -> set.getObject(at, OffsetDateTime.class);
            case "_int8", "_text" -> List.of((Object[]) set.getArray(at).getArray());
            default -> set.getObject(at); // Long, Integer, Boolean, String, PGInterval
        };
        return value;
    }

    static List<List<Object>> rowsOn(Connection on, String sql, Object... values) throws SQLException {
        try (var statement = on.prepareStatement(sql)) {
            return execute(statement, values);
        }
    }

    static List<List<Object>> execute(PreparedStatement statement, Object... values) throws SQLException {
        for (int n = 0; n < values.length; n++) bind(statement, n + 1, values[n]);
        try (var set = statement.executeQuery()) {
            var rows = new ArrayList<List<Object>>();
            while (set.next()) {
                var row = new ArrayList<Object>();
                for (int n = 1; n <= set.getMetaData().getColumnCount(); n++) row.add(read(set, n));
                rows.add(row);
            }
            return rows;
        }
    }

    static List<List<Object>> rows(String sql, Object... values) throws SQLException {
        return rowsOn(conn, sql, values);
    }

    static List<Object> row(String sql, Object... values) throws SQLException {
        var rows = rows(sql, values);
        if (rows.size() != 1) throw new IllegalStateException(rows.size() + " rows from " + sql);
        return rows.get(0);
    }

    /** The SQLSTATE that this ends with. */
    static Object code(String sql, Object... values) {
        try {
            return rows(sql, values);
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static List<Lease> acquire(PGInterval ttl, int tasks, String queue) throws SQLException {
        return rows("SELECT task_id, lease_token FROM task_acquire_lease(?, 'one', ?, ?)", queue, ttl, tasks)
            .stream().map(row -> new Lease((long) row.get(0), (long) row.get(1))).toList();
    }

    static Lease acquire() throws SQLException {
        return acquire(LEASE, 1, QUEUE).get(0);
    }

    static final String FINALIZE = "SELECT outcome FROM task_finalize(?, ?, 'completed')";

    static Object finalizeOn(Connection on, Lease lease) throws SQLException {
        return rowsOn(on, FINALIZE, lease.taskId(), lease.token()).get(0).get(0);
    }

    static Object finalize(Lease lease) throws SQLException {
        return finalizeOn(conn, lease);
    }

    static List<Object> heartbeat(Lease lease) throws SQLException {
        return row("SELECT outcome, lease_expires_at IS NULL, cancel_requested FROM task_heartbeat(?, ?, ?)",
            lease.taskId(), lease.token(), seconds(60));
    }

    static Object many() throws Exception {
        var payloads = IntStream.rangeClosed(1, 100).mapToObj(n -> new Json("{\"n\": " + n + "}")).toArray(Json[]::new);
        var keys = IntStream.rangeClosed(1, 100).mapToObj(n -> "many-" + n).toArray(String[]::new);
        var created = rows("SELECT ordinal, outcome, task_id FROM task_create_many(?, ?, keys => ?)", QUEUE, payloads, keys);
        var ended = new ConcurrentLinkedQueue<List<Object>>();
        var until = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        var failed = new ConcurrentLinkedQueue<Exception>();
        var crew = IntStream.range(0, 4).mapToObj(n -> new Thread(() -> {
            try (var own = connect()) {
                while (ended.size() < 100 && System.nanoTime() < until) {
                    for (var task : rowsOn(own, "SELECT task_id, lease_token, payload FROM task_acquire_lease(?, ?, ?, 5)",
                            QUEUE, "crew-" + n, LEASE)) {
                        var told = finalizeOn(own, new Lease((long) task.get(0), (long) task.get(1)));
                        ended.add(List.of(task.get(0), ((Json) task.get(2)).text().replaceAll("\\D", ""), told));
                    }
                }
            } catch (Exception error) {
                failed.add(error);
            }
        })).toList();
        crew.forEach(Thread::start);
        for (var thread : crew) thread.join();
        for (var error : failed) throw error;
        Set<Object> once = ended.stream().filter(end -> end.get(2).equals("finalized")).map(end -> end.get(0))
            .collect(Collectors.toSet());
        return map("created", created.stream().filter(row -> row.get(1).equals("created")).count(),
            "last_ordinal", created.get(99).get(0),
            "calls", ended.size(),
            "finalized_once", once.size(),
            "same_tasks", once.equals(created.stream().map(row -> row.get(2)).collect(Collectors.toSet())),
            "sum", ended.stream().mapToInt(end -> Integer.parseInt((String) end.get(1))).sum());
    }

    static List<Object> create(Json payload) throws SQLException {
        return row("""
            SELECT outcome, task_id, state FROM task_create(?, ?, name => ?, key => ?, priority => ?,
              run_at => ?, max_attempts => ?, slot_keys => ?, metadata => ?)""",
            QUEUE, payload, null, TEXT, 9, null, 3, new String[] {"driver"}, new Json("{\"by\": \"driver\"}"));
    }

    static List<Object> append(Lease lease, String dedupKey) throws SQLException {
        return row("SELECT outcome, seq, at IS NULL, cancel_requested FROM task_append_event(?, ?, ?, ?, ?)",
            lease.taskId(), "progress", new Json("{\"done\": 0.5}"), lease.token(), dedupKey);
    }

    static List<Object> end(Lease lease) throws SQLException {
        return row("SELECT outcome, state, finalized_at, dispatched FROM task_finalize(?, ?, ?, ?, ?, ?)",
            lease.taskId(), lease.token(), "failed", PAYLOAD, new Json("{\"why\": " + quoted(TEXT) + "}"), "enough");
    }

    static long milliseconds(Object interval) {
        var it = (PGInterval) interval;
        return Math.round((it.getMinutes() * 60 + it.getSeconds()) * 1000);
    }

    static Object one() throws SQLException {
        List<Object> created = create(PAYLOAD), again = create(PAYLOAD), differs = create(new Json("{}"));
        var task = row("SELECT * FROM task_acquire_lease(?, ?, ?)", QUEUE, "one", LEASE);
        var lease = new Lease((long) task.get(0), (long) task.get(1));
        var ahead = Duration.between(OffsetDateTime.now(), (OffsetDateTime) task.get(2)).toMillis();
        var held = row("SELECT lease_expires_at - leased_at, lease_token::text, slot_keys FROM task_get(?)", lease.taskId());
        var beaten = heartbeat(lease);
        var longer = row("SELECT lease_expires_at - heartbeat_at FROM task_get(?)", lease.taskId()).get(0);
        var appended = List.of(append(lease, "half"), append(lease, "half"), append(lease, null));
        var together = row("SELECT outcome, first_seq, last_seq FROM task_append_events(?, ?, ?, ?)",
            lease.taskId(), new String[] {"page", "page"}, new Json[] {new Json("{\"page\": 1}"), null}, lease.token());
        List<Object> ended = end(lease), replayed = end(lease);
        var kept = row("SELECT result, error, reason, finalized_at FROM task_get(?)", lease.taskId());
        return map("created", List.of(created.get(0), created.get(2)),
            "again", List.of(again.get(0), again.get(1).equals(created.get(1))),
            "differs", differs.get(0),
            "acquired", task.subList(3, task.size()),
            "same_task", created.get(1).equals(lease.taskId()),
            "token", held.get(1).equals(Long.toString(lease.token())) && lease.token() > 1L << 52,
            "ahead", ahead > 25_000 && ahead <= 30_000,
            "lengths", List.of(milliseconds(held.get(0)), milliseconds(longer)),
            "slot_keys", held.get(2), "heartbeat", beaten, "appended", appended, "together", together,
            "tape", rows("SELECT seq, kind, body, lease_token = ? FROM task_events(?)", lease.token(), lease.taskId()),
            "finalized", List.of(ended.get(0), ended.get(1), ended.get(3)),
            "replayed", List.of(replayed.get(0),
                replayed.get(2).equals(ended.get(2)) && ended.get(2).equals(kept.get(3))),
            "kept", kept.subList(0, 3));
    }

    static Object scheduled() throws SQLException {
        var at = OffsetDateTime.of(2100, 1, 1, 12, 0, 0, 125_000_000, ZoneOffset.UTC);
        var task = row("SELECT * FROM task_create(?, run_at => ?)", QUEUE, at);
        var runAt = (OffsetDateTime) row("SELECT run_at FROM task_get(?)", task.get(1)).get(0);
        return List.of(task.get(2),
            runAt.atZoneSameInstant(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss'Z'")),
            runAt.getNano() / 1_000_000);
    }

    static Object batch() throws SQLException {
        rows("SELECT * FROM task_create_many(?, ?)", QUEUE, new Json[] {new Json("0"), new Json("1"), new Json("2")});
        var leases = acquire(LEASE, 3, QUEUE);
        var ids = leases.stream().map(Lease::taskId).toArray(Long[]::new);
        var tokens = leases.stream().map(Lease::token).toArray(Long[]::new);
        var beaten = rows("SELECT ordinal, outcome, task_id = ANY(?) FROM task_heartbeat_many(?, ?, ?)",
            ids, ids, new Long[] {tokens[0], tokens[1], 1L}, LEASE);
        var ended = rows("SELECT ordinal, outcome, state FROM task_finalize_many(?, ?, ?, ?)", ids, tokens,
            new String[] {"completed", "failed", "cancelled"}, new Json[] {new Json("{\"n\": 1}"), null, null});
        var results = new ArrayList<Object>();
        for (var id : ids) results.add(row("SELECT result FROM task_get(?)", id).get(0));
        return map("heartbeat", beaten, "finalized", ended, "results", results);
    }

    static final String CREATE_ITEMS = """
        SELECT * FROM task_create_items(?, ?, ?, max_parallel => ?, key => ?, successor => ?, successor_queue => ?)""";

    static List<Lease> group(String name, String successor) throws SQLException {
        var payloads = new Json[] {new Json("{\"item\": 0}"), new Json("{\"item\": 1}")};
        rows(CREATE_ITEMS, QUEUE, name, payloads, 2, name, successor, successor == null ? null : AFTER);
        return acquire(LEASE, 2, QUEUE);
    }

    static List<?> dispatched(Lease lease) throws SQLException {
        return (List<?>) row("SELECT dispatched FROM task_finalize(?, ?, 'completed')", lease.taskId(), lease.token()).get(0);
    }

    static List<Object> dispatch(Lease lease) throws SQLException {
        return row("SELECT * FROM task_dispatch_successor(?, 'mail', ?, ?, needs => ?)",
            lease.taskId(), AFTER, new Json("{}"), new String[] {"sort"});
    }

    static Object successors() throws SQLException {
        var packed = group("pack", "ship");
        List<?> first = dispatched(packed.get(0)), last = dispatched(packed.get(1));
        var ship = acquire(LEASE, 1, AFTER).get(0);
        finalize(ship);

        var sorted = group("sort", null);
        finalize(sorted.get(0));
        var waiting = dispatch(sorted.get(0));
        finalize(sorted.get(1));
        List<Object> told = dispatch(sorted.get(1)), again = dispatch(sorted.get(0));
        var mail = acquire(LEASE, 1, AFTER).get(0);
        finalize(mail);
        var all = new ArrayList<Object>(told.subList(2, told.size()));
        all.add(0, told.get(0));
        all.add(told.get(1).equals(mail.taskId()));
        return map("chord", List.of(first, last.size(), last.equals(List.of(ship.taskId()))),
            "more", code(CREATE_ITEMS, QUEUE, "pack", new Json[] {new Json("{}")}, 2, "pack", "ship", AFTER),
            "waiting", waiting, "dispatched", all,
            "again", List.of(again.get(0), again.get(1).equals(mail.taskId())));
    }

    static Object errors() throws SQLException {
        var message = "";
        try {
            rows("SELECT * FROM task_create(?)", (Object) null);
        } catch (PSQLException error) {
            message = error.getServerErrorMessage().getMessage();
        }
        return map("null", code("SELECT * FROM task_create(?)", (Object) null), "message", message,
            "state", code("SELECT * FROM task_finalize(?, ?, ?)", 1L, 1L, "done"),
            "queue", code("SELECT * FROM task_acquire_lease(?, ?)", "nowhere", "one"),
            "role", code("SELECT * FROM task_cancel(?)", 1L),
            "large", code("SELECT * FROM task_create(?, ?)", QUEUE, new Json(quoted("x".repeat(300_000)))),
            "lease", code("SELECT task_require_lease(?, ?)", 1L, 1L));
    }

    static Object lost() throws Exception {
        rows("SELECT * FROM task_create(?)", QUEUE);
        var late = acquire(seconds(0.1), 1, QUEUE).get(0);
        Thread.sleep(200);
        var lease = acquire();
        return map("same_task", late.taskId() == lease.taskId(), "greater", lease.token() > late.token(),
            "heartbeat", heartbeat(late), "finalize", finalize(late), "other", finalize(lease));
    }

    static Object cancelled() throws SQLException {
        rows("SELECT * FROM task_create(?)", QUEUE);
        var lease = acquire();
        other.setAutoCommit(false);
        var held = finalizeOn(other, lease);
        conn.setAutoCommit(false);
        try (var set = conn.createStatement()) {
            set.execute("SET LOCAL statement_timeout = '200 ms'");
        }
        var timeout = code(FINALIZE, lease.taskId(), lease.token());
        conn.rollback();
        conn.setAutoCommit(true);
        var stopped = false;
        try (var statement = conn.prepareStatement(FINALIZE)) {
            statement.setQueryTimeout(1); // the driver cancels it after 1 s
            execute(statement, lease.taskId(), lease.token());
        } catch (SQLException error) {
            stopped = error.getSQLState().equals("57014");
        }
        other.rollback();
        other.setAutoCommit(true);
        return map("held", held, "timeout", timeout, "stopped", stopped, "heartbeat", heartbeat(lease),
            "finalize", finalize(lease));
    }

    static Object rolledBack() throws SQLException {
        rows("SELECT * FROM task_create(?)", QUEUE);
        conn.setAutoCommit(false);
        var undone = acquire();
        var inside = finalize(undone);
        conn.rollback();
        conn.setAutoCommit(true);
        var after = heartbeat(undone);
        conn.setAutoCommit(false);
        var lease = acquire();
        Savepoint before = conn.setSavepoint();
        finalize(lease);
        var state = code("SELECT * FROM task_finalize(?, ?, 'done')", lease.taskId(), lease.token());
        conn.rollback(before);
        var attempt = row("SELECT attempt FROM task_get(?)", lease.taskId()).get(0);
        conn.commit();
        conn.setAutoCommit(true);
        return map("inside", inside, "after", after, "greater", lease.token() > undone.token(), "savepoint", state,
            "attempt", attempt, "finalize", finalize(lease));
    }

    static Map<String, Object> map(Object... pairs) {
        var map = new LinkedHashMap<String, Object>();
        for (int n = 0; n < pairs.length; n += 2) map.put((String) pairs[n], pairs[n + 1]);
        return map;
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    static String json(Object value) {
        if (value instanceof Json json) return json.text();
        if (value instanceof String text) return quoted(text);
        if (value instanceof List<?> list) return list.stream().map(Life::json).collect(Collectors.joining(", ", "[", "]"));
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(entry -> json(entry.getKey()) + ": " + json(entry.getValue()))
                .collect(Collectors.joining(", ", "{", "}"));
        }
        return String.valueOf(value); // a number, a boolean or null
    }

    public static void main(String[] args) throws Exception {
        conn = connect();
        other = connect();
        // `many` first, so that a pooler has opened all its connections
        var life = map("many", many(), "one", one(), "scheduled", scheduled(), "batch", batch(), "successors", successors(),
            "errors", errors(), "lost", lost(), "cancelled", cancelled(), "rolled_back", rolledBack());
        var backends = new HashSet<Object>();
        for (int n = 0; n < 12; n++) backends.add(row("SELECT pg_backend_pid()").get(0));
        var named = row("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql").get(0);
        var driver = "JDBC " + conn.getMetaData().getDriverVersion();
        other.close();
        conn.close();
        System.out.write((json(map("driver", driver, "backends", backends.size(), "named", named, "life", life)) + "\n")
            .getBytes("UTF-8"));
        System.out.flush();
    }
}
