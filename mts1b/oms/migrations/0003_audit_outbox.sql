-- The hash chain (see mts1b.audit.chain). `content` is text: a hash is over bytes, and jsonb would not keep them.

CREATE TABLE audit_chain (
    sequence bigint PRIMARY KEY,
    subject_id text NOT NULL,
    kind text NOT NULL,
    content text NOT NULL,
    "timestamp" bigint NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL
);

CREATE INDEX audit_chain_subject_id_timestamp ON audit_chain (subject_id, "timestamp");

-- What the bus has yet to be told, in the order of commits.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fund_id text NOT NULL,
    subject text NOT NULL,
    message_id text NOT NULL,
    payload text NOT NULL,
    created_at bigint NOT NULL,
    published_at bigint
) WITH (fillfactor = 80);

CREATE INDEX outbox_unpublished ON outbox (fund_id, id) WHERE published_at IS NULL;
