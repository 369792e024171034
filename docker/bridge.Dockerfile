# The bridge alone: no shell, no package manager, nobody but an unprivileged user. Built from the root of the repository:
# docker build --file docker/bridge.Dockerfile --tag mqtt-lambda-bridge .

# What the program is put into: the stage `pinned`, or another image in its place, such as a copy in a registry of your own.
ARG BRIDGE_BASE=pinned

# The build runs on the machine's own architecture, and compiles for another where one is asked for: emulated, link-time
# optimisation takes hours.
FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-trixie AS build
ARG BUILDARCH TARGETARCH
WORKDIR /source
COPY docker/cross.sh /usr/local/bin/
RUN cross.sh prepare

# The dependencies in a layer of their own, which lasts until a manifest or the lock file changes: sources are stubs.
COPY Cargo.toml Cargo.lock ./
COPY event/Cargo.toml event/
COPY bridge/Cargo.toml bridge/
COPY lambda-handler/Cargo.toml lambda-handler/
COPY sandbox/Cargo.toml sandbox/
COPY sandbox/launch/Cargo.toml sandbox/launch/
COPY examples/function-minimal/Cargo.toml examples/function-minimal/
RUN for member in event bridge lambda-handler sandbox sandbox/launch examples/function-minimal; do \
      mkdir $member/src && touch $member/src/lib.rs && echo 'fn main() {}' >$member/src/main.rs || exit 1; \
    done \
 && cross.sh build mqtt-lambda-bridge

COPY event event
COPY bridge bridge
# Cargo goes by the time of a file, and the stubs are younger than the sources.
RUN find event bridge -name '*.rs' -exec touch {} + \
 && cross.sh build mqtt-lambda-bridge

# An index of x86-64 and arm64. Dependabot proposes newer ones, and what is fixed in Debian comes by them alone.
FROM gcr.io/distroless/cc-debian13:nonroot@sha256:54df941ed0d06a1bd95ef5e0ce391fd8d9f94b64782dc9a60062727849ee3f97 AS pinned

FROM ${BRIDGE_BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mqtt-lambda-bridge" \
      org.opencontainers.image.description="An event source mapping for MQTT: invokes AWS Lambda for each message" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/mqtt-lambda-bridge /usr/local/bin/mqtt-lambda-bridge
USER 65532:65532
# SIGTERM drains; give it more than `drain_timeout` before SIGKILL.
STOPSIGNAL SIGTERM
# Healthy from the moment that every mapping was ready once, and then as long as it lives: a broker outage later
# restarts nothing.
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s CMD ["/usr/local/bin/mqtt-lambda-bridge", "health", "--started"]
ENTRYPOINT ["/usr/local/bin/mqtt-lambda-bridge"]
CMD ["run"]
