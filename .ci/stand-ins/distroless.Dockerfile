# Stands in for gcr.io/distroless/cc-debian13:nonroot: the same packages of Debian 13, without a shell, and nobody but
# the user `nonroot`.
FROM debian:trixie-slim AS packages
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ca-certificates \
 && mkdir /rootfs /packages && cd /packages \
 && apt-get download -qq base-files libc6 libgcc-s1 netbase tzdata \
 && for package in *.deb; do dpkg-deb -x "$package" /rootfs; done \
 && rm -rf /rootfs/usr/share/doc /rootfs/usr/share/man /rootfs/usr/share/lintian \
 && install -d /rootfs/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ \
 && echo 'hosts: files dns' >/rootfs/etc/nsswitch.conf \
 && printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >/rootfs/etc/passwd \
 && printf 'root:x:0:\nnonroot:x:65532:\n' >/rootfs/etc/group \
 && install -d -o 65532 -g 65532 -m 0700 /rootfs/home/nonroot

FROM scratch
COPY --from=packages /rootfs/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
