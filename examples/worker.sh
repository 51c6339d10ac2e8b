#!/usr/bin/env bash
# A pg_baton worker in bash and psql: leases tasks that name a file, hashes it, counts its lines and words.
#
#     PGHOST=/var/run/postgresql PGUSER=app QUEUE=hash OWNER=bash-1 bash worker.sh
#
# Settings, from the environment: QUEUE, OWNER, TTL (whole seconds a lease lasts), HOLD (seconds to sit
# on the first task, to see what happens to a lease meanwhile). SIGTERM ends it after the task in hand.
set -euo pipefail
queue=${QUEUE:-default} owner=${OWNER:-$(hostname)-$$} ttl=${TTL:-10} hold=${HOLD:-0} stop=
trap 'stop=yes' TERM

# Runs the SQL on standard input, one transaction a statement; values come as psql variables.
sql() { psql -XAtq -F $'\t' -v ON_ERROR_STOP=1 -v task="${task:-}" -v token="${token:-}" -v ttl="$ttl" "$@"; }

# Extends the lease every third of its length, for as long as this script lives.
beat() {
  local told nap=
  trap 'kill $nap 2>/dev/null; exit' TERM
  while sleep $(((ttl + 2) / 3)) & nap=$!; wait $nap; kill -0 $$ 2>/dev/null; do
    told=$(sql <<<"SELECT outcome FROM task_heartbeat(:'task', :'token', make_interval(secs => :'ttl'))")
    case $told in
      extended | not_extended) ;;
      *) echo "heartbeat $task $token: $told"; return ;; # somebody else has the task, or ended it
    esac
  done
}

while [ -z "$stop" ]; do
  lease=$(sql -v queue="$queue" -v owner="$owner" <<'SQL'
    SELECT task_id, lease_token, payload->>'path'
      FROM task_acquire_lease(:'queue', :'owner', make_interval(secs => :'ttl'))
SQL
  )
  if [ -z "$lease" ]; then sleep 0.2; continue; fi
  IFS=$'\t' read -r task token path <<<"$lease"

  beat & heart=$!
  if [ "$hold" != 0 ]; then
    echo "holding $task $token"
    sleep "$hold"
    hold=0
  fi
  if sha256=$({ sha256sum <"$path"; } 2>&1); then
    # Every byte that is not white space becomes an x, so that no locale decides what a word is.
    read -r lines words bytes < <(LC_ALL=C tr -c ' \t\n\v\f\r' x <"$path" | wc -lwc)
    told=$(sql -v sha256="${sha256%% *}" -v lines="$lines" -v words="$words" -v bytes="$bytes" <<'SQL'
      SELECT outcome FROM task_finalize(:'task', :'token', 'completed', jsonb_build_object(
        'sha256', :'sha256', 'bytes', :bytes, 'lines', :lines, 'words', :words))
SQL
    )
  else # worth another attempt, later and perhaps elsewhere
    told=$(sql -v error="$sha256" <<<"SELECT outcome FROM task_fail_attempt(:'task', :'token', jsonb_build_object('error', :'error'))")
  fi
  kill $heart 2>/dev/null || true
  wait $heart || true
  # 'finalized', or how this worker was outrun: then the result above counts for nothing.
  echo "told $task $token: $told"
done
