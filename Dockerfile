# An image of nothing but the daemon: a static binary, the certificates of the authorities that it
# trusts, and a folder for the login. docs/container.md says how to run it, `tests/container.sh` tries it.
#
#   docker build --tag codex-proxy .

ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG RUN_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
# The C library that can be linked into the binary, a C compiler that knows it, and `make`.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates make musl-tools \
    && rm --recursive --force /var/lib/apt/lists/*
RUN rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /build
COPY . .
# The caches outlive the step; the binary has to leave them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin codex-proxy --target "$(uname -m)-unknown-linux-musl" \
    && cp target/*-linux-musl/release/codex-proxy /codex-proxy
RUN mkdir --mode=0700 /login

FROM ${RUN_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /codex-proxy /usr/local/bin/codex-proxy
# A volume that is mounted here is the daemon's from the start.
COPY --from=build --chown=65532:65532 /login /codex
# Nobody in particular: the daemon writes nothing but the login and needs no home.
USER 65532:65532
# The login is in /codex, the settings, if there are any, in /etc/codex-proxy/config.toml. What a
# port is published of has to listen on all addresses, which needs API keys.
ENV CODEX_HOME=/codex \
    XDG_CONFIG_HOME=/etc \
    XDG_DATA_HOME=/codex \
    CODEX_PROXY_SERVER_LISTEN=0.0.0.0:10455
EXPOSE 10455
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s \
    CMD ["/usr/local/bin/codex-proxy", "health"]
ENTRYPOINT ["/usr/local/bin/codex-proxy"]
