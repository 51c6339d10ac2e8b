-- Failures as the detail of a checkpoint. Takes no lock.
SELECT jsonb_build_object('failed', $1)
