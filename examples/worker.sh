#!/usr/bin/env bash
# A pg_baton worker in bash and psql: leases tasks that name a file, hashes it, counts its lines and words.
#
#     PGHOST=/var/run/postgresql PGUSER=app QUEUE=hash OWNER=bash-1 bash worker.sh
#
# Settings, from the environment: QUEUE, OWNER, TTL (whole seconds a lease lasts), HOLD (seconds to sit
# on the first result, to see what happens to a lease meanwhile). SIGTERM ends it after the task in hand.
set -euo pipefail
queue=${QUEUE:-default} owner=${OWNER:-$(hostname)-$$} ttl=${TTL:-10} hold=${HOLD:-0} stop= unwanted=
trap 'stop=yes' TERM
# What a heartbeat has learned: somebody asks to cancel, or the lease is gone.
trap 'unwanted=cancelled' USR1
trap 'unwanted=lost' USR2

# Runs the SQL on standard input, one transaction a statement; values come as psql variables.
sql() { psql -XAtq -F $'\t' -v ON_ERROR_STOP=1 -v task="${task:-}" -v token="${token:-}" -v ttl="$ttl" "$@"; }

# Extends the lease about every third of its length, for as long as this script lives.
beat() {
  local told cancel nap=
  trap 'kill $nap 2>/dev/null; exit' TERM
  while sleep $((ttl / 3)).3 & nap=$!; wait $nap; kill -0 $$ 2>/dev/null; do
    IFS=$'\t' read -r told cancel < <(sql <<<"SELECT outcome, cancel_requested
      FROM task_heartbeat(:'task', :'token', make_interval(secs => :'ttl'))")
    case $told in
      extended | not_extended) [ "$cancel" = f ] || kill -USR1 $$ ;;
      *) echo "heartbeat $task $token: $told"; kill -USR2 $$; return ;; # lease_lost, lease_expired, terminal
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

  unwanted= state=
  beat & heart=$!
  # Two steps, and between them a look whether anybody still wants the result.
  if ! sha256=$({ sha256sum <"$path"; } 2>&1); then
    state=failed
  elif [ -z "$unwanted" ]; then
    # Every byte that is not white space becomes an x, so that no locale decides what a word is.
    read -r lines words bytes < <(LC_ALL=C tr -c ' \t\n\v\f\r' x <"$path" | wc -lwc)
    state=completed
  fi
  if [ "$hold" != 0 ]; then
    echo "holding $task $token"
    sleep "$hold"
    hold=0
  fi
  kill $heart 2>/dev/null || true
  wait $heart || true
  case ${state:-$unwanted} in
    completed)
      told=$(sql -v sha256="${sha256%% *}" -v lines="$lines" -v words="$words" -v bytes="$bytes" <<'SQL'
        SELECT outcome FROM task_finalize(:'task', :'token', 'completed', jsonb_build_object(
          'sha256', :'sha256', 'bytes', :bytes, 'lines', :lines, 'words', :words))
SQL
      ) ;;
    failed) # worth another attempt, later and perhaps elsewhere
      told=$(sql -v error="$sha256" <<<"SELECT outcome FROM task_fail_attempt(:'task', :'token', jsonb_build_object('error', :'error'))") ;;
    cancelled) told=$(sql <<<"SELECT outcome FROM task_finalize(:'task', :'token', 'cancelled')") ;;
    lost) continue ;; # nobody waits for a word from here
  esac
  # 'finalized', or how this worker was outrun: then the result above counts for nothing.
  echo "told $task $token: $told"
done
