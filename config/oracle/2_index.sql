-- An index for incremental reads: "the rows since …, in order" then costs what is new, not the whole table.
-- Run as the table's owner. ONLINE lets others write meanwhile (Enterprise Edition; leave it out elsewhere).
-- It helps only if the view hands MODIFIED on as it is, and if rows are updated together with their MODIFIED.

CREATE INDEX ARCHIVE_FILES_BY_MODIFIED ON ARCHIVE_FILES (MODIFIED) ONLINE;

-- Rows whose MODIFIED is NULL are in no such index; shotdap asks for them each time, which reads the whole table.
-- If there are any: give them a date, and forbid new ones.
-- UPDATE ARCHIVE_FILES SET MODIFIED = SHOT_DATE WHERE MODIFIED IS NULL;
-- ALTER TABLE ARCHIVE_FILES MODIFY (MODIFIED NOT NULL);
