-- One step of removing what the ended lives of a scope have left, up to `a_count` rows of it: cells and entries, then the
-- records before that of the last drop, under the head's lock. Waits for a sweep that is at the same epoch.
CREATE OR REPLACE FUNCTION holdfast.purge(
    a_space int, a_scope bytea, a_count int, OUT cells int, OUT records int, OUT more boolean
) LANGUAGE plpgsql SET jit = off SET random_page_cost = 1 SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
DECLARE
    head record;
    ended record;
    step int;
    last bigint;
    lowest bigint;
BEGIN
    cells := 0;
    records := 0;
    more := false;
    SELECT s.id, s.floor INTO head FROM holdfast.scopes s
        WHERE s.space = a_space AND s.name = a_scope AND s.epoch > 0 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR ended IN
        SELECT g.epoch FROM holdfast.garbage g WHERE g.space = a_space AND g.scope = head.id ORDER BY g.epoch FOR UPDATE
    LOOP
        WITH old AS (
            SELECT c.key FROM holdfast.cells c WHERE c.scope = head.id AND c.epoch = ended.epoch
            ORDER BY c.key LIMIT a_count - cells
        ), gone AS (
            DELETE FROM holdfast.cells c USING old
            WHERE c.scope = head.id AND c.epoch = ended.epoch AND c.key = old.key RETURNING c.key, c.indexed
        ), entries AS (
            DELETE FROM holdfast.entries e USING gone
            WHERE gone.indexed AND e.scope = head.id AND e.epoch = ended.epoch AND e.key = gone.key
        )
        SELECT count(*) INTO step FROM gone;
        cells := cells + step;
        IF cells >= a_count THEN
            EXIT;
        END IF;
        DELETE FROM holdfast.entries e WHERE e.scope = head.id AND e.epoch = ended.epoch;
        DELETE FROM holdfast.garbage g WHERE g.space = a_space AND g.scope = head.id AND g.epoch = ended.epoch;
    END LOOP;
    SELECT l.seq INTO last FROM holdfast.log l WHERE l.scope = head.id AND l.dropped ORDER BY l.seq DESC LIMIT 1;
    lowest := least(coalesce(last, head.floor), head.floor + a_count - cells);
    IF lowest > head.floor THEN
        DELETE FROM holdfast.log l WHERE l.scope = head.id AND l.seq < lowest;
        GET DIAGNOSTICS records = ROW_COUNT;
        UPDATE holdfast.scopes s SET floor = lowest WHERE s.id = head.id;
    END IF;
    more := coalesce(last, head.floor) > greatest(head.floor, lowest) OR EXISTS (
        SELECT FROM holdfast.garbage g JOIN holdfast.cells c ON c.scope = g.scope AND c.epoch = g.epoch
        WHERE g.space = a_space AND g.scope = head.id);
END
$$;
