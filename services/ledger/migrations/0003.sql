-- What counts of a session: lines from `first_line` on; `hidden` ones came before it began anew or was compacted.
ALTER TABLE sessions ADD COLUMN first_line INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
-- An operator had it removed, and nothing was said since: it is not listed, its lines are kept.
ALTER TABLE sessions ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
-- When it was first heard of, and when a person wrote last; 0 where that is not known.
ALTER TABLE sessions ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN interacted_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN cost_micro_usd INTEGER NOT NULL DEFAULT 0;
-- What people call the conversation: the group's title, or the person's name.
ALTER TABLE sessions ADD COLUMN title TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 3;
