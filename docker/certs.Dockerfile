# Makes the keys of this world, with the script that makes those of a real one. Built from the root of the repository.
FROM debian:trixie-20260803-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openssl \
 && rm -rf /var/lib/apt/lists/*
COPY certs/make-certs.sh docker/certs/provide.sh /usr/local/bin/
CMD ["provide.sh"]
