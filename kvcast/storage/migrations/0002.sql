-- The oldest version whose functions can use the schema; see README.md.
INSERT INTO meta VALUES ('least', '1');

-- Making or dropping a partition takes a lock on all of `tick`. Behind a long reader, such as a backup, it would hold up
-- every writer until the reader's end; it gives up instead, and partitions are made a week ahead.
ALTER FUNCTION roll_partitions(integer) SET lock_timeout = '250ms';
