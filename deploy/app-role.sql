-- Runs once, with a new database: makes the role that the dashboard runs as, which owns nothing.
-- `python -m registry migrate --grant registry_app` gives it its rights.
\set password `cat /run/secrets/registry_app_password`
CREATE ROLE registry_app LOGIN PASSWORD :'password';
