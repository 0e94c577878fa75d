-- +goose Up

-- When the month's bill is made out next: one row.
CREATE TABLE reckonings (
    id     BIGINT PRIMARY KEY,
    due_at BIGINT NOT NULL
);
INSERT INTO reckonings (id, due_at) VALUES (1, 0);

-- The thresholds of budgets that were told of, each once in a month.
CREATE TABLE budgets_told (
    budget    TEXT COLLATE "C" NOT NULL,
    month     TEXT COLLATE "C" NOT NULL, -- 2026-11
    threshold TEXT COLLATE "C" NOT NULL, -- 80, forecast-100
    told_at   BIGINT NOT NULL,
    PRIMARY KEY (budget, month, threshold)
);
