-- Master data that risk goes by: instruments, average daily volume, what can be borrowed. A version is a whole table, as
-- of a moment (UTC nanoseconds); the newest of each kind holds, and none is ever changed.

CREATE TABLE master_tables (
    kind text NOT NULL CHECK (kind IN ('instruments', 'adv', 'borrow')),
    version integer NOT NULL CHECK (version > 0),
    content jsonb NOT NULL,
    as_of bigint NOT NULL,
    source text NOT NULL,
    set_by text NOT NULL,
    why text NOT NULL,
    set_at bigint NOT NULL,
    PRIMARY KEY (kind, version)
);

CREATE TRIGGER master_tables_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON master_tables
    FOR EACH STATEMENT EXECUTE FUNCTION versions_stay();
