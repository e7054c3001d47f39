# A small image: Debian without extras, CA certificates and the binary.
#
#   docker build --tag codex-proxy .
#
# The daemon listens on addresses of its own machine only, so a published port (`--publish`) does
# not reach it unless API keys and another address are set. Share the host's network (on Linux), and
# the folder with the Codex CLI's login, writable, so that the login can be renewed; the root may be
# read-only:
#
#   docker run --rm --network host --read-only --user "$(id -u)" \
#       --volume "$HOME/.codex:/codex" codex-proxy
#
# With a published port: make a key with `codex-proxy key new` and add
#
#       --publish 127.0.0.1:10455:10455 --env CODEX_PROXY_SERVER_LISTEN=0.0.0.0:10455 \
#       --env CODEX_PROXY_SERVER_API_KEYS
#
# Without an account: docker run --rm --network host codex-proxy serve --simulate

ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY . .
# The caches outlive the step; the binary has to leave them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin codex-proxy \
    && cp target/release/codex-proxy /codex-proxy

FROM ${RUN_IMAGE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm --recursive --force /var/lib/apt/lists/*
COPY --from=build /codex-proxy /usr/local/bin/codex-proxy
# Nobody in particular: the daemon writes nothing but the login and needs no home.
USER 65532:65532
# Where the login is mounted.
ENV CODEX_HOME=/codex
EXPOSE 10455
ENTRYPOINT ["/usr/local/bin/codex-proxy"]
