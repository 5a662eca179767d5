-- Money that came or went without a trade: deposits, withdrawals, borrow fees, interest, dividends. `sequence` is that of
-- the audit link which proves the row.

CREATE TABLE cash_moves (
    fund_id text NOT NULL,
    move_id text NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL,
    note text NOT NULL,
    symbol text,
    "timestamp" bigint NOT NULL,
    PRIMARY KEY (fund_id, move_id)
);

-- The last price of each name on each day that a fund was valued on: what a statement of that day is made with. Kept by
-- a trigger, so that whoever writes marks keeps them.

CREATE TABLE day_marks (
    fund_id text NOT NULL,
    symbol text NOT NULL,
    day integer NOT NULL,  -- days since 1970, UTC
    price numeric NOT NULL,
    "timestamp" bigint NOT NULL,
    PRIMARY KEY (fund_id, symbol, day)
) WITH (fillfactor = 80);

CREATE FUNCTION keep_day_marks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO day_marks AS kept (fund_id, symbol, day, price, "timestamp")
    SELECT fund_id, symbol, ("timestamp" / 86400000000000)::integer, price, "timestamp" FROM fresh
    ON CONFLICT (fund_id, symbol, day) DO UPDATE SET price = excluded.price, "timestamp" = excluded."timestamp"
        WHERE excluded."timestamp" >= kept."timestamp";
    RETURN NULL;
END $$;

CREATE TRIGGER marks_inserted AFTER INSERT ON marks REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION keep_day_marks();
CREATE TRIGGER marks_updated AFTER UPDATE ON marks REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION keep_day_marks();

INSERT INTO day_marks SELECT fund_id, symbol, ("timestamp" / 86400000000000)::integer, price, "timestamp" FROM marks;
