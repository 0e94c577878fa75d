-- +goose Up

-- What is counted (internal/core/usage): a metric's points in one unit.
CREATE TABLE usage_series (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric     TEXT COLLATE "C" NOT NULL, -- a hash of namespace, name and dimensions
    unit       TEXT COLLATE "C" NOT NULL,
    namespace  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    dimensions TEXT COLLATE "C" NOT NULL, -- a JSON list of names and values by turns, in order of name
    last_at    BIGINT NOT NULL, -- about when the newest of its points is
    UNIQUE (metric, unit)
);
CREATE INDEX usage_series_name ON usage_series (namespace, name, id);

CREATE TABLE usage_dimensions (
    series_id BIGINT NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    name      TEXT COLLATE "C" NOT NULL,
    value     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (series_id, name)
);
CREATE INDEX usage_dimensions_value ON usage_dimensions (name, value, series_id);

CREATE TABLE usage_minutes (
    series_id BIGINT NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    at        BIGINT NOT NULL,
    samples   DOUBLE PRECISION NOT NULL,
    total     DOUBLE PRECISION NOT NULL,
    least     DOUBLE PRECISION NOT NULL,
    most      DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
);

-- What has been added to an hour since it was last rolled up: the hour is its point in a pack and this together.
CREATE TABLE usage_hours (
    series_id BIGINT NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    at        BIGINT NOT NULL,
    samples   DOUBLE PRECISION NOT NULL,
    total     DOUBLE PRECISION NOT NULL,
    least     DOUBLE PRECISION NOT NULL,
    most      DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
);
CREATE INDEX usage_hours_at ON usage_hours (at);

-- Hours and days that were rolled up, many points in a row.
CREATE TABLE usage_packs (
    series_id BIGINT NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
    grain     BIGINT NOT NULL, -- what each point stands for, in seconds
    begins_at BIGINT NOT NULL,
    points    BYTEA   NOT NULL,
    PRIMARY KEY (series_id, grain, begins_at)
);

-- Events of the outbox that have been counted.
CREATE TABLE usage_events (
    event_id BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL
);

-- Rounds that go over everything once an hour, a piece at a time.
CREATE TABLE usage_rounds (
    name     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    began_at BIGINT NOT NULL, -- the round
    place    TEXT COLLATE "C" NOT NULL, -- how far it is; empty: it has ended
    due_at   BIGINT NOT NULL  -- from when on somebody may take the next piece, or begin the next round
);

-- Which application's image each is, as of the last round of gauges. Images of none have no row.
CREATE TABLE usage_apps (
    image_id BIGINT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    app      TEXT COLLATE "C" NOT NULL
);
