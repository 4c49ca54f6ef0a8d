#!/usr/bin/env bash
# Builds (dev) and runs everything: types, API, conformance, garbage collection, examples, packages.
set -euo pipefail
cd "$(dirname "$0")"

./build.sh dev
npm ci --silent
npm run --silent types
node --expose-gc --test --test-reporter=spec test/*.test.mjs
