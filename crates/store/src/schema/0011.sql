-- What guests on ports were heard to use and ask, as their nodes tell it.
CREATE TABLE "port_heard" (
    port_id TEXT NOT NULL PRIMARY KEY REFERENCES "port" (id) ON DELETE CASCADE,
    heard TEXT NOT NULL
);
