-- The whole schema, version 1. Reasons: docs/guarantees.md.
CREATE SCHEMA IF NOT EXISTS kvcast;
SET search_path TO kvcast;

CREATE TABLE meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO meta VALUES ('epoch', replace(gen_random_uuid()::text, '-', ''));

-- One sequence for the whole store; never cached, so that what is drawn later is larger.
CREATE SEQUENCE rev AS bigint CACHE 1;

CREATE TABLE kv (
    key        text COLLATE "C" PRIMARY KEY,
    value      text,                          -- JSON as written; NULL in a tombstone
    category   text COLLATE "C",              -- NULL means 'default'
    rev        bigint NOT NULL,
    prev       bigint NOT NULL,               -- the rev before this one, so that a missing tick is noticed
    tx         xid8 NOT NULL,                 -- who wrote it: the sweep's cursor
    deleted    boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX kv_tx ON kv (tx);
CREATE INDEX kv_category ON kv ((coalesce(category, 'default')), key) WHERE NOT deleted;
CREATE INDEX kv_expires_at ON kv (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX kv_tombstones ON kv (updated_at) WHERE deleted;

CREATE TABLE tick (
    key      text COLLATE "C" NOT NULL,
    rev      bigint NOT NULL,
    prev     bigint NOT NULL,
    at       timestamptz NOT NULL,
    value    text,                            -- NULL: the key was deleted
    category text COLLATE "C"
) PARTITION BY RANGE (at);
CREATE INDEX tick_key_rev ON tick (key, rev);

CREATE TABLE idempotency (
    id          text PRIMARY KEY,
    fingerprint text NOT NULL,
    answer      text,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_at ON idempotency (at);

-- Who changed what on purpose. The functions' role may add rows and read them, and change none.
CREATE TABLE audit (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    token  text NOT NULL,
    action text NOT NULL,
    key    text COLLATE "C",                  -- NULL: several, see count
    count  integer NOT NULL,
    rev    bigint NOT NULL,                   -- the last one that was drawn
    note   text,
    client text
);
CREATE INDEX audit_at ON audit (at);

CREATE FUNCTION reap_audit() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = kvcast, pg_temp AS $body$
    DELETE FROM audit WHERE at < now() - interval '30 days'
$body$;

-- The functions' role may not create tables; this one thing it may ask for.
CREATE FUNCTION roll_partitions(history_days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kvcast, pg_temp SET timezone = 'UTC' AS $body$
DECLARE
    day  date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kvcast.roll_partitions'));
    FOR day IN SELECT generate_series(current_date - 1, current_date + 7, interval '1 day')::date LOOP
        name := 'tick_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(format('kvcast.%I', name)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF tick FOR VALUES FROM (%L) TO (%L)',
                           name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'tick'::regclass
          AND c.relname < 'tick_' || to_char(current_date - greatest(history_days, 1), 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$body$;

SELECT roll_partitions(1);
