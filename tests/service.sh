#!/usr/bin/env bash
# The service under a real systemd: a manager of a user's services, with mounts, network and a home
# of its own, so that nothing of this machine is touched. What `cargo nextest` cannot show: that the
# sandbox holds, that the daemon starts in it, and that it is started again when it hangs.
# Needs to be root, systemd and dbus-daemon; takes half a minute.
#
#   tests/service.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
skip() { echo "SKIPPED: the service under systemd, since $1"; exit 0; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# The user who has the service. Its home has a name as people have them.
user=61234
home="/home/my home:100%"

case ${1:-} in
    "")
        [[ $(id -u) == 0 ]] || skip "only root can make such a place"
        for tool in systemctl dbus-daemon unshare setpriv curl; do
            command -v "$tool" >/dev/null || skip "there is no $tool"
        done
        [[ -x /lib/systemd/systemd ]] || skip "there is no /lib/systemd/systemd"
        cargo build --quiet
        unshare --mount --net true || skip "no namespaces can be made here"
        status=0
        unshare --mount --net --pid --fork --mount-proc "$PWD/tests/service.sh" inside || status=$?
        # All of its processes have ended by now.
        for group in /sys/fs/cgroup{,/systemd,/unified}/codex-proxy-test; do
            [[ ! -d $group ]] || find "$group" -depth -type d -exec rmdir {} +
        done
        exit "$status"
        ;;
    inside) ;;
    user) ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac

as_user() { setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all "$@"; }

if [[ $1 == inside ]]; then
    mount --make-rprivate /
    ip link set lo up
    binary=${CARGO_TARGET_DIR:-target}/debug/codex-proxy
    mount -t tmpfs tmpfs /run
    mount -t tmpfs -o mode=755 tmpfs /home
    # What the system's manager would have made.
    mkdir -p /run/systemd/{system,unit-root,inaccessible} "/run/user/$user" "$home"
    install -m 755 "$binary" "$home/codex-proxy"
    install -m 755 tests/service.sh /run/service.sh
    chmod 700 "/run/user/$user"
    chown -R "$user:$user" "/run/user/$user" "$home"
    sed '$ a jo:x:'"$user:$user::$home:/bin/bash" /etc/passwd >/run/passwd
    mount --bind /run/passwd /etc/passwd
    for hierarchy in /sys/fs/cgroup{,/systemd,/unified}; do
        [[ -e $hierarchy/cgroup.procs ]] || continue
        group=$hierarchy/codex-proxy-test
        mkdir -p "$group"
        chown -R "$user:$user" "$group"
        echo $$ >"$group/cgroup.procs"
    done
    export HOME=$home USER=jo PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/$user
    export DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
    unset XDG_CONFIG_HOME XDG_DATA_HOME CODEX_HOME CARGO_TARGET_DIR
    cd /
    as_user dbus-daemon --session --nofork --nopidfile --address="$DBUS_SESSION_BUS_ADDRESS" \
        2>/dev/null &
    bus=$!
    until [[ -S $XDG_RUNTIME_DIR/bus ]]; do sleep 0.05; done
    as_user env SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=warning /lib/systemd/systemd --user \
        >/run/manager.log 2>&1 &
    manager=$!
    for _ in $(seq 100); do
        as_user systemctl --user show >/dev/null 2>&1 && break
        sleep 0.1
    done
    as_user systemctl --user show >/dev/null 2>&1 ||
        { cat /run/manager.log; skip "systemd does not start here"; }
    status=0
    as_user bash /run/service.sh user || status=$?
    ((status == 0)) || cat /run/manager.log
    kill "$bus" "$manager" 2>/dev/null || true
    exit "$status"
fi

# From here on it is the user who acts.
proxy=$HOME/codex-proxy
unit=codex-proxy.service
property() { systemctl --user show "$unit" --property="$1" --value; }
is() { [[ $(property "$1") == "$2" ]] || fail "$1 is $(property "$1"), not $2"; }
health() { curl --silent --fail --max-time 10 http://127.0.0.1:10455/health; }
step() { printf '== %s\n' "$*"; }

step "Installed, it runs in its sandbox"
mkdir "$HOME/secret"
"$proxy" service install >/dev/null
is ActiveState active
is StatusText "Listening on 127.0.0.1:10455"
process=$(property MainPID)
grep --quiet --perl-regexp '^CapBnd:\t0+$' "/proc/$process/status" || fail "it could have capabilities"
grep --quiet --perl-regexp '^NoNewPrivs:\t1$' "/proc/$process/status" || fail "it could get more"
inside() { nsenter --user --preserve-credentials --mount --target "$process" "$@"; }
inside test -d "$HOME/.codex" || fail "it does not see its login"
inside test -e "$HOME/secret" && fail "it sees the rest of the home"
inside touch "$HOME/.codex/x" || fail "it cannot write its login"
inside touch /usr/x 2>/dev/null && fail "it can write elsewhere"
rm "$HOME/.codex/x"

step "A login that comes later is seen"
[[ $(health) == *'"credentials":false'* ]] || fail "it has a login"
token=$(printf '{"exp": 4000000000}' | base64 --wrap 0 | tr -d =)
printf '{"tokens": {"access_token": "e30.%s.x", "id_token": "e30.%s.x", "refresh_token": "r"}}' \
    "$token" "$token" >"$HOME/.codex/auth.json"
[[ $(health) == *'"credentials":true'* ]] || fail "it does not see the login"

step "Installed once more, it goes on"
"$proxy" service install >/dev/null
is MainPID "$process"
"$proxy" service status

step "One that hangs is started anew"
mkdir -p "$HOME/.config/systemd/user/$unit.d"
printf '[Service]\nWatchdogSec=1\nRestartSec=0\n' >"$HOME/.config/systemd/user/$unit.d/fast.conf"
systemctl --user daemon-reload
"$proxy" service restart
process=$(property MainPID)
kill -STOP "$process"
for _ in $(seq 100); do
    [[ $(property NRestarts) == 0 ]] || break
    sleep 0.1
done
is NRestarts 1
for _ in $(seq 50); do health >/dev/null && break; sleep 0.1; done
health >/dev/null || fail "it does not answer again"
rm -r "$HOME/.config/systemd/user/$unit.d"

step "With a socket it starts when it is needed"
"$proxy" service install --socket >/dev/null
is ActiveState inactive
health >/dev/null
is ActiveState active
"$proxy" service stop
health >/dev/null && fail "it was not stopped"
"$proxy" service install --socket --listen "unix:$HOME/run me/api.sock" >/dev/null
curl --silent --fail --unix-socket "$HOME/run me/api.sock" http://localhost/health >/dev/null ||
    fail "the socket does not answer"
"$proxy" service install --listen "unix:$HOME/run me/api.sock" >/dev/null
curl --silent --fail --unix-socket "$HOME/run me/api.sock" http://localhost/health >/dev/null ||
    fail "its own socket does not answer"

step "Wrong settings are not tried again"
"$proxy" service install >/dev/null
mkdir -p "$HOME/.config/codex-proxy"
printf '[server]\nnonsense = 1\n' >"$HOME/.config/codex-proxy/config.toml"
"$proxy" service restart 2>/dev/null && fail "it has started"
is ExecMainStatus 78
is ActiveState failed

step "Removed, it leaves the login and the settings"
rm -r "$HOME/run me"
"$proxy" service uninstall >/dev/null
[[ $(cd "$HOME" && find . -type f | sort | tr '\n' ' ') == \
    "./.codex/auth.json ./.config/codex-proxy/config.toml ./codex-proxy " ]] ||
    fail "other files: $(find "$HOME" -type f)"
step "All passed"
