-- What several reads ask, and a key completed as `kernel.commit.stamp` does.

CREATE OR REPLACE FUNCTION holdfast.stamped(prefix bytea, seq bigint, ordinal int) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT prefix || decode(lpad(seq::text, 16, '0') || '.' || lpad(ordinal::text, 4, '0'), 'escape')
$$;

-- Heads (part -1), cells by key (part 0) and ranges (part 1, 2, …) of each read, numbered from 1, as one cut: every
-- statement of a STABLE function sees what the statement that calls it sees. Of a range with a bound of bytes at least
-- what reaches it is returned; the caller counts exactly.
CREATE OR REPLACE FUNCTION holdfast.read_views(
    a_space int, a_now bigint, a_name bytea[], k_read int[], k_key bytea[],
    r_read int[], r_part int[], r_lo bytea[], r_hi bytea[], r_limit int[], r_reverse boolean[], r_bytes bigint[]
) RETURNS TABLE (
    read int, part int, key bytea, value bytea, version bigint, expires_us bigint,
    seq bigint, epoch bigint, live boolean, floor bigint, at_us bigint, cause bytea
) LANGUAGE plpgsql STABLE
SET jit = off SET plan_cache_mode = force_generic_plan SET random_page_cost = 1 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    h_id bigint[];
    h_epoch bigint[];
BEGIN
    SELECT array_agg(s.id ORDER BY n.o), array_agg(s.epoch ORDER BY n.o) INTO h_id, h_epoch
        FROM unnest(a_name) WITH ORDINALITY n(name, o)
        LEFT JOIN holdfast.scopes s ON s.space = a_space AND s.name = n.name;
    RETURN QUERY
        SELECT n.o::int, -1, NULL::bytea, NULL::bytea, NULL::bigint, NULL::bigint,
               s.seq, s.epoch, s.live, s.floor, s.at_us, s.cause
        FROM unnest(h_id) WITH ORDINALITY n(id, o) JOIN holdfast.scopes s ON s.id = n.id;
    IF cardinality(k_read) > 0 THEN
        RETURN QUERY
            SELECT k.read, 0, c.key, c.value, c.version, c.expires_us,
                   NULL::bigint, NULL::bigint, NULL::boolean, NULL::bigint, NULL::bigint, NULL::bytea
            FROM unnest(k_read, k_key) WITH ORDINALITY k(read, key, o)
            CROSS JOIN LATERAL (
                SELECT y.* FROM holdfast.cells y
                WHERE y.scope = h_id[k.read] AND y.epoch = h_epoch[k.read] AND y.key = k.key
                AND (y.expires_us IS NULL OR y.expires_us > a_now) OFFSET 0) c ORDER BY k.o;
    END IF;
    FOR r IN 1..cardinality(r_read) LOOP
        IF r_reverse[r] THEN
            RETURN QUERY
                SELECT r_read[r], r_part[r], q.key, q.value, q.version, q.expires_us,
                       NULL::bigint, NULL::bigint, NULL::boolean, NULL::bigint, NULL::bigint, NULL::bytea
                FROM (
                    SELECT c.*, CASE WHEN r_bytes[r] IS NULL THEN 0
                        ELSE sum(length(c.value) + length(c.key) / 4) OVER (ORDER BY c.key DESC)
                            - length(c.value) - length(c.key) / 4 END AS before
                    FROM holdfast.cells c
                    WHERE c.scope = h_id[r_read[r]] AND c.epoch = h_epoch[r_read[r]]
                    AND c.key >= r_lo[r] AND (r_hi[r] IS NULL OR c.key < r_hi[r])
                    AND (c.expires_us IS NULL OR c.expires_us > a_now)
                    ORDER BY c.key DESC LIMIT r_limit[r]) q
                WHERE r_bytes[r] IS NULL OR q.before < r_bytes[r] ORDER BY q.key DESC;
        ELSE
            RETURN QUERY
                SELECT r_read[r], r_part[r], q.key, q.value, q.version, q.expires_us,
                       NULL::bigint, NULL::bigint, NULL::boolean, NULL::bigint, NULL::bigint, NULL::bytea
                FROM (
                    SELECT c.*, CASE WHEN r_bytes[r] IS NULL THEN 0
                        ELSE sum(length(c.value) + length(c.key) / 4) OVER (ORDER BY c.key)
                            - length(c.value) - length(c.key) / 4 END AS before
                    FROM holdfast.cells c
                    WHERE c.scope = h_id[r_read[r]] AND c.epoch = h_epoch[r_read[r]]
                    AND c.key >= r_lo[r] AND (r_hi[r] IS NULL OR c.key < r_hi[r])
                    AND (c.expires_us IS NULL OR c.expires_us > a_now)
                    ORDER BY c.key LIMIT r_limit[r]) q
                WHERE r_bytes[r] IS NULL OR q.before < r_bytes[r] ORDER BY q.key;
        END IF;
    END LOOP;
END
$$;
