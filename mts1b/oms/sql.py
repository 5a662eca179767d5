"""The statements of the journal. One step, or a batch of them, is one statement: one round trip, one transaction.

Each table's rows arrive as one JSON array and are typed by the table itself (`json_populate_recordset`); numbers are
JSON texts, so that a Decimal arrives as it left. Audit links, most of what is written and long texts, arrive as one
array for each column; an order's events are made of those that are about it.
"""

from __future__ import annotations

from functools import cache

ORDER_COLUMNS = (
    "order_id, client_order_id, idempotency_key, fund_id, strategy_id, symbol, side, order_type, time_in_force, "
    "quantity, reference_price, limit_price, status, filled_quantity, average_price, fees, "
    "venue_order_id, reason, created_at, updated_at, stop_price, good_till_at, revision, wanted, "
    "group_id, group_role, group_quantity, send_by_at"
)

NEW_ORDERS = f"""
    INSERT INTO orders ({ORDER_COLUMNS}, dedup_until, content, content_until)
    SELECT {ORDER_COLUMNS}, dedup_until, content, content_until
    FROM json_populate_recordset(NULL::orders, @) RETURNING 1"""  # noqa: S608

WRITES = {
    "new_orders": NEW_ORDERS,
    "moved_orders": """
    UPDATE orders AS o SET status = r.status, filled_quantity = r.filled_quantity, average_price = r.average_price,
        fees = r.fees, venue_order_id = r.venue_order_id, reason = r.reason, updated_at = r.updated_at,
        quantity = r.quantity, limit_price = r.limit_price, stop_price = r.stop_price, revision = r.revision,
        wanted = r.wanted, send_by_at = r.send_by_at
    FROM json_populate_recordset(NULL::orders, @) AS r WHERE o.order_id = r.order_id RETURNING 1""",
    "fills": """
    INSERT INTO fills (fill_id, order_id, fund_id, strategy_id, symbol, side, quantity, price, fee, "timestamp")
    SELECT fill_id, order_id, fund_id, strategy_id, symbol, side, quantity, price, fee, "timestamp"
    FROM json_populate_recordset(NULL::fills, @) RETURNING 1""",
    "positions": """
    INSERT INTO positions (fund_id, symbol, quantity, average_price, realised_pnl, fees, updated_at)
    SELECT fund_id, symbol, quantity, average_price, realised_pnl, fees, updated_at
    FROM json_populate_recordset(NULL::positions, @)
    ON CONFLICT (fund_id, symbol) DO UPDATE SET quantity = excluded.quantity, average_price = excluded.average_price,
        realised_pnl = excluded.realised_pnl, fees = excluded.fees, updated_at = excluded.updated_at RETURNING 1""",
    "links": """
    INSERT INTO audit_chain (sequence, subject_id, kind, content, "timestamp", previous_hash, hash)
    SELECT sequence, subject_id, kind, content, "timestamp", previous_hash, hash FROM given RETURNING 1),
events AS (
    INSERT INTO order_events (order_id, sequence, kind, content)
    SELECT subject_id, sequence, kind, content::jsonb FROM given WHERE is_event RETURNING 1""",
    "outbox": """
    INSERT INTO outbox (fund_id, subject, message_id, payload, created_at)
    SELECT fund_id, subject, message_id, payload, created_at
    FROM json_populate_recordset(NULL::outbox, @) RETURNING 1""",
    "nav_marks": """
    INSERT INTO nav_marks (fund_id, "timestamp", nav, cash, gross)
    SELECT fund_id, "timestamp", nav, cash, gross FROM json_populate_recordset(NULL::nav_marks, @)
    ON CONFLICT (fund_id, "timestamp") DO UPDATE
        SET nav = excluded.nav, cash = excluded.cash, gross = excluded.gross RETURNING 1""",
    "marks": """
    INSERT INTO marks (fund_id, symbol, price, "timestamp", received_at)
    SELECT fund_id, symbol, price, "timestamp", received_at FROM json_populate_recordset(NULL::marks, @)
    ON CONFLICT (fund_id, symbol) DO UPDATE SET price = excluded.price, "timestamp" = excluded."timestamp",
        received_at = excluded.received_at RETURNING 1""",
    "funds": """
    UPDATE funds AS f SET cash = coalesce(r.cash, f.cash), mode = coalesce(r.mode, f.mode),
        manual_mode = coalesce(r.manual_mode, f.manual_mode), throttled = coalesce(r.throttled, f.throttled),
        rearmed_on = coalesce(r.rearmed_on, f.rearmed_on),
        rearmed_nav = coalesce(r.rearmed_nav, f.rearmed_nav), rearmed_at = coalesce(r.rearmed_at, f.rearmed_at),
        report_sequence = greatest(f.report_sequence, r.report_sequence), updated_at = r.updated_at
    FROM json_populate_recordset(NULL::funds, @) AS r WHERE f.fund_id = r.fund_id RETURNING 1""",
    "cash_moves": """
    INSERT INTO cash_moves (fund_id, move_id, sequence, kind, currency, amount, note, symbol, "timestamp")
    SELECT fund_id, move_id, sequence, kind, currency, amount, note, symbol, "timestamp"
    FROM json_populate_recordset(NULL::cash_moves, @) RETURNING 1""",
}
"""How the rows of each table are written; @ is the parameter with them, as a JSON array."""

LINK_TYPES = ("bigint", "text", "text", "text", "bigint", "text", "text", "boolean")
GIVEN = """given AS MATERIALIZED (SELECT * FROM unnest({arrays})
    AS link (sequence, subject_id, kind, content, "timestamp", previous_hash, hash, is_event))"""
"""The links, column by column; the last column says which of them is an event of an order that is kept."""

CHANGED = ("moved_orders", "funds")
"""Rows that must be there already: writing fewer than asked for fails the whole statement."""


@cache
def write(tables: tuple[str, ...]) -> str:
    """One statement that writes these tables' rows. $1 and $2 are fund and epoch, then come the columns of the links,
    then the rows of the tables in their order. It fails as a whole when the epoch is not the fund's any more."""
    parts = ["lease AS (SELECT 1 FROM writer_leases WHERE fund_id = $1 AND epoch = $2 FOR SHARE)"]
    parts.append(GIVEN.format(arrays=", ".join(f"${at}::{name}[]" for at, name in enumerate(LINK_TYPES, 3))))
    parts.append(f"links AS ({WRITES['links']})")
    checks = ["holds_lease($1, (SELECT count(*) FROM lease))"]
    for at, table in enumerate(tables, 3 + len(LINK_TYPES)):
        parts.append(f"{table} AS ({WRITES[table].replace('@', f'${at}')})")
        if table in CHANGED:
            checks.append(f"all_written('{table}', (SELECT count(*) FROM {table}), json_array_length(${at}))")  # noqa: S608
    return f"WITH {', '.join(parts)} SELECT {' AND '.join(checks)}"  # noqa: S608 the names are ours


TAKE_LEASE = """
INSERT INTO writer_leases AS l (fund_id, epoch, holder, expires_at)
VALUES ($1, 1, $2, clock_timestamp() + $3::float8 * interval '1 second')
ON CONFLICT (fund_id) DO UPDATE SET epoch = l.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
    WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
RETURNING epoch"""
"""A writer takes its own lease over at once: it knows what it sent. Another's only when that has run out."""

RENEW_LEASE = """UPDATE writer_leases SET expires_at = clock_timestamp() + $3::float8 * interval '1 second'
    WHERE fund_id = $1 AND epoch = $2 RETURNING epoch"""
RELEASE_LEASE = "UPDATE writer_leases SET expires_at = '-infinity' WHERE fund_id = $1 AND epoch = $2"

BECOME_WRITER = (
    "SELECT set_config(name, value, false) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'), ('jit', 'off'), "
    "('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), "
    "('application_name', left('mts writer ' || $1::text, 63))) AS plan (name, value)"
)
"""The writer shows by its name in pg_stat_activity. It finds rows by key, however small a table was when the plan was
made: cost stays flat as it grows."""

OPEN_FUND = "INSERT INTO funds (fund_id, opening_cash, cash, updated_at) VALUES ($1, $2, $2, $3)"

HEAD = "SELECT sequence, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1"

WITH_FILLS = f"""
SELECT {ORDER_COLUMNS}, ARRAY(
    SELECT fill_id FROM fills AS f WHERE f.order_id = o.order_id ORDER BY f."timestamp", f.fill_id
) AS fill_ids FROM orders AS o
"""  # noqa: S608 the columns are ours

ORDER = f"{WITH_FILLS} WHERE order_id = $1"
ORDER_BY_CLIENT_ID = f"{WITH_FILLS} WHERE client_order_id = $1"
ORDER_BY_KEY = f"{WITH_FILLS} WHERE idempotency_key = $1 ORDER BY created_at DESC LIMIT 1"
OPEN_ORDERS = f"""{WITH_FILLS} WHERE fund_id = $1
    AND status NOT IN ('denied', 'filled', 'cancelled', 'rejected', 'expired') ORDER BY created_at, order_id"""

OPEN_GROUPS = f"""{WITH_FILLS} WHERE group_id IN (
    SELECT group_id FROM orders WHERE fund_id = $1 AND group_id IS NOT NULL
    AND status NOT IN ('denied', 'filled', 'cancelled', 'rejected', 'expired'))
    AND status IN ('denied', 'filled', 'cancelled', 'rejected', 'expired') ORDER BY created_at, order_id"""  # noqa: S608
"""Of groups with an open order, those members that have ended."""

FUND = "SELECT cash, report_sequence, mode, manual_mode, throttled FROM funds WHERE fund_id = $1"
POSITIONS = """SELECT fund_id, symbol, quantity, average_price, realised_pnl, fees FROM positions
    WHERE fund_id = $1 ORDER BY symbol"""
MARKS = """SELECT symbol, price, "timestamp", received_at FROM marks WHERE fund_id = $1 ORDER BY symbol"""
RECENT = """SELECT strategy_id, symbol, side, created_at, CASE WHEN filled_quantity > 0
        AND updated_at > coalesce((SELECT rearmed_on FROM funds WHERE fund_id = $1), 0) THEN updated_at END AS traded_at
    FROM orders WHERE fund_id = $1 AND created_at > $2 AND status <> 'denied' ORDER BY created_at DESC LIMIT $3"""
KEYS = """SELECT * FROM (
    SELECT idempotency_key, order_id, created_at FROM orders WHERE fund_id = $1 AND created_at > $2
    ORDER BY created_at DESC LIMIT $3
) AS newest ORDER BY created_at"""

NAV = """
WITH last AS (SELECT "timestamp", nav FROM nav_marks WHERE fund_id = $1 ORDER BY "timestamp" DESC LIMIT 1),
    fund AS (SELECT rearmed_nav, coalesce(rearmed_at, -1) AS rearmed_at FROM funds WHERE fund_id = $1)
SELECT last.nav AS last_nav, last."timestamp" AS marked_ns,
    greatest(fund.rearmed_nav,
        (SELECT max(nav) FROM nav_marks WHERE fund_id = $1 AND "timestamp" > fund.rearmed_at)) AS peak_nav,
    CASE WHEN fund.rearmed_nav IS NOT NULL AND fund.rearmed_at / $2 = last."timestamp" / $2 THEN fund.rearmed_nav
    ELSE coalesce(
        (SELECT nav FROM nav_marks WHERE fund_id = $1 AND "timestamp" < last."timestamp" / $2 * $2
            ORDER BY "timestamp" DESC LIMIT 1),
        (SELECT nav FROM nav_marks WHERE fund_id = $1 ORDER BY "timestamp" LIMIT 1)) END AS day_start_nav
FROM last, fund"""
"""The day starts from the last NAV of the day before; the first day from its first NAV; after a re-arm from there."""

CASH_MOVE = """SELECT fund_id, move_id, kind, currency, amount, note, symbol, "timestamp" FROM cash_moves
    WHERE fund_id = $1 AND move_id = $2"""
ORDER_COUNTS = "SELECT status, count(*) FROM orders WHERE fund_id = $1 GROUP BY status"
UNPUBLISHED = """SELECT id, subject, message_id, payload FROM outbox
    WHERE fund_id = $1 AND published_at IS NULL ORDER BY id LIMIT $2"""
PUBLISHED = """UPDATE outbox SET published_at = $2 FROM writer_leases AS l
    WHERE id = ANY($1::bigint[]) AND l.fund_id = $3 AND l.epoch = $4"""
