-- An index for incremental reads. With it, "the rows since …, in order" costs only the new rows, not the whole table.
-- Run this script as the table's owner. ONLINE allows writes meanwhile (Enterprise Edition; remove it elsewhere).
-- The index helps only if the view returns MODIFIED unchanged, and if each update of a row also updates its MODIFIED.

CREATE INDEX ARCHIVE_FILES_BY_MODIFIED ON ARCHIVE_FILES (MODIFIED) ONLINE;

-- This index does not contain rows with MODIFIED IS NULL; shotdap reads them each time with a scan of the whole table.
-- If such rows exist, give them a date, and forbid new ones.
-- UPDATE ARCHIVE_FILES SET MODIFIED = SHOT_DATE WHERE MODIFIED IS NULL;
-- ALTER TABLE ARCHIVE_FILES MODIFY (MODIFIED NOT NULL);
