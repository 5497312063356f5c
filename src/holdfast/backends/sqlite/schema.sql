-- Schema version 1. Times are microseconds since the epoch. A scope's id is the log id of its first record, so no id
-- ever repeats.

-- One row. `sweeps` rises with every sweep and rewrite that changed what a cached head or cell may say; `tip` is the
-- highest log id that was ever removed, so that ids do not repeat.
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sweeps INTEGER NOT NULL,
    tip INTEGER NOT NULL,
    written_by TEXT NOT NULL
);

-- `moved_floor` is the highest log id of a scope that was forgotten: from below it not every move can be told.
CREATE TABLE spaces(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, moved_floor INTEGER NOT NULL DEFAULT 0);

-- Written when a scope is created, dropped, revived or trimmed, never by a plain commit: seq, time and cause of the
-- head are those of its newest log record. Its cells are those of its present epoch.
CREATE TABLE scopes(
    space INTEGER NOT NULL,
    name TEXT NOT NULL,
    id INTEGER NOT NULL,
    live INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    PRIMARY KEY (space, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX scopes_id ON scopes(id);
CREATE INDEX scopes_dropped ON scopes(space) WHERE NOT live;

-- In the order of all commits; `cells` says where a scope's records are.
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

-- The cells of a scope, and before them, with epoch -1, the places of its log records: key is the seq, version the log
-- id. So a put finds both on one page or two neighbours, where an index of its own on the log would be a page more.
-- `entries` is NULL for a cell without index entries, else a JSON array of [index, value, order]. A value that stands in
-- the table `apart` is named there, and `value` is NULL (see `writes`).
-- What an upsert sets has no constraint, so that the statement needs no journal of its own (see `writes`).
CREATE TABLE cells(
    scope INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    key NOT NULL,
    version INTEGER,
    expires_us INTEGER,
    entries TEXT,
    apart INTEGER,
    value BLOB,
    PRIMARY KEY (scope, epoch, key)
) WITHOUT ROWID;
CREATE INDEX cells_expiry ON cells(expires_us) WHERE expires_us IS NOT NULL;

-- The id is made of the log id that first wrote it and a number within that commit.
CREATE TABLE apart(id INTEGER PRIMARY KEY, value BLOB);

CREATE TABLE entries(
    space INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    sort TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    owner INTEGER NOT NULL,         -- scopes.id and epoch: counts only while they are the scope's present ones
    epoch INTEGER NOT NULL,
    expires_us INTEGER,
    payload BLOB NOT NULL,
    PRIMARY KEY (space, name, value, sort, scope, key)
) WITHOUT ROWID;

-- Epochs that ended; a sweep removes their cells and entries.
CREATE TABLE garbage(
    scope INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    space INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (scope, epoch)
) WITHOUT ROWID;

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
       CASE WHEN json_valid(CAST(ifnull(cells.value, apart.value) AS TEXT))
            THEN CAST(ifnull(cells.value, apart.value) AS TEXT)
            ELSE '(' || length(ifnull(cells.value, apart.value)) || ' bytes)' END AS value,
       datetime(cells.expires_us / 1000000, 'unixepoch') AS expires
FROM cells LEFT JOIN apart ON apart.id = cells.apart JOIN scopes ON scopes.id = cells.scope AND scopes.epoch = cells.epoch JOIN spaces ON spaces.id = scopes.space;
