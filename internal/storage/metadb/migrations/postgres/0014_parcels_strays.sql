-- +goose Up

-- What a preview says of each image, in parcels of many images, which are read and go together. It takes the place of a table with a
-- row, and columns, for each image. Results live for a day: those that there are go, and their previews are as they are after that
-- day. A preview in progress begins anew at once, whoever is at it.
DROP TABLE lifecycle_preview_results;
CREATE TABLE lifecycle_preview_parcels (
    preview_id BIGINT NOT NULL REFERENCES lifecycle_previews (id) ON DELETE CASCADE,
    last_seq   BIGINT NOT NULL, -- of the last image in it
    results    TEXT COLLATE "C" NOT NULL, -- a line for each image, of fields with tabs between them
    PRIMARY KEY (preview_id, last_seq)
);
-- Compressing it took longer than all else that a preview does.
ALTER TABLE lifecycle_preview_parcels ALTER COLUMN results SET STORAGE EXTERNAL;
UPDATE lifecycle_previews SET status = 'EXPIRED' WHERE status = 'COMPLETE';
UPDATE lifecycle_previews SET due_at = started_at, attempts = 0 WHERE status = 'IN_PROGRESS';

-- What a check has come across in the blob store, and what of that no row names. Where those are so many that none is removed any
-- more, they are held.
ALTER TABLE checks ADD COLUMN seen_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN strays BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN stray_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN strays_held BOOLEAN NOT NULL DEFAULT FALSE;
