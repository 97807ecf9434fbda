-- What is still to be told to others, in the order in which it came about.
CREATE TABLE outbox (
    number BIGINT NOT NULL PRIMARY KEY, exchange TEXT NOT NULL, priority TEXT NOT NULL,
    message_id TEXT NOT NULL, message TEXT NOT NULL
);
