# LocalStack with the function in it and the script that sets up the account. Built from the root of the repository.

ARG LOCALSTACK_VERSION=4.14.0

# Debian 12, because a function built with a later C library does not start in `provided.al2023`.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /source
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
 && cargo build --release --locked --package lambda-handler
COPY event event
COPY lambda-handler lambda-handler
RUN find event lambda-handler -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --package lambda-handler \
 && install -D target/release/lambda-handler /function/bootstrap
# That runtime has version 2.34 of the C library: better to fail here than in front of the first reading.
RUN ! objdump -T /function/bootstrap | grep -E 'GLIBC_2\.(3[5-9]|[4-9][0-9])'

FROM localstack/localstack:${LOCALSTACK_VERSION}
COPY --from=build /function/ /opt/function/
COPY docker/localstack/provision.sh /etc/localstack/init/ready.d/provision.sh
