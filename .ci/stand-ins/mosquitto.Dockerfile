# Stands in for eclipse-mosquitto:2.0.22-openssl: Debian 13's own build, 2.0.21, with the user id and the paths of the
# image that it stands for.
FROM debian:trixie-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mosquitto mosquitto-clients \
 && rm -rf /var/lib/apt/lists/* \
 && groupmod --gid 1883 mosquitto \
 && usermod --uid 1883 --gid 1883 mosquitto \
 && install -d -o 1883 -g 1883 /mosquitto /mosquitto/config /mosquitto/data /mosquitto/log
VOLUME ["/mosquitto/data", "/mosquitto/log"]
EXPOSE 1883
CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
