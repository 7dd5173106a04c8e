-- The account that shotdap reads with: it may log in and read one view, nothing else.
-- Run as a database administrator. Choose a password, and put it into the file that archive.password_file names.

CREATE PROFILE SHOTDAP_READING LIMIT
    SESSIONS_PER_USER     20     -- archive.pool_size for each worker, and one for a build
    IDLE_TIME             60     -- minutes; shotdap opens what was closed again
    FAILED_LOGIN_ATTEMPTS 10;

CREATE USER SHOTDAP_READER IDENTIFIED BY "choose-one"
    PROFILE SHOTDAP_READING
    QUOTA 0 ON USERS;

GRANT CREATE SESSION TO SHOTDAP_READER;
GRANT READ ON LASER.SHOTDAP_FILES TO SHOTDAP_READER;  -- before 12.1 there is no READ, which locks nothing: GRANT SELECT

-- The view under its own name, so that archive.schema can stay empty.
CREATE SYNONYM SHOTDAP_READER.SHOTDAP_FILES FOR LASER.SHOTDAP_FILES;

-- Images in BFILEs: the directory object that they name.
-- GRANT READ ON DIRECTORY LASER_IMAGES TO SHOTDAP_READER;
