-- A fund's limits. The newest version holds; what held when can always be told, so nothing here is ever changed.

CREATE TABLE fund_limits (
    fund_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    limits jsonb NOT NULL,
    set_by text NOT NULL,
    why text NOT NULL,
    set_at bigint NOT NULL,
    PRIMARY KEY (fund_id, version)
);

CREATE FUNCTION versions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version in % is never changed: add the next one', TG_TABLE_NAME;
END $$;

CREATE TRIGGER fund_limits_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON fund_limits
    FOR EACH STATEMENT EXECUTE FUNCTION versions_stay();
