#!/bin/sh
# Installs what tests/peers/package-lock.json pins: servers that the tests speak to. Does nothing when that is already so.
# Without npm, or offline, tests skip: it says so and succeeds, unless AGENTHOST_TEST_REQUIRE_ALL is set.
set -eu
cd "$(dirname "$0")/../tests/peers"

say() { printf 'agenthost: %s\n' "$*" >&2; }
without() {
    say "$1: tests that need it will skip"
    [ -z "${AGENTHOST_TEST_REQUIRE_ALL:-}" ]
    exit
}

stamp=node_modules/.prepared
wanted="$(cat package-lock.json ../../scripts/peers.sh | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi
command -v npm >/dev/null 2>&1 || without "no npm here"

say "installing the servers that tests speak to"
# Optional are programs of one platform each: PostgREST, and a node, since the machine's own may be too old.
npm ci --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || without "npm could not install them"
printf '%s\n' "$wanted" >"$stamp"
