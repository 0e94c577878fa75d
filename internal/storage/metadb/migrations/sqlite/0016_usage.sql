-- +goose Up

-- What is counted (internal/core/usage): a metric's points in one unit.
CREATE TABLE usage_series (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    metric     TEXT    NOT NULL, -- a hash of namespace, name and dimensions
    unit       TEXT    NOT NULL,
    namespace  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    dimensions TEXT    NOT NULL, -- a JSON list of names and values by turns, in order of name
    last_at    INTEGER NOT NULL, -- about when the newest of its points is
    UNIQUE (metric, unit)
) STRICT;
CREATE INDEX usage_series_name ON usage_series (namespace, name, id);

CREATE TABLE usage_dimensions (
    series_id INTEGER NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    name      TEXT    NOT NULL,
    value     TEXT    NOT NULL,
    PRIMARY KEY (series_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_dimensions_value ON usage_dimensions (name, value, series_id);

CREATE TABLE usage_minutes (
    series_id INTEGER NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    samples   REAL    NOT NULL,
    total     REAL    NOT NULL,
    least     REAL    NOT NULL,
    most      REAL    NOT NULL,
    PRIMARY KEY (series_id, at)
) STRICT, WITHOUT ROWID;

-- What has been added to an hour since it was last rolled up: the hour is its point in a pack and this together.
CREATE TABLE usage_hours (
    series_id INTEGER NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    samples   REAL    NOT NULL,
    total     REAL    NOT NULL,
    least     REAL    NOT NULL,
    most      REAL    NOT NULL,
    PRIMARY KEY (series_id, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hours_at ON usage_hours (at);

-- Hours and days that were rolled up, many points in a row.
CREATE TABLE usage_packs (
    series_id INTEGER NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    grain     INTEGER NOT NULL, -- what each point stands for, in seconds
    begins_at INTEGER NOT NULL,
    points    BLOB    NOT NULL,
    PRIMARY KEY (series_id, grain, begins_at)
) STRICT, WITHOUT ROWID;

-- Events of the outbox that have been counted.
CREATE TABLE usage_events (
    event_id INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT;

-- Rounds that go over everything once an hour, a piece at a time.
CREATE TABLE usage_rounds (
    name     TEXT    NOT NULL PRIMARY KEY,
    began_at INTEGER NOT NULL, -- the round
    place    TEXT    NOT NULL, -- how far it is; empty: it has ended
    due_at   INTEGER NOT NULL  -- from when on somebody may take the next piece, or begin the next round
) STRICT, WITHOUT ROWID;

-- Which application's image each is, as of the last round of gauges. Images of none have no row.
CREATE TABLE usage_apps (
    image_id INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    app      TEXT    NOT NULL
) STRICT;
