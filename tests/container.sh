#!/usr/bin/env bash
# Builds the image of Dockerfile and runs it, as docs/container.md says, with what Debian has for that:
# buildah, podman and runc. No registry is asked: what the Dockerfile builds upon is made here, of
# Debian's packages (mmdebstrap) and this machine's Rust. Needs to be root; takes as long as
# a release build, and a minute more.
#
#   tests/container.sh             builds and runs it
#   tests/container.sh --keep      keeps what was made below target/container, for the next time
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
keep=false
case ${1:-} in
    --keep) keep=true ;;
    "") ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac

skip() { echo "SKIPPED: the container, since $1"; exit 0; }
[[ $(id -u) == 0 ]] || skip "only root can make one here"
for tool in buildah podman runc mmdebstrap; do
    command -v "$tool" >/dev/null || skip "there is no $tool (apt-get install buildah podman runc mmdebstrap)"
done

here=${CARGO_TARGET_DIR:-target}/container
mkdir -p "$here"
here=$(cd "$here" && pwd)
storage=(--root "$here/store" --runroot "$here/run" --storage-driver vfs)
started=()
finish() {
    for name in "${started[@]}"; do run_podman rm --force --time 1 "$name" >/dev/null 2>&1 || true; done
    $keep || { buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true; rm -rf "$here"; }
}
trap finish EXIT
step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
buildah_() { buildah "${storage[@]}" "$@"; }
run_podman() { podman "${storage[@]}" --runtime runc --cgroup-manager cgroupfs "$@"; }

step "What it builds upon: Debian, and this machine's Rust"
base=localhost/rust-slim
if ! buildah_ inspect "$base" >/dev/null 2>&1; then
    mmdebstrap --quiet --variant=apt --include=gcc,libc6-dev,ca-certificates,musl-tools \
        bookworm "$here/debian.tar"
    container=$(buildah_ from scratch)
    buildah_ add --quiet "$container" "$here/debian.tar" / >/dev/null
    rm "$here/debian.tar"
    # What this machine trusts, for networks that look into what is fetched.
    buildah_ add --quiet "$container" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ >/dev/null
    buildah_ config --env RUSTUP_HOME=/usr/local/rustup --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "$container"
    buildah_ commit --quiet "$container" "$base" >/dev/null
    buildah_ rm "$container" >/dev/null
fi
rustup=${RUSTUP_HOME:-$HOME/.rustup}
cargo=${CARGO_HOME:-$HOME/.cargo}

step "The image"
image=localhost/codex-proxy
# As `docker build` does it; only Rust lies where it is, and the step's caches are this machine's.
buildah_ build --isolation chroot --format docker --layers=false --network host \
    --build-arg BUILD_IMAGE="$base" \
    --volume "$rustup:/usr/local/rustup" --volume "$cargo/bin:/usr/local/cargo/bin:ro" \
    --tag "$image" .
unpacked=$(run_podman image inspect --format '{{.Size}}' "$image")
# As it is on its way from a registry.
packed=$(run_podman save "$image" 2>/dev/null | gzip | wc --bytes)
echo "the image has $unpacked bytes, $packed on its way"
((unpacked < 25000000)) || fail "the image is larger than 25 MB"

# As docs/container.md has it: no capabilities, no new privileges, nothing of the root can be written.
# (Without the limits podman asks for more than it may have; without a systemd it has no timers.)
hardening=(--read-only --cap-drop all --security-opt no-new-privileges --network host
    --ulimit nofile=4096:4096 --ulimit nproc=1024:1024 --no-healthcheck)
in_image() { run_podman run --rm "${hardening[@]}" "$@"; }
port=$((20000 + RANDOM % 10000))
listen=(--env "CODEX_PROXY_SERVER_LISTEN=0.0.0.0:$port")
url=http://127.0.0.1:$port
wait_for() {
    for _ in $(seq 100); do
        curl --silent --fail --output /dev/null "$1" && return
        sleep 0.1
    done
    fail "nothing answers at $1: $(run_podman logs "${started[-1]}" 2>&1)"
}

step "Without a key it does not start, and says what to do"
status=0
said=$(in_image "$image" 2>&1) || status=$?
echo "$said"
((status == 78)) || fail "the exit code is $status"
grep --quiet 'docker run … -e CODEX_PROXY_SERVER_API_KEYS IMAGE' <<<"$said" || fail "no command"

step "With a key it serves those who have it"
key=$(in_image "$image" key new)
run_podman run --detach --name codex-proxy-simulating "${hardening[@]}" "${listen[@]}" \
    --env CODEX_PROXY_SERVER_API_KEYS="$key" "$image" serve --simulate >/dev/null
started+=(codex-proxy-simulating)
wait_for "$url/health"
[[ $(curl --silent --output /dev/null --write-out '%{http_code}' "$url/v1/models") == 401 ]] ||
    fail "it answers without the key"
curl --silent --fail --output /dev/null --header "authorization: Bearer $key" "$url/v1/models" ||
    fail "it does not answer with the key"
curl --silent --fail --header "authorization: Bearer $key" --header 'content-type: application/json' \
    --data '{"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello!"}]}' \
    "$url/v1/chat/completions" | grep --quiet 'simulated answer to: Hello!' || fail "no answer"
process=$(run_podman inspect --format '{{.State.Pid}}' codex-proxy-simulating)
grep --quiet --perl-regexp '^Uid:\t65532\t' "/proc/$process/status" || fail "it runs as somebody else"
grep --quiet --perl-regexp '^CapEff:\t0+$' "/proc/$process/status" || fail "it has capabilities"
grep --quiet --perl-regexp '^NoNewPrivs:\t1$' "/proc/$process/status" || fail "it could get more"

step "Its health check"
check=$(run_podman image inspect --format '{{json .HealthCheck.Test}}' "$image")
echo "$check"
[[ $check == '["CMD","/usr/local/bin/codex-proxy","health"]' ]] || fail "the image has none"
run_podman exec codex-proxy-simulating /usr/local/bin/codex-proxy health ||
    fail "the daemon does not look well"

step "It stops in order"
run_podman stop --time 20 codex-proxy-simulating >/dev/null
[[ $(run_podman inspect --format '{{.State.ExitCode}}' codex-proxy-simulating) == 0 ]] ||
    fail "it did not end well"
run_podman logs codex-proxy-simulating 2>&1 | grep --quiet stopped || fail "it was cut off"

step "Signing in, into a volume"
simulator=$((port + 1))
run_podman run --detach --name codex-proxy-backend "${hardening[@]}" "$image" \
    simulate --listen "127.0.0.1:$simulator" >/dev/null
started+=(codex-proxy-backend)
wait_for "http://127.0.0.1:$simulator/simulator/log"
elsewhere=(--env "CODEX_PROXY_AUTH_ISSUER=http://127.0.0.1:$simulator"
    --env "CODEX_PROXY_UPSTREAM_BASE_URL=http://127.0.0.1:$simulator/backend-api/codex")
volume=(--volume codex-proxy-login:/codex)
run_podman run --detach --name codex-proxy-login "${hardening[@]}" "${volume[@]}" "${elsewhere[@]}" \
    "$image" login --device >/dev/null
started+=(codex-proxy-login)
# What a person does: reads the code and types it in on the page.
for _ in $(seq 100); do
    code=$(run_podman logs codex-proxy-login 2>&1 | grep --only-matching --perl-regexp '^  \K[A-Z0-9-]+$') && break
    sleep 0.1
done
curl --silent --fail --output /dev/null "http://127.0.0.1:$simulator/codex/device?user_code=$code" ||
    fail "there is no such code: $(run_podman logs codex-proxy-login 2>&1)"
[[ $(timeout 30 podman "${storage[@]}" --runtime runc wait codex-proxy-login) == 0 ]] ||
    fail "nobody is signed in: $(run_podman logs codex-proxy-login 2>&1)"
in_image "${volume[@]}" "${elsewhere[@]}" "$image" status

step "The daemon with that login and a settings file"
settings=$(mktemp --directory)
chmod 755 "$settings"
printf '[server]\nlisten = "0.0.0.0:%s"\napi_keys = ["%s"]\n' "$port" "$key" >"$settings/config.toml"
chmod 644 "$settings/config.toml"
run_podman run --detach --name codex-proxy-serving "${hardening[@]}" "${volume[@]}" "${elsewhere[@]}" \
    --env CODEX_PROXY_SERVER_LISTEN= --volume "$settings:/etc/codex-proxy:ro" "$image" >/dev/null
started+=(codex-proxy-serving)
wait_for "$url/health"
curl --silent --fail --header "authorization: Bearer $key" "$url/health"; echo
curl --silent --fail --header "authorization: Bearer $key" --header 'content-type: application/json' \
    --data '{"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello!"}]}' \
    "$url/v1/chat/completions" | grep --quiet 'simulated answer to: Hello!' || fail "no answer"
run_podman stop --time 20 codex-proxy-serving >/dev/null
rm -r "$settings"

step "All passed"
