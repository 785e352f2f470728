-- Times are microseconds since 1970 in UTC; 0 means none, except finished_at,
-- which is NULL exactly while the row is open.

-- revision: n counts the changes of configuration; seal_check: value opens
-- only under the master key of this database.
CREATE TABLE meta (
    key   TEXT COLLATE "C" PRIMARY KEY,
    n     BIGINT NOT NULL,
    value BYTEA
);
INSERT INTO meta (key, n) VALUES ('revision', 1);

-- The row of a message with one delivery stays as it was when that is sent or
-- refused: state and finished_at of the delivery count.
CREATE TABLE messages (
    id            TEXT COLLATE "C" PRIMARY KEY,
    key_id        TEXT COLLATE "C" NOT NULL,
    source        TEXT COLLATE "C" NOT NULL,
    reference     TEXT COLLATE "C" NOT NULL,
    request_id    TEXT COLLATE "C" NOT NULL,
    traceparent   TEXT COLLATE "C" NOT NULL,
    scene         TEXT COLLATE "C" NOT NULL,
    scene_version BIGINT NOT NULL,
    app           TEXT COLLATE "C" NOT NULL,
    type          TEXT COLLATE "C" NOT NULL,
    title         TEXT COLLATE "C" NOT NULL,
    text          TEXT COLLATE "C" NOT NULL,
    priority      BIGINT NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    send_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    finished_at   BIGINT,
    request       BYTEA NOT NULL,
    digest_key    TEXT COLLATE "C" NOT NULL,
    merged_into   TEXT COLLATE "C" NOT NULL,
    resend_of     TEXT COLLATE "C" NOT NULL,
    deliveries    BIGINT NOT NULL,
    recipients    BIGINT NOT NULL,
    CHECK (finished_at IS NULL AND (state = 'scheduled' OR state = 'queued' OR state = 'sending')
        OR finished_at IS NOT NULL AND (state = 'sent' OR state = 'partial' OR state = 'failed' OR state = 'expired'
            OR state = 'cancelled' OR state = 'merged' OR state = 'uncertain'))
);
CREATE INDEX messages_scene ON messages (scene, id) WHERE scene <> '';
CREATE INDEX messages_app ON messages (app, id) WHERE app <> '';
CREATE INDEX messages_reference ON messages (reference, id) WHERE reference <> '';
CREATE INDEX messages_source ON messages (source, id) WHERE source <> 'api';
CREATE INDEX messages_bare ON messages (deliveries, id) WHERE deliveries = 0;

CREATE TABLE deliveries (
    id           TEXT COLLATE "C" PRIMARY KEY,
    message_id   TEXT COLLATE "C" NOT NULL,
    lane         TEXT COLLATE "C" NOT NULL,
    priority     BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 3),
    state        TEXT COLLATE "C" NOT NULL,
    wait_reason  TEXT COLLATE "C" NOT NULL,
    due_at       BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    body         BYTEA NOT NULL,
    media        TEXT COLLATE "C" NOT NULL,
    dup_until    BIGINT NOT NULL, -- -1 undecided, 0 without the check
    dup_window   BIGINT NOT NULL,
    on_uncertain TEXT COLLATE "C" NOT NULL,
    scene        TEXT COLLATE "C" NOT NULL,
    digest       TEXT COLLATE "C" NOT NULL,
    handling     TEXT COLLATE "C" NOT NULL,
    recipients   BIGINT NOT NULL,
    tries        BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    doubts       BIGINT NOT NULL DEFAULT 0, -- of attempts, those that WeCom may have taken
    failed_class TEXT COLLATE "C" NOT NULL,
    errcode      BIGINT NOT NULL DEFAULT 0,
    reason       TEXT COLLATE "C" NOT NULL DEFAULT '',
    merged_into  TEXT COLLATE "C" NOT NULL DEFAULT '', -- the digest that carries it
    owner        TEXT COLLATE "C" NOT NULL,
    fence        BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    finished_at  BIGINT,
    since        BIGINT NOT NULL, -- when it could go for the first time
    sole         BIGINT NOT NULL DEFAULT 0, -- 1 for the only one of its message
    CHECK (finished_at IS NULL AND (state = 'scheduled' OR state = 'queued' OR state = 'sending')
        OR finished_at IS NOT NULL AND (state = 'sent' OR state = 'partial' OR state = 'failed' OR state = 'expired'
            OR state = 'cancelled' OR state = 'merged' OR state = 'uncertain'))
);
CREATE INDEX deliveries_message ON deliveries (message_id);
CREATE INDEX deliveries_state ON deliveries (state, message_id);
CREATE INDEX deliveries_scheduled ON deliveries (tries, message_id, due_at) WHERE finished_at IS NULL AND state <> 'sending' AND state <> 'queued';
-- One walk per stream: what shares a lane, a priority and a scene. The last two
-- are for counting without the rows.
CREATE INDEX deliveries_live ON deliveries (lane, priority, scene, due_at, id, wait_reason, since) WHERE finished_at IS NULL AND state <> 'sending';
-- What has expired behind others that go on waiting. Its condition keeps other
-- queries away: they are better off with deliveries_live.
CREATE INDEX deliveries_expiring ON deliveries (lane, expires_at) WHERE finished_at IS NULL AND state <> 'sending' AND expires_at > 0;
CREATE INDEX deliveries_merged ON deliveries (merged_into, message_id) WHERE merged_into <> '';
CREATE INDEX deliveries_digest ON deliveries (lane, digest, id) WHERE digest <> '' AND finished_at IS NULL AND state <> 'sending';

-- outcome is NULL while it follows from the state of the delivery.
CREATE TABLE recipients (
    message_id  TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    rkey        TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    delivery_id TEXT COLLATE "C" NOT NULL,
    outcome     TEXT COLLATE "C",
    errcode     BIGINT NOT NULL DEFAULT 0,
    reason      TEXT COLLATE "C" NOT NULL DEFAULT '',
    at          BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (message_id, kind, rkey)
);
CREATE INDEX recipients_rkey ON recipients (rkey, message_id);
CREATE INDEX recipients_spoken ON recipients (message_id, delivery_id, outcome) WHERE outcome IS NOT NULL;
CREATE INDEX recipients_errcode ON recipients (errcode, message_id) WHERE errcode <> 0;

-- fence is part of the key: a late answer under an old fence stands beside
-- the attempt that was written for it.
CREATE TABLE attempts (
    message_id    TEXT COLLATE "C" NOT NULL,
    delivery_id   TEXT COLLATE "C" NOT NULL,
    n             BIGINT NOT NULL,
    fence         BIGINT NOT NULL,
    lane          TEXT COLLATE "C" NOT NULL,
    node          TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT NOT NULL,
    duration      BIGINT NOT NULL,
    class         TEXT COLLATE "C" NOT NULL,
    http_status   BIGINT NOT NULL,
    errcode       BIGINT NOT NULL,
    errmsg        TEXT COLLATE "C" NOT NULL,
    msgid         TEXT COLLATE "C" NOT NULL,
    response_code BYTEA NOT NULL,
    stale         BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, n, fence)
);
CREATE INDEX attempts_lane ON attempts (lane, started_at);
CREATE INDEX attempts_errcode ON attempts (errcode, message_id) WHERE errcode <> 0;

CREATE TABLE events (
    seq         BIGSERIAL PRIMARY KEY,
    type        TEXT COLLATE "C" NOT NULL,
    message_id  TEXT COLLATE "C" NOT NULL,
    delivery_id TEXT COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    data        TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_message ON events (message_id) WHERE message_id <> '';

CREATE TABLE idempotency (
    key_id     TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    body_hash  BYTEA NOT NULL,
    status     BIGINT NOT NULL,
    answer     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE resources (
    kind       TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    code       BIGINT,
    spec       BYTEA NOT NULL,
    secrets    BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE UNIQUE INDEX resources_code ON resources (kind, code) WHERE code IS NOT NULL;

CREATE TABLE scene_versions (
    key        TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    spec       BYTEA NOT NULL,
    by_key     TEXT COLLATE "C" NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (key, version)
);

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    prefix       TEXT COLLATE "C" NOT NULL,
    hash         BYTEA NOT NULL UNIQUE,
    scopes       TEXT COLLATE "C" NOT NULL,
    scenes       TEXT COLLATE "C" NOT NULL,
    apps         TEXT COLLATE "C" NOT NULL,
    networks     TEXT COLLATE "C" NOT NULL,
    app          TEXT COLLATE "C" NOT NULL,
    per_minute   BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL
);

CREATE TABLE uploads (
    id         TEXT COLLATE "C" PRIMARY KEY,
    sha256     TEXT COLLATE "C" NOT NULL,
    size       BIGINT NOT NULL,
    type       TEXT COLLATE "C" NOT NULL,
    filename   TEXT COLLATE "C" NOT NULL,
    mime       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX uploads_sha256 ON uploads (sha256);
CREATE INDEX uploads_expires ON uploads (expires_at);

CREATE TABLE media_blobs (
    sha256     TEXT COLLATE "C" PRIMARY KEY,
    data       BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE wecom_media (
    scope      TEXT COLLATE "C" NOT NULL,
    sha256     TEXT COLLATE "C" NOT NULL,
    type       TEXT COLLATE "C" NOT NULL,
    media_id   TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (scope, sha256, type)
);

CREATE TABLE tokens (
    key        TEXT COLLATE "C" PRIMARY KEY,
    value      BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    lock_node  TEXT COLLATE "C" NOT NULL,
    lock_until BIGINT NOT NULL
);

CREATE TABLE app_health (
    app           TEXT COLLATE "C" PRIMARY KEY,
    state         TEXT COLLATE "C" NOT NULL,
    cause         TEXT COLLATE "C" NOT NULL,
    errcode       BIGINT NOT NULL,
    seen_ip       TEXT COLLATE "C" NOT NULL,
    since         BIGINT NOT NULL,
    next_probe_at BIGINT NOT NULL,
    rev           BIGINT NOT NULL
);

-- snapshot: what the app read of WeCom's directory, packed.
CREATE TABLE directory (
    app        TEXT COLLATE "C" PRIMARY KEY,
    snapshot   BYTEA NOT NULL,
    fetched_at BIGINT NOT NULL
);

-- members: who is in a group chat that an app made, with bars between them.
CREATE TABLE chats (
    app     TEXT NOT NULL,
    chat    TEXT NOT NULL,
    members TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    PRIMARY KEY (app, chat)
);
CREATE INDEX chats_read ON chats (read_at);

-- The latest run of each schedule. planned_at is the latest planned time that
-- is settled, also when a later run was made by hand.
CREATE TABLE schedule_runs (
    schedule   TEXT COLLATE "C" PRIMARY KEY,
    planned_at BIGINT NOT NULL,
    by_hand    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    result     TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    error      TEXT COLLATE "C" NOT NULL
);

CREATE TABLE lanes (
    key         TEXT COLLATE "C" PRIMARY KEY,
    owner       TEXT COLLATE "C" NOT NULL,
    fence       BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    status      TEXT COLLATE "C" NOT NULL DEFAULT ''
);

-- The windows of digests that are open, so that they outlive their lane's owner.
CREATE TABLE digest_windows (
    lane     TEXT COLLATE "C" NOT NULL,
    grp      TEXT COLLATE "C" NOT NULL,
    until_at BIGINT NOT NULL,
    opener   TEXT COLLATE "C" NOT NULL, -- the message that opened it
    PRIMARY KEY (lane, grp)
);
CREATE INDEX digest_windows_until ON digest_windows (until_at);

-- The gateways that share this database and when each was last heard of.
CREATE TABLE nodes (
    name     TEXT COLLATE "C" PRIMARY KEY,
    seen_at  BIGINT NOT NULL,
    instance TEXT COLLATE "C" NOT NULL, -- the process that goes by this name
    leaving  BIGINT NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1))
);

-- One row for each gateway that runs. A crash of the server, and a standby that
-- takes over, find it empty: so a gateway notices them.
CREATE UNLOGGED TABLE canaries (
    id TEXT COLLATE "C" PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL
);

-- Deliveries change a few times soon after they were written and never again.
ALTER TABLE deliveries SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE messages SET (autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE lanes SET (fillfactor = 50);
