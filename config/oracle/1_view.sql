-- The view of the archive that shotdap reads. It belongs to the schema of the table.
-- Run this script as that owner (here LASER). Change the right-hand sides to your own columns. Keep the names after AS:
-- shotdap's default settings expect them.

CREATE OR REPLACE VIEW SHOTDAP_FILES AS
SELECT f.IMAGE_ID                                AS IMAGE_ID,       -- identifies the row for ever; never used again
       f.ARCHIVE_FILE                            AS ARCHIVE_FILE,   -- the location of the file
       -- MODIFIED grows whenever the row changes. Convert a TIMESTAMP WITH TIME ZONE, because the driver does not return the
       -- zone: CAST(SYS_EXTRACT_UTC(f.MODIFIED) AS TIMESTAMP). Use a bare column if possible: an expression needs its own index.
       f.MODIFIED                                AS MODIFIED,
       f.FACILITY                                AS FACILITY,       -- OMEGA and OMEGA EP number their shots separately
       f.SHOT_NUMBER                             AS SHOT_NUMBER,
       f.SHOT_DATE                               AS SHOT_DATE,
       f.DIAGNOSTIC                              AS DIAGNOSTIC,
       f.SOURCE_FILE                             AS SOURCE_FILE     -- the file name that users know
  FROM ARCHIVE_FILES f;
-- To use several tables, join them here on keys, so that each image remains one row:
--  JOIN SHOTS s ON s.SHOT_ID = f.SHOT_ID

-- Images in the table itself, or in BFILEs, need their column too: f.IMAGE AS IMAGE.
