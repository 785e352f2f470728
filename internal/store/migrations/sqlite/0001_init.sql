-- Times are microseconds since 1970 in UTC; 0 means none, except finished_at,
-- which is NULL exactly while the row is open. The states are compared one by
-- one: for IN (…) in a CHECK, SQLite builds a table for every row written.

-- revision: n counts the changes of configuration; seal_check: value opens
-- only under the master key of this database.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    n     INTEGER NOT NULL,
    value BLOB
) WITHOUT ROWID;
INSERT INTO meta (key, n) VALUES ('revision', 1);

-- The row of a message with one delivery stays as it was when that is sent or
-- refused: state and finished_at of the delivery count.
CREATE TABLE messages (
    id            TEXT PRIMARY KEY,
    key_id        TEXT NOT NULL,
    source        TEXT NOT NULL,
    reference     TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    traceparent   TEXT NOT NULL,
    scene         TEXT NOT NULL,
    scene_version INTEGER NOT NULL,
    app           TEXT NOT NULL,
    type          TEXT NOT NULL,
    title         TEXT NOT NULL,
    text          TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    state         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    send_at       INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    request       BLOB NOT NULL,
    digest_key    TEXT NOT NULL,
    merged_into   TEXT NOT NULL,
    resend_of     TEXT NOT NULL,
    deliveries    INTEGER NOT NULL,
    recipients    INTEGER NOT NULL,
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
    id           TEXT PRIMARY KEY,
    message_id   TEXT NOT NULL,
    lane         TEXT NOT NULL,
    priority     INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    state        TEXT NOT NULL,
    wait_reason  TEXT NOT NULL,
    due_at       INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    body         BLOB NOT NULL,
    media        TEXT NOT NULL,
    dup_until    INTEGER NOT NULL, -- -1 undecided, 0 without the check
    dup_window   INTEGER NOT NULL,
    on_uncertain TEXT NOT NULL,
    scene        TEXT NOT NULL,
    digest       TEXT NOT NULL,
    handling     TEXT NOT NULL,
    recipients   INTEGER NOT NULL,
    tries        INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    doubts       INTEGER NOT NULL DEFAULT 0, -- of attempts, those that WeCom may have taken
    failed_class TEXT NOT NULL,
    errcode      INTEGER NOT NULL DEFAULT 0,
    reason       TEXT NOT NULL DEFAULT '',
    merged_into  TEXT NOT NULL DEFAULT '', -- the digest that carries it
    owner        TEXT NOT NULL,
    fence        INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    since        INTEGER NOT NULL, -- when it could go for the first time
    sole         INTEGER NOT NULL DEFAULT 0, -- 1 for the only one of its message
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
    message_id  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    rkey        TEXT NOT NULL,
    id          TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    outcome     TEXT,
    errcode     INTEGER NOT NULL DEFAULT 0,
    reason      TEXT NOT NULL DEFAULT '',
    at          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message_id, kind, rkey)
) WITHOUT ROWID;
CREATE INDEX recipients_rkey ON recipients (rkey, message_id);
CREATE INDEX recipients_spoken ON recipients (message_id, delivery_id, outcome) WHERE outcome IS NOT NULL;
CREATE INDEX recipients_errcode ON recipients (errcode, message_id) WHERE errcode <> 0;

-- fence is part of the key: a late answer under an old fence stands beside
-- the attempt that was written for it.
CREATE TABLE attempts (
    message_id    TEXT NOT NULL,
    delivery_id   TEXT NOT NULL,
    n             INTEGER NOT NULL,
    fence         INTEGER NOT NULL,
    lane          TEXT NOT NULL,
    node          TEXT NOT NULL,
    started_at    INTEGER NOT NULL,
    duration      INTEGER NOT NULL,
    class         TEXT NOT NULL,
    http_status   INTEGER NOT NULL,
    errcode       INTEGER NOT NULL,
    errmsg        TEXT NOT NULL,
    msgid         TEXT NOT NULL,
    response_code BLOB NOT NULL,
    stale         INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, n, fence)
) WITHOUT ROWID;
CREATE INDEX attempts_lane ON attempts (lane, started_at);
CREATE INDEX attempts_errcode ON attempts (errcode, message_id) WHERE errcode <> 0;

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    type        TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    at          INTEGER NOT NULL,
    data        TEXT NOT NULL
);
CREATE INDEX events_message ON events (message_id) WHERE message_id <> '';

CREATE TABLE idempotency (
    key_id     TEXT NOT NULL,
    key        TEXT NOT NULL,
    body_hash  BLOB NOT NULL,
    status     INTEGER NOT NULL,
    answer     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE resources (
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    code       INTEGER,
    spec       BLOB NOT NULL,
    secrets    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX resources_code ON resources (kind, code) WHERE code IS NOT NULL;

CREATE TABLE scene_versions (
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    spec       BLOB NOT NULL,
    by_key     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) WITHOUT ROWID;

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    scopes       TEXT NOT NULL,
    scenes       TEXT NOT NULL,
    apps         TEXT NOT NULL,
    networks     TEXT NOT NULL,
    app          TEXT NOT NULL,
    per_minute   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    revoked_at   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE uploads (
    id         TEXT PRIMARY KEY,
    sha256     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    type       TEXT NOT NULL,
    filename   TEXT NOT NULL,
    mime       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_sha256 ON uploads (sha256);
CREATE INDEX uploads_expires ON uploads (expires_at);

CREATE TABLE media_blobs (
    sha256     TEXT PRIMARY KEY,
    data       BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE wecom_media (
    scope      TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    type       TEXT NOT NULL,
    media_id   TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, sha256, type)
) WITHOUT ROWID;

CREATE TABLE tokens (
    key        TEXT PRIMARY KEY,
    value      BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    fetched_at INTEGER NOT NULL,
    lock_node  TEXT NOT NULL,
    lock_until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE app_health (
    app           TEXT PRIMARY KEY,
    state         TEXT NOT NULL,
    cause         TEXT NOT NULL,
    errcode       INTEGER NOT NULL,
    seen_ip       TEXT NOT NULL,
    since         INTEGER NOT NULL,
    next_probe_at INTEGER NOT NULL,
    rev           INTEGER NOT NULL
) WITHOUT ROWID;

-- snapshot: what the app read of WeCom's directory, packed.
CREATE TABLE directory (
    app        TEXT PRIMARY KEY,
    snapshot   BLOB NOT NULL,
    fetched_at INTEGER NOT NULL
);

-- members: who is in a group chat that an app made, with bars between them.
CREATE TABLE chats (
    app     TEXT NOT NULL,
    chat    TEXT NOT NULL,
    members TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (app, chat)
) WITHOUT ROWID;
CREATE INDEX chats_read ON chats (read_at);

-- The latest run of each schedule. planned_at is the latest planned time that
-- is settled, also when a later run was made by hand.
CREATE TABLE schedule_runs (
    schedule   TEXT PRIMARY KEY,
    planned_at INTEGER NOT NULL,
    by_hand    INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    result     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    error      TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE lanes (
    key         TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    fence       INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    status      TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- The windows of digests that are open, so that they outlive their lane's owner.
CREATE TABLE digest_windows (
    lane     TEXT NOT NULL,
    grp      TEXT NOT NULL,
    until_at INTEGER NOT NULL,
    opener   TEXT NOT NULL, -- the message that opened it
    PRIMARY KEY (lane, grp)
) WITHOUT ROWID;
CREATE INDEX digest_windows_until ON digest_windows (until_at);

-- The gateways that share this database and when each was last heard of.
CREATE TABLE nodes (
    name     TEXT PRIMARY KEY,
    seen_at  INTEGER NOT NULL,
    instance TEXT NOT NULL, -- the process that goes by this name
    leaving  INTEGER NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1))
) WITHOUT ROWID;
