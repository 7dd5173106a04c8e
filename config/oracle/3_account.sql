-- The account of shotdap. It may log in and read one view, and nothing else.
-- Run this script as a database administrator. Choose a password, and write it into the file archive.password_file.

CREATE PROFILE SHOTDAP_READING LIMIT
    SESSIONS_PER_USER     20     -- archive.pool_size for each worker, and one for a build
    IDLE_TIME             60     -- minutes; shotdap reopens closed sessions
    FAILED_LOGIN_ATTEMPTS 10;

CREATE USER SHOTDAP_READER IDENTIFIED BY "choose-one"
    PROFILE SHOTDAP_READING
    QUOTA 0 ON USERS;

GRANT CREATE SESSION TO SHOTDAP_READER;
GRANT READ ON LASER.SHOTDAP_FILES TO SHOTDAP_READER;  -- READ locks nothing; before 12.1 it does not exist: GRANT SELECT

-- A synonym for the view, so that archive.schema can stay empty.
CREATE SYNONYM SHOTDAP_READER.SHOTDAP_FILES FOR LASER.SHOTDAP_FILES;

-- For images in BFILEs: their directory object.
-- GRANT READ ON DIRECTORY LASER_IMAGES TO SHOTDAP_READER;
