-- Removing what nobody can see, a step at a time, each a transaction of its own that nobody has to wait for on disk: what a
-- crash brings back is removed again.

-- Expired cells of live epochs, the longest expired first. A cell that a commit holds is left for the next sweep, so a
-- sweep waits for nobody; one that was rewritten meanwhile is judged anew.
CREATE OR REPLACE FUNCTION holdfast.sweep_expired(a_space int, a_now bigint, a_count int) RETURNS int
LANGUAGE plpgsql SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    removed int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    WITH old AS (
        SELECT c.scope, c.epoch, c.key FROM holdfast.cells c
        JOIN holdfast.scopes s ON s.id = c.scope AND s.epoch = c.epoch
        WHERE c.expires_us <= a_now AND s.space = a_space
        ORDER BY c.expires_us LIMIT a_count FOR UPDATE OF c SKIP LOCKED
    ), gone AS (
        DELETE FROM holdfast.cells c USING old
        WHERE c.scope = old.scope AND c.epoch = old.epoch AND c.key = old.key AND c.expires_us <= a_now
        RETURNING c.scope, c.epoch, c.key, c.indexed
    ), entries AS (
        DELETE FROM holdfast.entries e USING gone
        WHERE gone.indexed AND e.scope = gone.scope AND e.epoch = gone.epoch AND e.key = gone.key
    )
    SELECT count(*) INTO removed FROM gone;
    RETURN removed;
END
$$;

-- Cells and entries of ended epochs; nobody writes to those any more.
CREATE OR REPLACE FUNCTION holdfast.sweep_garbage(a_space int, a_count int) RETURNS int
LANGUAGE plpgsql SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ended record;
    step int;
    removed int := 0;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR ended IN
        SELECT g.scope, g.epoch FROM holdfast.garbage g WHERE g.space = a_space
        ORDER BY g.scope, g.epoch LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN removed >= a_count;
        WITH old AS (
            SELECT c.key FROM holdfast.cells c WHERE c.scope = ended.scope AND c.epoch = ended.epoch
            ORDER BY c.key LIMIT a_count - removed
        ), gone AS (
            DELETE FROM holdfast.cells c USING old
            WHERE c.scope = ended.scope AND c.epoch = ended.epoch AND c.key = old.key RETURNING c.key, c.indexed
        ), entries AS (
            DELETE FROM holdfast.entries e USING gone
            WHERE gone.indexed AND e.scope = ended.scope AND e.epoch = ended.epoch AND e.key = gone.key
        )
        SELECT count(*) INTO step FROM gone;
        removed := removed + step;
        IF removed < a_count THEN
            DELETE FROM holdfast.entries e WHERE e.scope = ended.scope AND e.epoch = ended.epoch;
            DELETE FROM holdfast.garbage g WHERE g.space = a_space AND g.scope = ended.scope AND g.epoch = ended.epoch;
        END IF;
    END LOOP;
    RETURN removed;
END
$$;

-- What is due among the next scopes by name: the lowest seq to keep of each, or with `over` the tombstone's seq.
CREATE OR REPLACE FUNCTION holdfast.find_trims(
    a_space int, a_after bytea, a_now bigint, a_age bigint, a_count bigint, a_tombstone bigint, a_page int,
    OUT id bigint, OUT keep bigint, OUT over boolean, OUT name bytea, OUT looked int
) RETURNS SETOF record
LANGUAGE sql STABLE SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH page AS (
        SELECT s.* FROM holdfast.scopes s WHERE s.space = a_space AND s.name > a_after AND s.seq > 0
        ORDER BY s.name LIMIT a_page
    ), due AS (
        SELECT p.id, p.name, p.floor, p.seq,
            coalesce(NOT p.live AND a_now - p.at_us >= a_tombstone, false) AS over,
            CASE WHEN a_age IS NULL AND a_count IS NULL THEN p.floor
                WHEN a_age IS NULL THEN p.seq + 1 - greatest(1, coalesce(a_count, 0))
                ELSE least(
                    p.seq + 1 - greatest(1, coalesce(a_count, 0)),
                    coalesce((SELECT l.seq FROM holdfast.log l WHERE l.scope = p.id AND l.seq >= p.floor
                              AND a_now - l.at_us < a_age ORDER BY l.seq LIMIT 1), p.seq)) END AS keep
        FROM page p
    )
    SELECT d.id, CASE WHEN d.over THEN d.seq ELSE d.keep END, d.over, d.name, (SELECT count(*)::int FROM page)
    FROM due d WHERE d.over OR d.keep > d.floor OR d.name = (SELECT p.name FROM page p ORDER BY p.name DESC LIMIT 1) ORDER BY d.name
$$;

-- Remove up to `a_count` of the records below `a_keep` of a scope. With `a_over`, only if it is still dropped by the very
-- commit that was looked at; and its last trace with them, if the count reaches so far. Returns records and scopes removed.
CREATE OR REPLACE FUNCTION holdfast.trim_scope(
    a_id bigint, a_keep bigint, a_over boolean, a_count int, OUT records int, OUT scopes int
) LANGUAGE plpgsql SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head record;
    last xid8;
    lowest bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    records := 0;
    scopes := 0;
    SELECT s.space, s.live, s.seq, s.floor, s.epoch INTO head FROM holdfast.scopes s WHERE s.id = a_id FOR UPDATE;
    IF NOT FOUND OR (a_over AND (head.live OR head.seq <> a_keep)) THEN
        RETURN;
    END IF;
    lowest := least(a_keep, head.seq, head.floor + a_count);
    IF lowest > head.floor THEN
        DELETE FROM holdfast.log l WHERE l.scope = a_id AND l.seq < lowest;
        GET DIAGNOSTICS records = ROW_COUNT;
        UPDATE holdfast.scopes s SET floor = lowest WHERE s.id = a_id;
    END IF;
    IF a_over AND lowest = head.seq AND records < a_count
        AND NOT EXISTS (SELECT FROM holdfast.garbage g WHERE g.space = head.space AND g.scope = a_id)
    THEN
        DELETE FROM holdfast.log l WHERE l.scope = a_id RETURNING l.xid INTO last;
        DELETE FROM holdfast.scopes s WHERE s.id = a_id;
        UPDATE holdfast.spaces p SET moved_floor = CASE WHEN p.moved_floor < last THEN last ELSE p.moved_floor END WHERE p.id = head.space;
        scopes := 1;
    END IF;
END
$$;
