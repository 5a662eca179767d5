-- Who may write a fund. Every transaction of a writer holds the row of its epoch while it commits, so that taking the
-- lease over waits for it, and whoever lost the lease commits nothing any more. Times are this server's.

CREATE TABLE writer_leases (
    fund_id text PRIMARY KEY,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION holds_lease(fund text, held bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF held = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'MTS01', MESSAGE = format('another writer has taken %s over', fund);
    END IF;
    RETURN true;
END $$;
