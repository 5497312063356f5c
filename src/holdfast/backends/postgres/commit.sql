-- One batch of commits in one round trip: `Kernel.commit` with all it promises, in the implicit transaction of the call.
--
-- Lists stand for tables, numbered from 1: lanes (l_), commits (c_), scopes named (s_, in the order of their names),
-- parts of commits (p_), conditions (k_), cells looked at (x_), writes (w_), index entries (e_).
-- A commit's parts, a part's conditions and a part's writes stand together.
--
-- The order is what makes it right. Lanes and then heads are locked, each in the order of their names, so that no two
-- batches wait for each other. Cells are looked at in a statement of their own after that, because a statement that waits
-- for a lock goes on with the snapshot from before the wait. What is looked up for each row of a list is a subquery that
-- cannot be joined in another order: lists come first, in their order, and nothing is scanned. Then all is decided in
-- memory, by the rules of kernel/evaluate.py, with what earlier commits of the batch did laid over what was found; then all
-- is written at once. Cells before entries: a sweep does it in the same order.
--
-- Looked at are cells that a condition names, that get entries or that are deleted. Another one that is put is not: if it
-- has entries the upsert leaves it out, which shows in the count.
--
-- What only the earlier part of the same batch could tell is not asked for here: the caller ends a batch before a commit
-- whose id does not rise, whose Untouched concerns a scope that the batch writes, or that checks a key which an append of
-- the batch may have made.

CREATE OR REPLACE FUNCTION holdfast.commit_batch(
    a_space int,
    l_name bytea[],
    c_lane int[], c_n bigint[], c_at bigint[], c_part int[], c_cause bytea[],   -- c_part: the last part
    s_name bytea[], s_make boolean[],
    p_commit int[], p_scope int[], p_need int[], p_epoch bigint[], p_op int[],  -- op: 0 only checked, 1 write, 2 drop
    p_check int[], p_write int[], p_puts int[], p_appends int[], p_body bytea[],    -- p_check, p_write: the last ones
    k_kind int[], k_cell int[], k_since bigint[], u_prefix bytea[],     -- k_cell below 0: the number of a prefix
    x_scope int[], x_key bytea[], a_overlay boolean,        -- whether one of these cells is written
    w_part int[], w_cell int[], w_ordinal int[], w_expires bigint[], w_indexed boolean[], w_key bytea[], w_value bytea[],
    e_write int[], e_list bytea[], e_place bytea[], e_name bytea[], e_value bytea[], e_sort bytea[], e_payload bytea[],
    -- of each part the seq it took, or 0; of each commit 0 committed, 1 conflict, 2 replayed, 3 burnt, 4 unknown
    OUT seqs bigint[], OUT ends int[],
    -- of each conflict its commit, part, condition (0: need, -1: epoch), the cell found and the head
    OUT f_commit int[], OUT f_part int[], OUT f_check int[], OUT f_version bigint[], OUT f_expires bigint[],
    OUT f_write int[], OUT f_value bytea[],
    OUT f_seq bigint[], OUT f_epoch bigint[], OUT f_live boolean[], OUT f_floor bigint[], OUT f_at bigint[],
    OUT f_cause bytea[]
) LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan SET random_page_cost = 1
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_variable
DECLARE
    l_id int[];
    l_n bigint[];
    h_id bigint[];
    h_seq bigint[];
    h_epoch bigint[];
    h_floor bigint[];
    h_live boolean[];
    h_last int[] := array_fill(0, ARRAY[cardinality(s_name)]);      -- the commit of this batch that wrote it last
    x_version bigint[];
    x_expires bigint[];
    x_indexed boolean[];
    x_write int[] := array_fill(0, ARRAY[cardinality(x_key)]);      -- the write of this batch that made the cell
    p_at bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_scope)]);    -- the epoch that the part wrote to
    got record;
    me xid8;
    part int := 0;
    first int;
    s int;
    x int;
    now_us bigint;
    refused int;            -- the part that does not hold
    cause int;              -- and its condition
    version bigint;
    any_written boolean := false;
    any_dropped boolean := false;
    any_deleted boolean := false;
    any_made boolean;
    surprised boolean := false;
    written int;
BEGIN
    seqs := array_fill(0::bigint, ARRAY[cardinality(p_scope)]);
    ends := array_fill(0, ARRAY[cardinality(c_n)]);
    f_commit := '{}'; f_part := '{}'; f_check := '{}'; f_version := '{}'; f_expires := '{}'; f_write := '{}';
    f_value := '{}'; f_seq := '{}'; f_epoch := '{}'; f_live := '{}'; f_floor := '{}'; f_at := '{}'; f_cause := '{}';

    -- the lanes, one batch of each at a time
    LOOP
        SELECT array_agg(q.id ORDER BY q.o), array_agg(q.n ORDER BY q.o) INTO l_id, l_n FROM (
            SELECT w.id, w.n, l.o FROM unnest(l_name) WITH ORDINALITY l(name, o)
            JOIN holdfast.writers w ON w.space = a_space AND w.name = l.name ORDER BY w.name FOR NO KEY UPDATE OF w) q;
        EXIT WHEN cardinality(l_id) = cardinality(l_name);
        INSERT INTO holdfast.writers(space, name, n) SELECT a_space, l.name, 0 FROM unnest(l_name) l(name)
            ORDER BY l.name ON CONFLICT DO NOTHING;
    END LOOP;

    -- the heads; those missing are made where a commit may make them
    LOOP
        IF true = ANY(s_make) THEN
            INSERT INTO holdfast.scopes(space, name)
                SELECT a_space, n.name FROM unnest(s_name, s_make) n(name, make)
                WHERE n.make AND NOT EXISTS (
                    SELECT FROM holdfast.scopes k WHERE k.space = a_space AND k.name = n.name)
                ORDER BY n.name ON CONFLICT DO NOTHING;
        END IF;
        SELECT array_agg(k.id ORDER BY n.o), array_agg(coalesce(k.seq, 0) ORDER BY n.o),
               array_agg(coalesce(k.epoch, 0) ORDER BY n.o), array_agg(coalesce(k.floor, 0) ORDER BY n.o),
               array_agg(coalesce(k.live, false) ORDER BY n.o)
            INTO h_id, h_seq, h_epoch, h_floor, h_live
            FROM unnest(s_name) WITH ORDINALITY n(name, o) LEFT JOIN LATERAL (
                SELECT h.id, h.seq, h.epoch, h.floor, h.live FROM holdfast.scopes h
                WHERE h.space = a_space AND h.name = n.name FOR NO KEY UPDATE) k ON true;
        EXIT WHEN true <> ALL(s_make);
        EXIT WHEN NOT EXISTS (SELECT FROM unnest(h_id, s_make) h(id, make) WHERE h.id IS NULL AND h.make);
    END LOOP;
    any_made := 0 = ANY(h_seq) AND true = ANY(s_make);

    -- the cells, seen now that nobody else can change them
    IF cardinality(x_key) > 0 THEN
        SELECT array_agg(c.version ORDER BY w.o), array_agg(c.expires_us ORDER BY w.o),
               array_agg(coalesce(c.indexed, false) ORDER BY w.o)
            INTO x_version, x_expires, x_indexed
            FROM unnest(x_scope, x_key) WITH ORDINALITY w(scope, key, o)
            LEFT JOIN LATERAL (
                SELECT y.version, y.expires_us, y.indexed FROM holdfast.cells y
                WHERE y.scope = h_id[w.scope] AND y.epoch = h_epoch[w.scope] AND y.key = w.key OFFSET 0) c ON true;
    END IF;

    FOR c IN 1..cardinality(c_n) LOOP
        first := part + 1;
        part := c_part[c];

        IF c_n[c] <= l_n[c_lane[c]] THEN        -- used before: what became of it, the logs say
            ends[c] := 3;
            FOR p IN first..part LOOP
                IF p_op[p] > 0 THEN
                    s := p_scope[p];
                    SELECT l.seq, l.n INTO got FROM holdfast.log l
                        WHERE l.scope = h_id[s] AND l.writer = l_id[c_lane[c]] AND l.n <= c_n[c]
                        ORDER BY l.seq DESC LIMIT 1;
                    IF got.n = c_n[c] THEN
                        seqs[p] := -got.seq;    -- below 0: not of this time
                        IF ends[c] = 3 THEN ends[c] := 2; END IF;
                    ELSIF h_floor[s] > 1 THEN
                        ends[c] := 4;
                    END IF;
                END IF;
            END LOOP;
            CONTINUE;
        END IF;
        l_n[c_lane[c]] := c_n[c];

        refused := 0;
        now_us := c_at[c];
        <<judging>>
        FOR p IN first..part LOOP
            s := p_scope[p];
            IF (p_need[p] = 0 AND NOT h_live[s]) OR (p_need[p] = 1 AND h_live[s]) THEN
                refused := p; cause := 0; x := 0;
                EXIT judging;
            END IF;
            IF p_epoch[p] <> h_epoch[s] THEN
                refused := p; cause := -1; x := 0;
                EXIT judging;
            END IF;
            FOR k IN coalesce(p_check[p - 1], 0) + 1..p_check[p] LOOP
                x := k_cell[k];
                IF x > 0 THEN
                    version := CASE WHEN h_live[s] AND (x_expires[x] IS NULL OR now_us < x_expires[x]) THEN x_version[x] END;
                    CONTINUE WHEN CASE k_kind[k] WHEN 0 THEN version IS NULL WHEN 1 THEN version IS NOT NULL
                        ELSE coalesce(version <= k_since[k], false) END;
                    IF version IS NULL THEN x := 0; END IF;
                ELSIF k_kind[k] = 4 THEN
                    CONTINUE WHEN h_seq[s] = k_since[k];
                ELSE
                    CONTINUE WHEN h_seq[s] <= k_since[k];
                    CONTINUE WHEN k_since[k] + 1 >= h_floor[s] AND NOT EXISTS (
                        SELECT FROM holdfast.log l WHERE l.scope = h_id[s] AND l.seq > k_since[k]
                        AND (l.dropped OR EXISTS (
                            SELECT FROM unnest(l.touched) WITH ORDINALITY t(key, o)
                            WHERE substring(CASE WHEN t.o > l.puts AND t.o <= l.puts + l.appends
                                THEN holdfast.stamped(t.key, l.seq, t.o::int - l.puts - 1) ELSE t.key END
                                FROM 1 FOR length(u_prefix[-x])) = u_prefix[-x])));
                END IF;
                refused := p; cause := k;
                EXIT judging;
            END LOOP;
        END LOOP;

        IF refused > 0 THEN
            ends[c] := 1;
            s := p_scope[refused];
            f_commit := f_commit || c; f_part := f_part || refused; f_check := f_check || cause;
            f_seq := f_seq || h_seq[s]; f_epoch := f_epoch || h_epoch[s];
            f_live := f_live || h_live[s]; f_floor := f_floor || h_floor[s];
            IF h_last[s] > 0 THEN
                f_at := f_at || c_at[h_last[s]];
                f_cause := f_cause || c_cause[h_last[s]];
            ELSE
                SELECT k.at_us, k.cause INTO got FROM holdfast.scopes k WHERE k.id = h_id[s];
                f_at := f_at || coalesce(got.at_us, 0);
                f_cause := f_cause || coalesce(got.cause, ''::bytea);
            END IF;
            IF x > 0 THEN
                f_version := f_version || x_version[x]; f_expires := f_expires || x_expires[x];
                f_write := f_write || x_write[x];
                f_value := f_value || CASE WHEN x_write[x] > 0 THEN NULL::bytea ELSE (
                    SELECT y.value FROM holdfast.cells y
                    WHERE y.scope = h_id[s] AND y.epoch = h_epoch[s] AND y.key = x_key[x]) END;
            ELSE
                f_version := f_version || 0::bigint; f_expires := f_expires || NULL::bigint;
                f_write := f_write || 0; f_value := f_value || NULL::bytea;
            END IF;
            CONTINUE;
        END IF;

        FOR p IN first..part LOOP
            IF p_op[p] > 0 THEN
                s := p_scope[p];
                any_written := true;
                h_seq[s] := h_seq[s] + 1;
                seqs[p] := h_seq[s];
                p_at[p] := h_epoch[s];
                h_last[s] := c;
                h_live[s] := p_op[p] = 1;
                IF h_floor[s] = 0 THEN h_floor[s] := h_seq[s]; END IF;
                IF p_op[p] = 2 THEN
                    any_dropped := true;
                    h_epoch[s] := h_epoch[s] + 1;
                    FOR i IN 1..cardinality(x_key) LOOP
                        IF x_scope[i] = s THEN x_version[i] := NULL; x_indexed[i] := false; END IF;
                    END LOOP;
                ELSIF a_overlay THEN
                    FOR w IN coalesce(p_write[p - 1], 0) + 1..p_write[p] LOOP
                        x := w_cell[w];
                        IF x > 0 THEN
                            x_version[x] := CASE WHEN w_ordinal[w] > -2 THEN h_seq[s] END;
                            x_expires[x] := w_expires[w];
                            x_write[x] := w;
                        END IF;
                    END LOOP;
                END IF;
            END IF;
        END LOOP;
    END LOOP;

    IF any_written THEN
        me := pg_current_xact_id();
        INSERT INTO holdfast.log(xid, space, place, scope, seq, epoch, at_us, n, writer, puts, appends, dropped, cause,
                                 touched, body)
            SELECT me, a_space, p.o, h_id[p.scope], p.seq, p.epoch, c_at[p.c], c_n[p.c], l_id[c_lane[p.c]],
                   p.puts, p.appends, p.op = 2, c_cause[p.c],
                   w_key[coalesce(p_write[p.o::int - 1], 0) + 1:p.last], p.body
            FROM unnest(p_commit, p_scope, seqs, p_at, p_op, p_write, p_puts, p_appends, p_body)
                WITH ORDINALITY p(c, scope, seq, epoch, op, last, puts, appends, body, o)
            WHERE p.seq > 0;
        UPDATE holdfast.scopes k SET seq = h.seq, epoch = h.epoch, live = h.live, floor = h.floor, at_us = c_at[h.last],
                cause = c_cause[h.last]
            FROM unnest(h_id, h_seq, h_epoch, h_live, h_floor, h_last) h(id, seq, epoch, live, floor, last)
            WHERE h.last > 0 AND k.id = h.id;

        IF cardinality(w_part) > 0 THEN
            LOOP    -- once more where a cell that nobody looked at turns out to have entries
                INSERT INTO holdfast.cells AS y (scope, epoch, key, version, expires_us, indexed, value)
                    SELECT q.scope, q.epoch, q.key, q.seq, q.expires, q.indexed, q.value FROM (
                        SELECT DISTINCT ON (scope, epoch, key) h_id[p_scope[w.part]] AS scope, p_at[w.part] AS epoch,
                            CASE WHEN w.ordinal < 0 THEN w.key ELSE holdfast.stamped(w.key, seqs[w.part], w.ordinal) END
                                AS key,
                            seqs[w.part] AS seq, w.expires, w.indexed, w.value, w.ordinal
                        FROM unnest(w_part, w_ordinal, w_key, w_value, w_expires, w_indexed)
                            WITH ORDINALITY w(part, ordinal, key, value, expires, indexed, o)
                        WHERE seqs[w.part] > 0 ORDER BY scope, epoch, key, w.o DESC) q
                    WHERE q.ordinal > -2
                    ON CONFLICT (scope, epoch, key) DO UPDATE SET version = excluded.version,
                        expires_us = excluded.expires_us, indexed = excluded.indexed, value = excluded.value
                        WHERE NOT y.indexed OR excluded.indexed OR surprised;
                GET DIAGNOSTICS written = ROW_COUNT;
                EXIT WHEN surprised OR written = cardinality(w_part);
                surprised := EXISTS (
                    SELECT FROM unnest(w_part, w_ordinal, w_key) w(part, ordinal, key) CROSS JOIN LATERAL (
                        SELECT y.version FROM holdfast.cells y
                        WHERE y.scope = h_id[p_scope[w.part]] AND y.epoch = p_at[w.part] AND y.key = w.key AND y.indexed
                        OFFSET 0) y
                    WHERE w.ordinal = -1 AND y.version < seqs[w.part]);
                EXIT WHEN NOT surprised;
            END LOOP;
            IF -2 = ANY(w_ordinal) THEN
                DELETE FROM holdfast.cells y USING (
                    SELECT DISTINCT ON (scope, epoch, key) h_id[p_scope[w.part]] AS scope, p_at[w.part] AS epoch, w.key,
                        w.ordinal
                    FROM unnest(w_part, w_ordinal, w_key) WITH ORDINALITY w(part, ordinal, key, o)
                    WHERE seqs[w.part] > 0 AND w.ordinal < 0 ORDER BY scope, epoch, key, w.o DESC) q
                    WHERE q.ordinal = -2 AND y.scope = q.scope AND y.epoch = q.epoch AND y.key = q.key;
            END IF;
        END IF;
        IF surprised OR true = ANY(x_indexed) THEN
            DELETE FROM holdfast.entries e USING (
                SELECT DISTINCT h_id[p_scope[w.part]] AS scope, p_at[w.part] AS epoch, w.key
                FROM unnest(w_part, w_cell, w_ordinal, w_key) w(part, cell, ordinal, key)
                WHERE w.ordinal < 0 AND seqs[w.part] > 0 AND (x_indexed[w.cell] OR surprised AND w.cell = 0)) q
                WHERE e.scope = q.scope AND e.epoch = q.epoch AND e.key = q.key;
        END IF;
        IF cardinality(e_write) > 0 THEN
            INSERT INTO holdfast.entries(scope, epoch, expires_us, list, place, name, value, sort, key, payload)
                SELECT q.scope, q.epoch, q.expires, e.list,
                    substring(e.place || CASE WHEN q.ordinal < 0 THEN ''::bytea
                        ELSE holdfast.stamped('', seqs[q.part], q.ordinal) || '\x0000'::bytea END FROM 1 FOR 2000),
                    e.name, e.value, e.sort, q.key, e.payload
                FROM (
                    SELECT DISTINCT ON (scope, epoch, key) h_id[p_scope[w.part]] AS scope, p_at[w.part] AS epoch,
                        CASE WHEN w.ordinal < 0 THEN w.key ELSE holdfast.stamped(w.key, seqs[w.part], w.ordinal) END AS key,
                        w.part, w.expires, w.ordinal, w.o
                    FROM unnest(w_part, w_ordinal, w_key, w_expires) WITH ORDINALITY w(part, ordinal, key, expires, o)
                    WHERE seqs[w.part] > 0 ORDER BY scope, epoch, key, w.o DESC) q
                JOIN unnest(e_write, e_list, e_place, e_name, e_value, e_sort, e_payload)
                    e(write, list, place, name, value, sort, payload) ON e.write = q.o;
        END IF;
        IF any_dropped THEN
            INSERT INTO holdfast.garbage(space, scope, epoch)
                SELECT a_space, h_id[p.scope], p.epoch FROM unnest(p_scope, seqs, p_at, p_op) p(scope, seq, epoch, op)
                WHERE p.op = 2 AND p.seq > 0;
        END IF;
    ELSE
        -- Used-up ids must be known to whoever comes next, but need not outlive the machine: no late send does either.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    IF any_made THEN
        DELETE FROM holdfast.scopes k USING unnest(h_id, h_seq) h(id, seq)
            WHERE h.seq = 0 AND h.id IS NOT NULL AND k.id = h.id;
    END IF;
    UPDATE holdfast.writers w SET n = l_n[array_position(l_id, w.id)] WHERE w.id = ANY (l_id);
END
$$;
