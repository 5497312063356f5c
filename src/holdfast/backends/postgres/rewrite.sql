-- Other bytes in the place of those that are kept, in one transaction under the head's lock; see `Kernel.rewrite`. Asked a
-- second time it finds what it left and counts that too.
CREATE OR REPLACE FUNCTION holdfast.rewrite(
    a_space int, a_scope bytea,
    c_key bytea[], c_version bigint[], c_was bytea[], c_value bytea[],
    e_cell int[], e_list bytea[], e_place bytea[], e_name bytea[], e_value bytea[], e_sort bytea[], e_payload bytea[],
    r_seq bigint[], r_writer bytea[], r_n bigint[], r_cause bytea[], r_body bytea[]
) RETURNS int
LANGUAGE plpgsql SET jit = off SET random_page_cost = 1 SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    head record;
    until bigint;
    rewritten int := 0;
BEGIN
    SELECT s.id, s.epoch, s.seq INTO head FROM holdfast.scopes s
        WHERE s.space = a_space AND s.name = a_scope FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR i IN 1..cardinality(c_key) LOOP
        UPDATE holdfast.cells c SET value = c_value[i], indexed = i = ANY (e_cell)
            WHERE c.scope = head.id AND c.epoch = head.epoch AND c.key = c_key[i] AND c.version = c_version[i]
            AND c.value IN (c_was[i], c_value[i]) RETURNING c.expires_us INTO until;
        IF FOUND THEN
            rewritten := rewritten + 1;
            DELETE FROM holdfast.entries e WHERE e.scope = head.id AND e.epoch = head.epoch AND e.key = c_key[i];
            INSERT INTO holdfast.entries(scope, epoch, expires_us, list, place, name, value, sort, key, payload)
                SELECT head.id, head.epoch, until, n.list, n.place, n.name, n.value, n.sort, c_key[i], n.payload
                FROM unnest(e_cell, e_list, e_place, e_name, e_value, e_sort, e_payload)
                    n(cell, list, place, name, value, sort, payload) WHERE n.cell = i;
        END IF;
    END LOOP;
    FOR i IN 1..cardinality(r_seq) LOOP
        UPDATE holdfast.log l SET cause = r_cause[i], body = r_body[i]
            WHERE l.scope = head.id AND l.seq = r_seq[i] AND l.n = r_n[i] AND l.writer = (
                SELECT w.id FROM holdfast.writers w WHERE w.space = a_space AND w.name = r_writer[i]);
        IF FOUND THEN
            rewritten := rewritten + 1;
            UPDATE holdfast.scopes s SET cause = r_cause[i] WHERE s.id = head.id AND s.seq = r_seq[i];
        END IF;
    END LOOP;
    RETURN rewritten;
END
$$;
