-- Orders, their fills and events. Times are UTC nanoseconds (bigint): exact, and equal to those in memory.

CREATE TABLE orders (
    order_id text PRIMARY KEY,
    client_order_id text NOT NULL,
    idempotency_key text NOT NULL,
    fund_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    order_type text NOT NULL,
    time_in_force text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    reference_price numeric NOT NULL,
    limit_price numeric,
    status text NOT NULL,
    filled_quantity numeric NOT NULL CHECK (filled_quantity >= 0 AND filled_quantity <= quantity),
    average_price numeric NOT NULL,
    fees numeric NOT NULL,
    venue_order_id text,
    reason text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    dedup_until bigint NOT NULL
) WITH (fillfactor = 70);  -- each order is updated a few times: leave room beside it, so that no index is touched

CREATE UNIQUE INDEX orders_client_order_id ON orders (client_order_id);
CREATE UNIQUE INDEX orders_idempotency_key_created_at ON orders (idempotency_key, created_at);
CREATE INDEX orders_fund_id_created_at ON orders (fund_id, created_at);
CREATE INDEX orders_open ON orders (fund_id, created_at)
    WHERE status NOT IN ('denied', 'filled', 'cancelled', 'rejected', 'expired');

-- Which order holds an idempotency key, and until when. A unique index cannot say "within a window", a row lock can:
-- of two transactions that claim a key at once, the second waits for the first and then finds it held.
CREATE TABLE order_keys (
    idempotency_key text PRIMARY KEY,
    order_id text NOT NULL,
    held_until bigint NOT NULL
);

CREATE FUNCTION claim_idempotency_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_keys AS held (idempotency_key, order_id, held_until)
    VALUES (NEW.idempotency_key, NEW.order_id, NEW.dedup_until)
    ON CONFLICT (idempotency_key) DO UPDATE
        SET order_id = excluded.order_id, held_until = excluded.held_until
        WHERE held.held_until <= NEW.created_at;
    IF NOT FOUND THEN
        RAISE unique_violation USING
            MESSAGE = format('idempotency key %s is held by an order of its window', NEW.idempotency_key),
            TABLE = 'order_keys', CONSTRAINT = 'order_keys_window';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_claim_key BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION claim_idempotency_key();

CREATE TABLE fills (
    fill_id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders (order_id),
    fund_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    price numeric NOT NULL,
    fee numeric NOT NULL,
    "timestamp" bigint NOT NULL
);

CREATE INDEX fills_order_id ON fills (order_id);

-- What happened to each order; `sequence` is that of the audit link which proves the row.
CREATE TABLE order_events (
    order_id text NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (order_id, sequence)
);

-- A row to change that is not there means that memory and database have parted: nothing of the statement may stay.
CREATE FUNCTION all_written(what text, written bigint, wanted integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF written <> wanted THEN
        RAISE data_corrupted USING MESSAGE = format('%s: %s of %s rows were there to change', what, written, wanted);
    END IF;
    RETURN true;
END $$;
