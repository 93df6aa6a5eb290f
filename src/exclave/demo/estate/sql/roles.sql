-- Roles of the whole cluster. The capturing role gets its password apart, never in this file.
CREATE ROLE registry_owner NOLOGIN;
CREATE ROLE registry_clerk NOLOGIN;
CREATE ROLE registry_auditor NOLOGIN;
GRANT registry_auditor TO registry_clerk;
COMMENT ON ROLE registry_owner IS 'owns the registers'' objects';

-- pg_read_all_data reads tables, views and sequences; it does not reach large objects, which are
-- granted one by one where they are made (e_file.store_filing), and it does not bypass row
-- security, hence BYPASSRLS.
CREATE ROLE exclave_capture LOGIN BYPASSRLS CONNECTION LIMIT 20;
GRANT pg_read_all_data TO exclave_capture;
ALTER ROLE exclave_capture SET default_transaction_read_only = on;
COMMENT ON ROLE exclave_capture IS 'reads everything, writes nothing';
