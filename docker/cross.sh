#!/bin/sh
# Compiles a program of this repository for the architecture that the image is for (TARGETARCH), on that of the build (BUILDARCH).
# Part of bridge.Dockerfile; without the two variables it compiles for the machine that it runs on.
#
# cross.sh prepare          fetches what compiling for another architecture needs
# cross.sh build PACKAGE    leaves the program in /out

set -eu

target=
if [ "${TARGETARCH:-}" != "${BUILDARCH:-}" ]; then
    case $TARGETARCH in
        amd64) target=x86_64-unknown-linux-gnu tools=x86-64-linux-gnu prefix=x86_64-linux-gnu ;;
        arm64) target=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu prefix=aarch64-linux-gnu ;;
        *)
            echo "cross.sh: $TARGETARCH: nobody has said how to compile for it" >&2
            exit 1
            ;;
    esac
fi

case $1 in
    prepare)
        [ -n "$target" ] || exit 0
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "gcc-$tools" "libc6-dev-${TARGETARCH}-cross"
        rm -rf /var/lib/apt/lists/*
        rustup target add "$target"
        ;;
    build)
        if [ -n "$target" ]; then
            name=$(echo "$target" | tr a-z- A-Z_)
            export "CARGO_TARGET_${name}_LINKER=$prefix-gcc" "CC_$(echo "$target" | tr - _)=$prefix-gcc"
        fi
        cargo build --release --locked --package "$2" ${target:+--target "$target"}
        install -D "target/${target:+$target/}release/$2" "/out/$2"
        ;;
esac
