#!/bin/sh
# Makes the secrets that compose.yaml names, each a file in secrets/: those that are missing, and no other is touched.
# Only the folder's owner gets to them; inside, each is readable, since containers read theirs as users of their own.
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 0700 secrets

make() {
    [ -e "secrets/$1" ] || printf '%s\n' "$2" > "secrets/$1"
    chmod 0644 "secrets/$1"
}

url() {
    printf 'postgresql+psycopg://%s:%s@registry-db/registry' "$1" "$(cat "secrets/$2")"
}

# The registry's PostgreSQL: the role that owns the tables and migrates them, and the one that the dashboard runs as
make registry_owner_password "$(openssl rand -hex 32)"
make registry_app_password "$(openssl rand -hex 32)"
make registry_owner_url "$(url registry_owner registry_owner_password)"
make registry_app_url "$(url registry_app registry_app_password)"

# What encrypts the models' API keys, as python -m registry new-key makes it
make registry_fernet_keys "$(openssl rand -base64 32 | tr '+/' '-_')"

# What the authenticating proxy proves itself with, with REGISTRY_AUTH=proxy
make registry_proxy_secret "$(openssl rand -hex 32)"

# The LiteLLM proxy: both keys start with sk-, and the salt encrypts what the proxy stores
make litellm_master_key "sk-$(openssl rand -hex 32)"
make litellm_salt_key "sk-$(openssl rand -hex 32)"
make litellm_db_password "$(openssl rand -hex 32)"
