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

recent='const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || major == 20 && minor >= 15 ? 0 : 1)'
own_node=--include=optional
if node -e "$recent" 2>/dev/null; then own_node=--omit=optional; fi
say "installing the servers that tests speak to"
npm ci "$own_node" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || without "npm could not install them"
printf '%s\n' "$wanted" >"$stamp"
