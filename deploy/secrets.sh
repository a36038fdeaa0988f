#!/bin/sh
# Writes .env with new secrets for compose.yaml, readable by its owner alone; one that is there stays as it is.
set -euC
cd "$(dirname "$0")/.."
umask 077
password() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
cat >.env <<END
POSTGRES_PASSWORD=$(password)
AGENTHOST_OWNER_PASSWORD=$(password)
AGENTHOST_API_PASSWORD=$(password)
AGENTHOST_SECRET_KEYS=k1:$(head -c 32 /dev/urandom | base64)
END
