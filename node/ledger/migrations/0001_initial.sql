-- What arrived, what was decided and why, what was produced, what was delivered.
-- {identity}, {timestamp} and {json} are the dialect's words (node/ledger/migrations/__init__.py).

CREATE TABLE associations (
    id {identity},
    calling_ae_title TEXT NOT NULL,
    called_ae_title TEXT NOT NULL,
    peer_host TEXT NOT NULL,
    peer_port INTEGER NOT NULL,
    opened_at {timestamp} NOT NULL,
    closed_at {timestamp},
    ending TEXT CHECK (ending IN ('released', 'aborted', 'lost')),
    stored INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    CHECK ((closed_at IS NULL) = (ending IS NULL))
);
CREATE INDEX associations_open ON associations (id) WHERE closed_at IS NULL;

CREATE TABLE studies (
    study_uid TEXT PRIMARY KEY CHECK (study_uid <> ''),
    state TEXT NOT NULL CHECK (state IN ('receiving', 'complete', 'routed', 'working', 'done', 'refused', 'quarantined')),
    first_instance_at {timestamp} NOT NULL,
    receiving_since {timestamp} NOT NULL,
    last_instance_at {timestamp} NOT NULL,
    changed_at {timestamp} NOT NULL,
    run INTEGER NOT NULL DEFAULT 0 CHECK (run >= 0),
    reason_code TEXT,
    reason_text TEXT,
    CHECK ((reason_code IS NULL) = (reason_text IS NULL)),
    CHECK (state NOT IN ('refused', 'quarantined') OR reason_code IS NOT NULL)
);
CREATE INDEX studies_by_state ON studies (state);
CREATE INDEX studies_by_arrival ON studies (last_instance_at);

CREATE TABLE instances (
    id {identity},
    study_uid TEXT NOT NULL REFERENCES studies (study_uid),
    series_uid TEXT NOT NULL CHECK (series_uid <> ''),
    sop_uid TEXT NOT NULL CHECK (sop_uid <> ''),
    modality TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('source', 'conflict', 'own_result')),
    content_sha256 TEXT NOT NULL CHECK (length(content_sha256) = 64),
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0),
    path TEXT NOT NULL UNIQUE,
    header {json} NOT NULL,
    received_at {timestamp} NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0 CHECK (duplicates >= 0),
    association_id BIGINT REFERENCES associations (id),
    UNIQUE (study_uid, sop_uid, content_sha256)
);
CREATE UNIQUE INDEX instances_one_source ON instances (study_uid, sop_uid) WHERE role = 'source';
CREATE INDEX instances_by_sop ON instances (sop_uid);
CREATE INDEX instances_by_association ON instances (association_id, id);

CREATE TABLE jobs (
    id {identity},
    study_uid TEXT NOT NULL REFERENCES studies (study_uid),
    run INTEGER NOT NULL CHECK (run >= 1),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'cancelled', 'quarantined')),
    route TEXT NOT NULL,
    workflow TEXT NOT NULL,
    queued_at {timestamp} NOT NULL,
    not_before {timestamp} NOT NULL,
    started_at {timestamp},
    finished_at {timestamp},
    lease_owner TEXT,
    lease_until {timestamp},
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    losses INTEGER NOT NULL DEFAULT 0 CHECK (losses >= 0),
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error TEXT,
    UNIQUE (study_uid, run),
    CHECK ((state = 'running') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE UNIQUE INDEX jobs_one_open ON jobs (study_uid) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_one_per_worker ON jobs (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX jobs_queue ON jobs (state, not_before);

CREATE TABLE decisions (
    id {identity},
    study_uid TEXT NOT NULL REFERENCES studies (study_uid),
    run INTEGER NOT NULL CHECK (run >= 1),
    decided_at {timestamp} NOT NULL,
    route TEXT,
    workflow TEXT,
    decision {json} NOT NULL,
    UNIQUE (study_uid, run),
    CHECK ((route IS NULL) = (workflow IS NULL))
);

CREATE TABLE findings (
    id {identity},
    job_id BIGINT NOT NULL UNIQUE REFERENCES jobs (id),
    study_uid TEXT NOT NULL REFERENCES studies (study_uid),
    run INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('result', 'result_with_warnings', 'refused')),
    findings {json} NOT NULL,
    picture TEXT,
    recorded_at {timestamp} NOT NULL,
    UNIQUE (study_uid, run)
);

CREATE TABLE result_objects (
    id {identity},
    study_uid TEXT NOT NULL REFERENCES studies (study_uid),
    job_id BIGINT NOT NULL REFERENCES jobs (id),
    kind TEXT NOT NULL CHECK (kind IN ('seg', 'sr', 'text', 'picture')),
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    made_at {timestamp} NOT NULL
);
CREATE INDEX result_objects_by_study ON result_objects (study_uid);

CREATE TABLE deliveries (
    id {identity},
    object_id BIGINT NOT NULL REFERENCES result_objects (id),
    destination TEXT NOT NULL CHECK (destination <> ''),
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'rejected', 'gave_up', 'superseded')),
    queued_at {timestamp} NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at {timestamp},
    delivered_at {timestamp},
    status INTEGER,
    last_error TEXT,
    UNIQUE (object_id, destination),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
);
CREATE INDEX deliveries_due ON deliveries (destination, next_attempt_at) WHERE state = 'pending';

CREATE TABLE events (
    id {identity},
    at {timestamp} NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    study_uid TEXT,
    association_id BIGINT REFERENCES associations (id)
);
CREATE INDEX events_by_study ON events (study_uid, id);
