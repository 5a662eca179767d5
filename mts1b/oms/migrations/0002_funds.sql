-- What each fund owns. Both tables are projections of fills and of the opening: recomputing them must give the same.

CREATE TABLE funds (
    fund_id text PRIMARY KEY,
    opening_cash numeric NOT NULL,
    cash numeric NOT NULL,
    report_sequence bigint NOT NULL DEFAULT 0,  -- the last venue report that has been followed
    updated_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE positions (
    fund_id text NOT NULL,
    symbol text NOT NULL,
    quantity numeric NOT NULL,
    average_price numeric NOT NULL,
    realised_pnl numeric NOT NULL,
    fees numeric NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (fund_id, symbol)
) WITH (fillfactor = 70);

CREATE TABLE nav_marks (
    fund_id text NOT NULL,
    "timestamp" bigint NOT NULL,
    nav numeric NOT NULL,
    cash numeric NOT NULL,
    gross numeric NOT NULL,
    PRIMARY KEY (fund_id, "timestamp")
);
