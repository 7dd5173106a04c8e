-- What shotdap reads of the archive: one view, owned by the schema that owns the table.
-- Run as that owner (here LASER). Change the right-hand sides to your own columns; keep the names on the left,
-- which are those that shotdap's default settings expect.

CREATE OR REPLACE VIEW SHOTDAP_FILES AS
SELECT f.IMAGE_ID                                AS IMAGE_ID,       -- identifies the row for ever; never used again
       f.ARCHIVE_FILE                            AS ARCHIVE_FILE,   -- where the file is
       -- Grows whenever the row changes. A TIMESTAMP WITH TIME ZONE has to be made one without, as the driver tells no
       -- zone: CAST(SYS_EXTRACT_UTC(f.MODIFIED) AS TIMESTAMP). Leave it a bare column where you can: an expression
       -- needs an index of its own.
       f.MODIFIED                                AS MODIFIED,
       f.FACILITY                                AS FACILITY,       -- OMEGA and OMEGA EP number their shots separately
       f.SHOT_NUMBER                             AS SHOT_NUMBER,
       f.SHOT_DATE                               AS SHOT_DATE,
       f.DIAGNOSTIC                              AS DIAGNOSTIC,
       f.SOURCE_FILE                             AS SOURCE_FILE     -- the name that users know
  FROM ARCHIVE_FILES f;
-- More than one table? Join them here, on keys, such that each image stays one row:
--  JOIN SHOTS s ON s.SHOT_ID = f.SHOT_ID

-- Images that lie in the table itself, or in BFILEs, need their column too: f.IMAGE AS IMAGE.
