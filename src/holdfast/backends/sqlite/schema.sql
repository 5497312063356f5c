-- Schema version 1. Times are microseconds since the epoch; every id is one number from one counter (log.id), so ids
-- never repeat: a scope's id is the log id of its first record, a life's id that of the record that began it.

-- One row. `sweeps` rises with every sweep that changed what a cached head may say; `tip` is the highest log id that
-- was ever removed, so that ids do not repeat; below `moved_floor` a scope may have been forgotten with its last record.
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sweeps INTEGER NOT NULL,
    tip INTEGER NOT NULL,
    moved_floor INTEGER NOT NULL,
    written_by TEXT NOT NULL
);

CREATE TABLE spaces(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- Written when a scope is created, dropped, revived or trimmed, never by a plain commit: seq, time and cause of the
-- head are those of its newest log record. `life` names the cells of the present epoch; NULL: dropped.
CREATE TABLE scopes(
    space INTEGER NOT NULL,
    name TEXT NOT NULL,
    id INTEGER NOT NULL,
    life INTEGER,
    epoch INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    PRIMARY KEY (space, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX scopes_id ON scopes(id);
CREATE UNIQUE INDEX scopes_life ON scopes(life) WHERE life IS NOT NULL;
CREATE INDEX scopes_dropped ON scopes(space) WHERE life IS NULL;

-- In the order of all commits. The unique index finds a scope's records and its head, and refuses a write that was
-- decided on a stale head.
CREATE TABLE log(
    id INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    op INTEGER NOT NULL,            -- 0 write, 1 drop
    at_us INTEGER NOT NULL,
    writer INTEGER NOT NULL,        -- writers.id
    n INTEGER NOT NULL,
    cause BLOB NOT NULL,
    touched TEXT NOT NULL,          -- JSON array of keys
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX log_seq ON log(scope, seq);

-- `entries` is NULL for a cell without index entries, else a JSON array of [index, value, order].
-- What an upsert sets has no constraint, so that the statement needs no journal of its own (see `writes`).
CREATE TABLE cells(
    life INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER,
    expires_us INTEGER,
    entries TEXT,
    value BLOB,
    PRIMARY KEY (life, key)
) WITHOUT ROWID;
CREATE INDEX cells_expiry ON cells(expires_us) WHERE expires_us IS NOT NULL;

CREATE TABLE entries(
    space INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    sort TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    life INTEGER NOT NULL,          -- counts only while it is the scope's present life
    expires_us INTEGER,
    payload BLOB NOT NULL,
    PRIMARY KEY (space, name, value, sort, scope, key)
) WITHOUT ROWID;

-- Lives that ended; a sweep removes their cells and entries.
CREATE TABLE garbage(life INTEGER PRIMARY KEY, space INTEGER NOT NULL, scope TEXT NOT NULL);

CREATE TABLE writers(
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    writer TEXT NOT NULL,
    n INTEGER NOT NULL,
    UNIQUE (space, writer)
);

-- For people: what a database browser should show. Expired cells are shown with their time.
CREATE VIEW readable AS
SELECT spaces.name AS space, scopes.name AS scope, cells.key, cells.version,
       CASE WHEN json_valid(CAST(cells.value AS TEXT)) THEN CAST(cells.value AS TEXT)
            ELSE '(' || length(cells.value) || ' bytes)' END AS value,
       datetime(cells.expires_us / 1000000, 'unixepoch') AS expires
FROM cells JOIN scopes ON scopes.life = cells.life JOIN spaces ON spaces.id = scopes.space;
