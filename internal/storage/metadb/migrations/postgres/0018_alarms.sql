-- +goose Up

-- Alarms: what each watches, and the state that it is in.
CREATE TABLE alarms (
    name            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body            TEXT COLLATE "C" NOT NULL, -- what is watched: a JSON object
    tags            TEXT COLLATE "C" NOT NULL, -- a JSON list
    state           TEXT COLLATE "C" NOT NULL, -- OK, ALARM or INSUFFICIENT_DATA
    reason          TEXT COLLATE "C" NOT NULL,
    reason_data     TEXT COLLATE "C" NOT NULL, -- a JSON object, or empty
    configured_at   BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    transitioned_at BIGINT NOT NULL,
    revision        BIGINT NOT NULL, -- counts changes
    every           BIGINT NOT NULL, -- between two looks at it, in microseconds
    due_at          BIGINT NOT NULL
);
CREATE INDEX alarms_due ON alarms (due_at);

-- What happened to alarms, those that are gone as well.
CREATE TABLE alarm_history (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL, -- ConfigurationUpdate, StateUpdate or Action
    summary TEXT COLLATE "C" NOT NULL,
    data    TEXT COLLATE "C" NOT NULL -- a JSON object
);
CREATE INDEX alarm_history_name ON alarm_history (name, id);
CREATE INDEX alarm_history_at ON alarm_history (at);

-- Notices on their way to targets, and what became of them. A notice goes to a target once.
CREATE TABLE deliveries (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   BIGINT NOT NULL, -- of the outbox
    target     TEXT COLLATE "C" NOT NULL,
    notice     TEXT COLLATE "C" NOT NULL, -- a JSON object
    state      TEXT COLLATE "C" NOT NULL, -- pending, delivered or failed
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL, -- while pending
    attempts   BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL, -- or 0
    problem    TEXT COLLATE "C" NOT NULL, -- of the last attempt, or empty
    UNIQUE (event_id, target)
);
CREATE INDEX deliveries_due ON deliveries (target, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_pending ON deliveries (created_at) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE state <> 'pending';
