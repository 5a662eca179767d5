-- The same order again under another key: which order holds a content, and until when. As with keys, of two
-- transactions that claim a content at once the second waits for the first and then finds it held.

CREATE TABLE order_contents (
    content text PRIMARY KEY,
    order_id text NOT NULL,
    held_until bigint NOT NULL
) WITH (fillfactor = 70);

ALTER TABLE orders ADD COLUMN content text, ADD COLUMN content_until bigint;

CREATE FUNCTION claim_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_contents AS held (content, order_id, held_until)
    VALUES (NEW.content, NEW.order_id, NEW.content_until)
    ON CONFLICT (content) DO UPDATE
        SET order_id = excluded.order_id, held_until = excluded.held_until
        WHERE held.held_until <= NEW.created_at;
    IF NOT FOUND THEN
        RAISE unique_violation USING
            MESSAGE = format('an order like %s was taken within its window', NEW.order_id),
            TABLE = 'order_contents', CONSTRAINT = 'order_contents_window';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_claim_content BEFORE INSERT ON orders FOR EACH ROW
    WHEN (NEW.content IS NOT NULL) EXECUTE FUNCTION claim_content();
