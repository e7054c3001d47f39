#!/usr/bin/env bash
# Runs other people's clients against the daemon with the simulated backend: each has to stream an
# answer, and to call a tool and go on with what the tool has said. Needs Python 3.11 or 3.12 with
# venv, and Node 20 or newer with npm.
#
#   tests/clients/run.sh             all of them
#   tests/clients/run.sh llm aider   only these (their output is in target/clients/*.log)
#   tests/clients/run.sh --install   installs all of them and runs none
#
# `requirements` says which clients there are, and their versions. Each is installed below
# target/clients, apart from the others, and again when that file changes.
set -euo pipefail

# For everything here together, installing included, in seconds.
limit=900
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
script=$PWD/tests/clients/run.sh
requirements=$PWD/tests/clients/requirements
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
export CARGO_TARGET_DIR=$target
given=${CODEX_PROXY_BIN:-}
export CODEX_PROXY_BIN=${CODEX_PROXY_BIN:-$target/debug/codex-proxy}
clients=$target/clients
mkdir -p "$clients"

export UV_CACHE_DIR=$clients/uv-cache UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1

case ${1:-} in -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;; esac
command -v python3 >/dev/null || { echo "Python 3 is needed" >&2; exit 69; }
command -v npm >/dev/null || { echo "Node with npm is needed" >&2; exit 69; }

# True if $1 was not installed from what the files after it say now.
outdated() { ! [[ -f $1/installed-from ]] || ! cat "${@:2}" | cmp -s - "$1/installed-from"; }

# The lines of a file of requirements that name something.
named() { sed 's/#.*//; /^ *$/d' "$1"; }

# It installs what pip would, in a tenth of the time.
uv() { "$clients/uv/bin/uv" --quiet --no-config "$@"; }

install_uv() {
    local from=$requirements/uv.txt
    if outdated "$clients/uv" "$from"; then
        python3 -m venv --clear "$clients/uv"
        "$clients/uv/bin/pip" install --quiet --disable-pip-version-check --requirement "$from"
        cat "$from" >"$clients/uv/installed-from"
    fi
}

install_pypi() {
    local into=$clients/$1 from=("$requirements/pypi/$1.txt" "$requirements/pytest.txt")
    if outdated "$into" "${from[@]}"; then
        uv venv --clear --python python3 "$into"
        uv pip install --python "$into/bin/python" --requirement "${from[0]}" \
            --requirement "${from[1]}"
        cat "${from[@]}" >"$into/installed-from"
    fi
}

install_npm() {
    local into=$clients/$1 from=$requirements/npm/$1.txt
    if outdated "$into" "$from"; then
        rm -rf "$into"
        mkdir "$into"
        echo '{"private": true}' >"$into/package.json"
        # shellcheck disable=SC2046 # a name with its version on every line
        npm install --prefix "$into" --no-audit --no-fund --loglevel=error $(named "$from")
        cat "$from" >"$into/installed-from"
    fi
}

play_pypi() {
    install_pypi "$1"
    (cd tests/clients/python && "$clients/$1/bin/python" -m pytest --quiet "test_${1//-/_}.py")
}

play_npm() {
    install_npm "$1"
    node --test --test-reporter=spec --test-timeout=300000 "tests/clients/node/$1.test.js"
}

# Plays with one client, saying nothing but how it went; the rest stands in its log.
play() {
    local kind=$1 client=$2 log=$clients/$2.log start=$SECONDS
    # Not as a condition, where failures would not end it.
    "play_$kind" "$client" >"$log" 2>&1 &
    if wait "$!"; then
        echo "passed  $client ($((SECONDS - start)) s)"
    else
        echo "FAILED  $client"
        sed "s/^/$client: /" "$log"
        return 1
    fi
}

# The script calls itself: within the limit, and for each client.
case ${1:-} in
    --play)
        play "$(basename "$(dirname "$(echo "$requirements"/*/"$2.txt")")")" "$2"
        exit
        ;;
    --install-one)
        "install_$(basename "$(dirname "$(echo "$requirements"/*/"$2.txt")")")" "$2"
        exit
        ;;
    --install)
        install_uv
        for file in "$requirements"/*/*.txt; do basename "$file" .txt; done |
            xargs -P 2 -n 1 "$script" --install-one
        exit
        ;;
    --limited) shift ;;
    *)
        [[ -n $given ]] || cargo build --quiet
        exec timeout --kill-after=10 "$limit" "$script" --limited "$@"
        ;;
esac

# The slowest first.
wanted=("$@")
if ((${#wanted[@]} == 0)); then
    wanted=(opencode aider hermes-agent llm litellm)
    for file in "$requirements"/*/*.txt; do
        client=$(basename "$file" .txt)
        [[ " ${wanted[*]} " == *" $client "* ]] || wanted+=("$client")
    done
fi
for client in "${wanted[@]}"; do
    [[ -f $(echo "$requirements"/*/"$client.txt") ]] ||
        { echo "there is no client $client in $requirements" >&2; exit 64; }
    rm -f "$clients/$client.log"
done

printf '\n== Clients\n'
install_uv
cores=$(getconf _NPROCESSORS_ONLN)
printf '%s\n' "${wanted[@]}" | xargs -P "$((cores + 1))" -n 1 "$script" --play
