-- +goose Up

-- A scan that waits, or that somebody is at, is due at some time; one that has ended is not. Scans that failed for want of a scanner
-- stay as they are until somebody asks again.
ALTER TABLE scans ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE scans ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX scans_due ON scans (due_at) WHERE due_at > 0;

-- What a layer says of packages, by the digest of its uncompressed tar, whatever number of images have it.
CREATE TABLE scan_layers (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    diff_id    TEXT COLLATE "C" NOT NULL UNIQUE,
    revision   BIGINT NOT NULL, -- of the extractors
    problem    TEXT COLLATE "C" NOT NULL, -- which limit was hit, or why it could not be read; empty: all of it was read
    facts      BYTEA   NOT NULL, -- inventory.Layer, encoded
    scanned_at BIGINT NOT NULL
);

-- Which blobs have unpacked to which layer. Only our own unpacking is believed, never an image's configuration.
CREATE TABLE scan_blobs (
    digest   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    layer_id BIGINT NOT NULL REFERENCES scan_layers (id) ON DELETE CASCADE
);
CREATE INDEX scan_blobs_layer ON scan_blobs (layer_id);

-- Each version of each package once. Advisories know it by source and source_version; in order of these, matching is a merge.
CREATE TABLE packages (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ecosystem      TEXT COLLATE "C" NOT NULL, -- OSV's, without release: Debian, npm
    release        TEXT COLLATE "C" NOT NULL, -- of the distribution: 12, v3.20; empty for languages
    source         TEXT COLLATE "C" NOT NULL,
    source_version TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL, -- as installed
    version        TEXT COLLATE "C" NOT NULL,
    arch           TEXT COLLATE "C" NOT NULL,
    type           TEXT COLLATE "C" NOT NULL, -- of package URLs: deb, npm
    UNIQUE (ecosystem, source, release, source_version, name, version, arch, type)
);

-- Which advisories hit a package; no row: none does.
CREATE TABLE package_matches (
    package_id BIGINT PRIMARY KEY REFERENCES packages (id) ON DELETE CASCADE,
    matches    BYTEA   NOT NULL -- ids of advisories and since when, packed
);

-- Which packages an image has; images with the same packages in the same layers share a set.
CREATE TABLE package_sets (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     TEXT COLLATE "C" NOT NULL UNIQUE, -- of members and os
    os         TEXT COLLATE "C" NOT NULL,        -- JSON, inventory.OS
    members    BYTEA   NOT NULL,        -- ids of packages, places of layers and flags, packed
    vulnerable BYTEA   NOT NULL,        -- ids of those of them that advisories hit, packed
    counts     TEXT COLLATE "C" NOT NULL,        -- JSON, scan.Counts
    judged_at  BIGINT NOT NULL
);

CREATE TABLE image_inventories (
    image_id   BIGINT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    set_id     BIGINT NOT NULL REFERENCES package_sets (id),
    chain_id   TEXT COLLATE "C" NOT NULL, -- of all layers together (image-spec, config.md)
    layers     BYTEA   NOT NULL, -- ids of layers, lowest first, packed
    made_by    TEXT COLLATE "C" NOT NULL, -- JSON, the instruction that made each, as this image says: another one's is none of its readers' business
    problem    TEXT COLLATE "C" NOT NULL, -- why it is not all that the image has; empty: it is
    scanned_at BIGINT NOT NULL,
    epoch      BIGINT NOT NULL  -- of scan_judgement, when it was saved
);
CREATE INDEX image_inventories_set ON image_inventories (set_id, image_id);
CREATE INDEX image_inventories_chain ON image_inventories (chain_id);

-- What a new judgement changed in a set, to be told of each of its images.
CREATE TABLE finding_changes (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    set_id     BIGINT NOT NULL REFERENCES package_sets (id) ON DELETE CASCADE,
    at         BIGINT NOT NULL,
    changes    TEXT COLLATE "C" NOT NULL, -- JSON, scan.Changes
    epoch      BIGINT NOT NULL, -- images that were saved at a lower one are told
    last_image BIGINT NOT NULL  -- images up to this id have been told
);

-- How far judging all sets by news of advisories has come: one row. Whoever saves an inventory holds it shared.
CREATE TABLE scan_judgement (
    id          BIGINT PRIMARY KEY,
    epoch       BIGINT NOT NULL, -- rises when what was read before may not be written any more
    phase       TEXT COLLATE "C" NOT NULL, -- match, sets; empty: none is under way
    targets     TEXT COLLATE "C" NOT NULL, -- JSON, the revision of each source that it goes by
    began       BIGINT NOT NULL, -- the epoch of its beginning: images that were saved before are told what changes
    upto        BIGINT NOT NULL, -- sets up to this id are counted anew
    counted     BIGINT NOT NULL, -- sets up to this id have been
    ended_at    BIGINT NOT NULL, -- the last one
    holder      TEXT COLLATE "C" NOT NULL, -- who is at it
    lease_until BIGINT NOT NULL
);
INSERT INTO scan_judgement VALUES (1, 1, '', '', 0, 0, 0, 0, '', 0);

-- What was known of packages before the judgement that is under way.
CREATE TABLE scan_journal (
    package_id BIGINT PRIMARY KEY REFERENCES packages (id) ON DELETE CASCADE,
    matches    BYTEA  NOT NULL
);

-- Where advisories come from. Rows of advisories count when from_rev <= revision < to_rev of their source, so that an import is
-- there at once, or not at all.
CREATE TABLE advisory_sources (
    source      TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- an ecosystem of OSV, or kev, epss, cvss
    revision    BIGINT NOT NULL,
    origin      TEXT COLLATE "C" NOT NULL,
    advisories  BIGINT NOT NULL, -- how many count
    modified_at BIGINT NOT NULL, -- when the newest of them was changed by its publisher
    imported_at BIGINT NOT NULL,
    checked_at  BIGINT NOT NULL, -- when it was last looked whether there is something new
    validator   TEXT COLLATE "C" NOT NULL, -- what a conditional request goes by
    judged_rev  BIGINT NOT NULL, -- up to which revision images are judged by it
    import_rev  BIGINT NOT NULL, -- the last revision that an import was given
    import_until BIGINT NOT NULL -- that import is under way, unless it died before this time; 0: none is
);

CREATE TABLE advisories (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source        TEXT COLLATE "C" NOT NULL,
    osv_id        TEXT COLLATE "C" NOT NULL,
    from_rev      BIGINT NOT NULL,
    to_rev        BIGINT NOT NULL, -- 9223372036854775807: not replaced
    hash          TEXT COLLATE "C" NOT NULL, -- of what the publisher says
    vulnerability TEXT COLLATE "C" NOT NULL, -- the name that findings have: the CVE where there is one
    severity      TEXT COLLATE "C" NOT NULL,
    score         BIGINT  NOT NULL, -- CVSS base score in tenths, or 0
    modified_at   BIGINT NOT NULL,
    body          BYTEA   NOT NULL, -- advisory.Advisory, encoded
    UNIQUE (source, osv_id, from_rev)
);
CREATE INDEX advisories_vulnerability ON advisories (vulnerability);
CREATE INDEX advisories_to ON advisories (source, to_rev);
CREATE INDEX advisories_from ON advisories (source, from_rev);

CREATE TABLE advisory_packages (
    ecosystem   TEXT COLLATE "C" NOT NULL, -- OSV's, without release
    name        TEXT COLLATE "C" NOT NULL,
    advisory_id BIGINT NOT NULL REFERENCES advisories (id) ON DELETE CASCADE,
    seq         BIGINT NOT NULL, -- an advisory may name a package more than once
    release     TEXT COLLATE "C" NOT NULL, -- empty: every one
    affected    TEXT COLLATE "C" NOT NULL, -- JSON, advisory.Affected
    PRIMARY KEY (ecosystem, name, advisory_id, seq)
);
CREATE INDEX advisory_packages_advisory ON advisory_packages (advisory_id);

-- Whoever pushed an image that is a document about findings might speak for the repository's findings. It stays with the image in the trash.
ALTER TABLE images ADD COLUMN vouched BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE trash ADD COLUMN vouched BOOLEAN NOT NULL DEFAULT FALSE;

-- What was read of a document that is attached to an image. It goes with the document.
CREATE TABLE scan_documents (
    image_id      BIGINT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE, -- of the document
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT COLLATE "C" NOT NULL, -- of the document
    subject       TEXT COLLATE "C" NOT NULL,
    actor         TEXT COLLATE "C" NOT NULL, -- the ARN of who attached it
    problem       TEXT COLLATE "C" NOT NULL, -- why nothing in it counts; empty: it does
    read_at       BIGINT NOT NULL
);
CREATE INDEX scan_documents_subject ON scan_documents (repository_id, subject);

-- Imports that were asked for. One that waits, or that somebody is at, is due at some time; one that has ended is not.
CREATE TABLE advisory_imports (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository   TEXT COLLATE "C" NOT NULL, -- where the archive is; empty: from where the server has its advisories
    digest       TEXT COLLATE "C" NOT NULL,
    force        BIGINT NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL, -- empty: it was time
    requested_at BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    outcomes     TEXT COLLATE "C" NOT NULL -- JSON, a list of scan.AdvisoryOutcome
);

-- What somebody answers for, so that a finding does not stop anything for a time.
CREATE TABLE scan_exceptions (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id     BIGINT NOT NULL REFERENCES scan_documents (image_id) ON DELETE CASCADE,
    repository_id   BIGINT NOT NULL,
    digest          TEXT COLLATE "C" NOT NULL, -- of the image, or of an index that it is in; empty: every image
    vulnerability   TEXT COLLATE "C" NOT NULL,
    aliases         TEXT COLLATE "C" NOT NULL, -- JSON
    package         TEXT COLLATE "C" NOT NULL, -- name; empty: any
    package_type    TEXT COLLATE "C" NOT NULL, -- of package URLs; empty: any
    package_version TEXT COLLATE "C" NOT NULL, -- empty: any
    status          TEXT COLLATE "C" NOT NULL, -- OpenVEX: not_affected, fixed
    owner           TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    told            BOOLEAN NOT NULL -- that it has expired
);
CREATE INDEX scan_exceptions_repository ON scan_exceptions (repository_id, digest);
CREATE INDEX scan_exceptions_document ON scan_exceptions (document_id);
CREATE INDEX scan_exceptions_expiry ON scan_exceptions (expires_at) WHERE told = FALSE;
