-- What holds a fund back besides its latch (`mode`): a person's word and throttled repeats. When each mark came here.

ALTER TABLE funds
    ADD COLUMN manual_mode text NOT NULL DEFAULT 'active',
    ADD COLUMN throttled text[] NOT NULL DEFAULT '{}',
    ADD COLUMN rearmed_on bigint;  -- when a person last re-armed it: trades up to then are no repeats

ALTER TABLE marks ADD COLUMN received_at bigint NOT NULL DEFAULT 0;
