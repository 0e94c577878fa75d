-- +goose Up

-- The archive storage class. An image's class is written on its tags and on its mentions of blobs too, so that neither
-- the listing of tags nor the question whether a blob is needed looks at every image.
ALTER TABLE images ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE images ADD COLUMN archived_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN activated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tags ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE image_blobs ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;

-- Whether an image has a tag, so that a page of untagged images costs the same whichever images surround them. Triggers
-- keep it, so that it is true whoever writes tags: a replica of the version before this one, too. Tags are only written
-- by who holds the repository's lock, so that two triggers never judge the same image at once.
ALTER TABLE images ADD COLUMN tagged BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE images SET tagged = TRUE WHERE EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = images.repository_id AND t.image_id = images.id);

CREATE INDEX images_shelf ON images (repository_id, archived, tagged, id);
CREATE INDEX tags_shelf ON tags (repository_id, archived, name);
CREATE INDEX image_blobs_shelf ON image_blobs (repository_id, digest, archived);
DROP INDEX image_blobs_digest;

-- +goose StatementBegin
CREATE FUNCTION tags_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        UPDATE images SET tagged = TRUE WHERE id = NEW.image_id AND NOT tagged;
    END IF;
    -- The first of many tags that go in one statement finds them all gone; for the others there is nothing to do.
    IF TG_OP <> 'INSERT' AND EXISTS (SELECT 1 FROM images WHERE id = OLD.image_id AND tagged) THEN
        UPDATE images SET tagged = FALSE WHERE id = OLD.image_id
            AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = OLD.repository_id AND t.image_id = OLD.image_id);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tags_added AFTER INSERT OR DELETE ON tags FOR EACH ROW EXECUTE FUNCTION tags_changed();
CREATE TRIGGER tags_moved AFTER UPDATE OF image_id ON tags FOR EACH ROW WHEN (NEW.image_id <> OLD.image_id) EXECUTE FUNCTION tags_changed();
