-- Schema version 1. Times are microseconds since the epoch. Names, keys and all other text are kept as the bytes of their
-- UTF-8: exact, U+0000 included, and ordered by code point whatever the database's collation.
-- "holdfast." stands for the schema that the URL names.

CREATE SCHEMA IF NOT EXISTS holdfast;

-- One row.
CREATE TABLE holdfast.meta(
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version int NOT NULL
);

-- `moved_floor` is the highest transaction whose move cannot be told any more, because its scope was forgotten.
CREATE TABLE holdfast.spaces(
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL UNIQUE,
    moved_floor xid8 NOT NULL DEFAULT '0'
);

-- The heads, locked by whoever commits. The id is never used again, so dropping a scope rewrites this row only. One with
-- seq 0 is being made by a commit that has not ended.
CREATE TABLE holdfast.scopes(
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space int NOT NULL,
    live boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    seq bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    at_us bigint NOT NULL DEFAULT 0,
    name bytea NOT NULL,
    cause bytea NOT NULL DEFAULT '',
    UNIQUE (space, name)
) WITH (fillfactor = 50);

-- In the order of transactions, which is not the order of their ends: see `moved`. Of `touched` the first `puts` are keys
-- put, the next `appends` are prefixes that the record's stamps complete, the others are keys deleted.
CREATE TABLE holdfast.log(
    xid xid8 NOT NULL,
    space int NOT NULL,
    place int NOT NULL,
    scope bigint NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    at_us bigint NOT NULL,
    n bigint NOT NULL,
    writer int NOT NULL,            -- writers.id
    puts int NOT NULL,
    appends int NOT NULL,
    dropped boolean NOT NULL,
    cause bytea NOT NULL,
    touched bytea[] NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (space, xid, place),
    UNIQUE (scope, seq)
);

-- Of the present epoch of each scope, and of ended ones until a sweep.
CREATE TABLE holdfast.cells(
    scope bigint NOT NULL,
    epoch bigint NOT NULL,
    version bigint NOT NULL,
    expires_us bigint,
    indexed boolean NOT NULL,       -- whether it has entries
    key bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (scope, epoch, key)
) WITH (fillfactor = 70);
CREATE INDEX cells_expiry ON holdfast.cells(expires_us) WHERE expires_us IS NOT NULL;

-- `list` is a digest of space, index and value. `place` has order, scope and key in a form that sorts as they do, cut to
-- what an index can hold; the columns themselves decide between the few that are alike so far.
CREATE TABLE holdfast.entries(
    scope bigint NOT NULL,
    epoch bigint NOT NULL,
    expires_us bigint,
    list bytea NOT NULL,
    place bytea NOT NULL,
    name bytea NOT NULL,            -- the index and the value that the digest is of
    value bytea NOT NULL,
    sort bytea NOT NULL,
    key bytea NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX entries_place ON holdfast.entries(list, place);
CREATE INDEX entries_cell ON holdfast.entries(scope, epoch, key);

-- Epochs that ended; a sweep removes their cells and entries.
CREATE TABLE holdfast.garbage(
    space int NOT NULL,
    scope bigint NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (space, scope, epoch)
);

-- The lanes: the last n that each writer used.
CREATE TABLE holdfast.writers(
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space int NOT NULL,
    n bigint NOT NULL,
    name bytea NOT NULL,
    UNIQUE (space, name)
) WITH (fillfactor = 50);

-- Values are compressed before they come here, where that pays.
ALTER TABLE holdfast.cells ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE holdfast.log ALTER COLUMN body SET STORAGE EXTERNAL;

-- For people: what a database browser should show. Expired cells are shown with their time.
CREATE VIEW holdfast.readable AS
SELECT encode(spaces.name, 'escape') AS space, encode(scopes.name, 'escape') AS scope, encode(cells.key, 'escape') AS key,
       cells.version, encode(cells.value, 'escape') AS value, to_timestamp(cells.expires_us / 1e6) AS expires
FROM holdfast.cells
JOIN holdfast.scopes ON scopes.id = cells.scope AND scopes.epoch = cells.epoch
JOIN holdfast.spaces ON spaces.id = scopes.space;

INSERT INTO holdfast.meta(version) VALUES (1);
