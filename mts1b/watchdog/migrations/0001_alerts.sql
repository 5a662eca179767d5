-- Alerts that stand and that stood (see mts1b.watchdog.book). Times in UTC nanoseconds; cleared_at null: it stands.

CREATE TABLE watchdog_alerts (
    alert_id text PRIMARY KEY,
    alert text NOT NULL,
    subject text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    summary text NOT NULL,
    numbers jsonb NOT NULL,
    raised_at bigint NOT NULL,
    cleared_at bigint,
    lasts_s float8 NOT NULL
);

CREATE UNIQUE INDEX watchdog_alerts_standing ON watchdog_alerts (alert, subject) WHERE cleared_at IS NULL;
CREATE INDEX watchdog_alerts_raised_at ON watchdog_alerts (raised_at);

-- What live values are compared with, kept so that a watchdog that starts again goes on comparing.
CREATE TABLE watchdog_references (
    alert text NOT NULL,
    subject text NOT NULL,
    expected float8[] NOT NULL,
    observations integer NOT NULL,  -- independent ones among the values
    given_at bigint NOT NULL,
    PRIMARY KEY (alert, subject)
);
