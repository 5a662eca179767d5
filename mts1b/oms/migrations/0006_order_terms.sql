-- Stops, orders until a time, replacements under way, groups of orders. All columns are free to add while orders are open.

ALTER TABLE orders
    ADD COLUMN stop_price numeric,
    ADD COLUMN good_till_at bigint,
    ADD COLUMN revision integer NOT NULL DEFAULT 0,  -- of the terms the order has
    ADD COLUMN wanted jsonb,  -- terms the venue was asked for and has not answered about
    ADD COLUMN group_id text,
    ADD COLUMN group_role text,
    ADD COLUMN group_quantity numeric,
    ADD COLUMN send_by_at bigint NOT NULL DEFAULT 0;  -- nothing of the order may leave later

CREATE INDEX orders_group_id ON orders (group_id) WHERE group_id IS NOT NULL;
