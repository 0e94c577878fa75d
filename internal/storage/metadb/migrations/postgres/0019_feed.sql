-- +goose Up

-- The feed: events that other programs may know of, numbered in the order that they were recorded in, and kept for a while
-- (internal/core/feed). An event has its number before anybody is handed it.
ALTER TABLE events ADD COLUMN fed BIGINT NOT NULL DEFAULT 0; -- 1: it is in the feed, or is none of those that go there
CREATE INDEX events_unfed ON events (id) WHERE fed = 0;

CREATE TABLE feed (
    number     BIGINT NOT NULL PRIMARY KEY,
    event_id   BIGINT NOT NULL UNIQUE, -- of the outbox
    at         BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,        -- empty: it is about none
    body       TEXT COLLATE "C" NOT NULL         -- a JSON object
);
CREATE INDEX feed_repository ON feed (repository, number);

-- One row, whose lock whoever gives numbers holds to the end of the transaction, so that they become visible in order.
CREATE TABLE feed_head (
    id        BIGINT NOT NULL PRIMARY KEY,
    number    BIGINT NOT NULL, -- the last that was given
    forgotten BIGINT NOT NULL  -- what has this number or a lower one is not kept any more
);
INSERT INTO feed_head (id, number, forgotten) VALUES (1, 0, 0);

-- Receivers of webhooks, by their names in the configuration, and how far each is.
CREATE TABLE feed_receivers (
    name         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number       BIGINT NOT NULL, -- what has this number or a lower one is delivered, set aside, missed, or late
    holder       TEXT COLLATE "C" NOT NULL, -- the process that is at it
    held_until   BIGINT NOT NULL,
    paused_until BIGINT NOT NULL, -- the receiver asked to be left alone
    sent         BIGINT NOT NULL, -- how many events were delivered
    missed       BIGINT NOT NULL, -- how many were forgotten before they could be
    sent_at      BIGINT NOT NULL, -- when something was delivered last
    failed_at    BIGINT NOT NULL,
    failure      TEXT COLLATE "C" NOT NULL  -- what happened then
);

-- Repositories whose events a receiver did not take: these go on by themselves, and the others ahead of them.
CREATE TABLE feed_late (
    receiver   TEXT COLLATE "C" NOT NULL REFERENCES feed_receivers (name) ON DELETE CASCADE,
    repository TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL, -- as far as the repository is
    attempts   BIGINT NOT NULL, -- that failed since something was delivered
    due_at     BIGINT NOT NULL,
    failure    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (receiver, repository)
);
CREATE INDEX feed_late_due ON feed_late (receiver, due_at);

-- Events that a receiver does not want, however often it is asked.
CREATE TABLE feed_set_aside (
    receiver   TEXT COLLATE "C" NOT NULL REFERENCES feed_receivers (name) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (receiver, number)
);
