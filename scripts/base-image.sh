#!/bin/sh
# scripts/base-image.sh NAME: a base for Dockerfile made from Debian's packages, where no registry can be reached.
# Trusts the certificates that this machine trusts. Does nothing when NAME is already there, by this recipe.
# Needs root, mmdebstrap and a Docker engine.
set -eu
name="${1:?the name of the image}"
certificates=/etc/ssl/certs/ca-certificates.crt

recipe="$(cat "$0" "$certificates" | cksum)"
if [ "$(docker image inspect --format '{{ index .Config.Labels "agenthost.recipe" }}' "$name" 2>/dev/null)" = "$recipe" ]; then
    exit 0
fi
printf 'agenthost: making the image %s\n' "$name" >&2
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=essential --include=python3,python3-venv,ca-certificates,tini \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --customize-hook="copy-in $certificates /etc/ssl/certs" \
    trixie "$work/root.tar"
docker import --change "LABEL agenthost.recipe=\"$recipe\"" "$work/root.tar" "$name" >/dev/null
