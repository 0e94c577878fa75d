-- +goose Up

-- The archive storage class. An image's class is written on its tags and on its mentions of blobs too, so that neither
-- the listing of tags nor the question whether a blob is needed looks at every image.
ALTER TABLE images ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN archived_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN activated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tags ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE image_blobs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;

-- Whether an image has a tag, so that a page of untagged images costs the same whichever images surround them. Triggers
-- keep it, so that it is true whoever writes tags: a replica of the version before this one, too.
ALTER TABLE images ADD COLUMN tagged INTEGER NOT NULL DEFAULT 0;
UPDATE images SET tagged = 1 WHERE EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = images.repository_id AND t.image_id = images.id);

CREATE INDEX images_shelf ON images (repository_id, archived, tagged, id);
CREATE INDEX tags_shelf ON tags (repository_id, archived, name);
CREATE INDEX image_blobs_shelf ON image_blobs (repository_id, digest, archived);
DROP INDEX image_blobs_digest;

-- +goose StatementBegin
CREATE TRIGGER tags_added AFTER INSERT ON tags BEGIN
    UPDATE images SET tagged = 1 WHERE id = new.image_id AND NOT tagged;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tags_moved AFTER UPDATE OF image_id ON tags WHEN new.image_id <> old.image_id BEGIN
    UPDATE images SET tagged = 1 WHERE id = new.image_id AND NOT tagged;
    UPDATE images SET tagged = 0 WHERE id = old.image_id
        AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = old.repository_id AND t.image_id = old.image_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tags_removed AFTER DELETE ON tags BEGIN
    UPDATE images SET tagged = 0 WHERE id = old.image_id
        AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = old.repository_id AND t.image_id = old.image_id);
END;
-- +goose StatementEnd
