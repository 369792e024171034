# Stands in for rust:1.95.0-slim-SUITE: the toolchain of this machine, with the compiler of C that such images have.
ARG SUITE=bookworm
FROM debian:$SUITE-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ca-certificates gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY toolchain /usr/local/rust
# This machine may reach the registry of crates through a proxy whose authority is in its own bundle.
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV CARGO_HOME=/usr/local/cargo CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt PATH=/usr/local/rust/bin:$PATH
