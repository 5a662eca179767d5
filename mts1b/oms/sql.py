"""The statements of the journal. One step, or a batch of them, is one statement: one round trip, one transaction.

Each table's rows arrive as one JSON array and are typed by the table itself (`json_populate_recordset`); numbers are
JSON texts, so that a Decimal arrives as it left.
"""

from __future__ import annotations

ORDER_COLUMNS = (
    "order_id, client_order_id, idempotency_key, fund_id, strategy_id, symbol, side, order_type, time_in_force, "
    "quantity, reference_price, limit_price, status, filled_quantity, average_price, fees, "
    "venue_order_id, reason, created_at, updated_at"
)

WRITE = f"""
WITH new_orders AS (
    INSERT INTO orders ({ORDER_COLUMNS}, dedup_until)
    SELECT {ORDER_COLUMNS}, dedup_until FROM json_populate_recordset(NULL::orders, $1)
), moved AS (
    UPDATE orders AS o SET status = r.status, filled_quantity = r.filled_quantity, average_price = r.average_price,
        fees = r.fees, venue_order_id = r.venue_order_id, reason = r.reason, updated_at = r.updated_at
    FROM json_populate_recordset(NULL::orders, $2) AS r WHERE o.order_id = r.order_id RETURNING 1
), new_fills AS (
    INSERT INTO fills (fill_id, order_id, fund_id, strategy_id, symbol, side, quantity, price, fee, "timestamp")
    SELECT fill_id, order_id, fund_id, strategy_id, symbol, side, quantity, price, fee, "timestamp"
    FROM json_populate_recordset(NULL::fills, $3)
), held AS (
    INSERT INTO positions (fund_id, symbol, quantity, average_price, realised_pnl, fees, updated_at)
    SELECT fund_id, symbol, quantity, average_price, realised_pnl, fees, updated_at
    FROM json_populate_recordset(NULL::positions, $4)
    ON CONFLICT (fund_id, symbol) DO UPDATE SET quantity = excluded.quantity, average_price = excluded.average_price,
        realised_pnl = excluded.realised_pnl, fees = excluded.fees, updated_at = excluded.updated_at
), happened AS (
    INSERT INTO order_events (order_id, sequence, kind, content)
    SELECT order_id, sequence, kind, content FROM json_populate_recordset(NULL::order_events, $5)
), linked AS (
    INSERT INTO audit_chain (sequence, subject_id, kind, content, "timestamp", previous_hash, hash)
    SELECT sequence, subject_id, kind, content, "timestamp", previous_hash, hash
    FROM json_populate_recordset(NULL::audit_chain, $6)
), said AS (
    INSERT INTO outbox (fund_id, subject, message_id, payload, created_at)
    SELECT fund_id, subject, message_id, payload, created_at FROM json_populate_recordset(NULL::outbox, $7)
), marked AS (
    INSERT INTO nav_marks (fund_id, "timestamp", nav, cash, gross)
    SELECT fund_id, "timestamp", nav, cash, gross FROM json_populate_recordset(NULL::nav_marks, $8)
    ON CONFLICT (fund_id, "timestamp") DO UPDATE SET nav = excluded.nav, cash = excluded.cash, gross = excluded.gross
), paid AS (
    UPDATE funds AS f SET cash = coalesce(r.cash, f.cash),
        report_sequence = greatest(f.report_sequence, r.report_sequence), updated_at = r.updated_at
    FROM json_populate_recordset(NULL::funds, $9) AS r WHERE f.fund_id = r.fund_id RETURNING 1
)
SELECT (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM paid) AS paid
"""  # noqa: S608 the columns are ours

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

FUND = "SELECT cash, report_sequence FROM funds WHERE fund_id = $1"
POSITIONS = """SELECT fund_id, symbol, quantity, average_price, realised_pnl, fees FROM positions
    WHERE fund_id = $1 ORDER BY symbol"""
KEYS = """SELECT * FROM (
    SELECT idempotency_key, order_id, created_at FROM orders WHERE fund_id = $1 AND created_at > $2
    ORDER BY created_at DESC LIMIT $3
) AS newest ORDER BY created_at"""

NAV = """
WITH last AS (SELECT "timestamp", nav FROM nav_marks WHERE fund_id = $1 ORDER BY "timestamp" DESC LIMIT 1)
SELECT last.nav AS last_nav, last."timestamp" AS marked_ns,
    (SELECT max(nav) FROM nav_marks WHERE fund_id = $1) AS peak_nav,
    (SELECT nav FROM nav_marks WHERE fund_id = $1 AND "timestamp" < last."timestamp" / $2 * $2
        ORDER BY "timestamp" DESC LIMIT 1) AS day_start_nav
FROM last"""

UNPUBLISHED = """SELECT id, subject, message_id, payload FROM outbox
    WHERE fund_id = $1 AND published_at IS NULL ORDER BY id LIMIT $2"""
PUBLISHED = "UPDATE outbox SET published_at = $2 WHERE id = ANY($1::bigint[])"

BE_THE_WRITER = "SELECT pg_try_advisory_lock(hashtextextended('mts1b.oms.' || $1, 0))"
