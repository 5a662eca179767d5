-- How much a fund may do, and where its drawdown is counted from since a person re-armed it: no restart loosens either.

ALTER TABLE funds
    ADD COLUMN mode text NOT NULL DEFAULT 'active',
    ADD COLUMN rearmed_nav numeric,
    ADD COLUMN rearmed_at bigint;  -- the last mark before it: marks up to there are no peak any more
