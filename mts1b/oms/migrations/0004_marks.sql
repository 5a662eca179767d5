-- The last price of each name that a fund was valued at: after a restart the fund has its NAV, and risk its marks, again.

CREATE TABLE marks (
    fund_id text NOT NULL,
    symbol text NOT NULL,
    price numeric NOT NULL,
    "timestamp" bigint NOT NULL,
    PRIMARY KEY (fund_id, symbol)
) WITH (fillfactor = 70);
