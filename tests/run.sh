#!/usr/bin/env bash
# Runs every test: formatting, lints, the Rust tests, then the daemon under the official OpenAI
# SDKs for Python and Node, and its page in Chromium. Needs Rust; for the SDKs also Python 3 with
# venv, and Node with npm; for the page Node and Chromium, without which it is skipped.
#
#   tests/run.sh            everything
#   tests/run.sh --no-sdk   without the SDKs and the page (nothing is downloaded but crates)
#
# What these tests need is installed below target/sdk and target/page once, and again when its
# version changes. Pictures of the page are left in target/page.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
export CARGO_TARGET_DIR=$target
export CODEX_PROXY_BIN=$target/debug/codex-proxy
sdk=true

for argument in "$@"; do
    case $argument in
        --no-sdk) sdk=false ;;
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;;
        *) echo "unknown argument: $argument; try --help" >&2; exit 64 ;;
    esac
done

has_chromium() { [[ -x /usr/bin/chromium || -x /usr/bin/chromium-browser ]]; }

step() { printf '\n== %s\n' "$*"; }

# Says what is missing and ends.
missing() {
    echo "$1 is needed for the SDK tests; install it, or use --no-sdk" >&2
    exit 69
}

# True if the files differ from those that the installation in $1 was made from.
outdated() {
    local installed=$1 file
    shift
    for file; do
        cmp -s "$file" "$installed/$(basename "$file").installed" || return 0
    done
    return 1
}

# Remembers the files that the installation in $1 was made from.
installed() {
    local installed=$1 file
    shift
    for file; do
        cp "$file" "$installed/$(basename "$file").installed"
    done
}

# Installs into $2 what the package.json in $1 asks for, unless it is there.
install_packages() {
    local files=("$1/package.json" "$1/package-lock.json")
    if outdated "$2" "${files[@]}"; then
        mkdir -p "$2"
        cp "${files[@]}" "$2"
        npm ci --prefix "$2" --no-audit --no-fund --loglevel=error
        installed "$2" "${files[@]}"
    fi
}

if $sdk; then
    # Better to learn it now than after the Rust tests.
    command -v python3 >/dev/null || missing "Python 3"
    command -v npm >/dev/null || missing "Node (with npm)"
fi

step "Formatting"
cargo fmt --check

step "Lints"
cargo clippy --quiet --all-targets -- -D warnings

step "Rust tests"
if ! has_chromium; then
    echo "SKIPPED: the sign-in with a real browser, since there is no Chromium"
fi
nextest=false
if cargo nextest --version >/dev/null 2>&1; then
    nextest=true
    cargo nextest run
else
    cargo test --quiet --lib --bins --tests
fi
cargo test --quiet --doc

step "Rust tests with recorded streams"
if [[ -z ${CODEX_PROXY_CORPUS:-} ]]; then
    echo "SKIPPED: the recorded streams, since CODEX_PROXY_CORPUS is not set"
elif $nextest; then
    cargo nextest run --run-ignored only --filterset 'test(/^corpus::/)'
else
    cargo test --quiet --test api --test translation -- --ignored corpus::
fi

$sdk || exit 0

step "SDK tests: what they need"
cargo build --quiet
python=$target/sdk/python
if outdated "$python" tests/sdk/python/requirements.txt; then
    python3 -m venv --clear "$python" ||
        missing "Python's venv module (on Debian: python3-venv)"
    "$python/bin/pip" install --quiet --disable-pip-version-check \
        --requirement tests/sdk/python/requirements.txt
    installed "$python" tests/sdk/python/requirements.txt
fi
node=$target/sdk/node
install_packages tests/sdk/node "$node"
"$python/bin/pip" list --format=freeze --disable-pip-version-check | grep '^openai=='
echo "openai@$(node -p "require('$node/node_modules/openai/package.json').version") for Node $(node --version)"

# All run even if one fails, so that one run shows everything. Those for Python wait most of the time:
# those for Node run beside them.
failed=false
python_log=$(mktemp)
"$python/bin/python" -m pytest --quiet tests/sdk/python >"$python_log" 2>&1 &
python_tests=$!
step "SDK tests: Node"
node --test --test-reporter=spec --test-timeout=60000 tests/sdk/node/*.test.js || failed=true
step "SDK tests: Python"
wait "$python_tests" || failed=true
cat "$python_log"

step "Page tests"
if has_chromium; then
    install_packages tests/page "$target/page"
    node --test --test-reporter=spec --test-timeout=300000 tests/page/*.test.js || failed=true
else
    echo "SKIPPED: the page in a real browser, since there is no Chromium"
fi

if $failed; then
    step "SDK or page tests failed"
    exit 1
fi
step "All passed"
