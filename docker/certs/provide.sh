#!/bin/sh
# Makes keys and certificates, once, and gives each program its own and no other's. What is still good stays as it is.

set -eu
umask 077

# give DIRECTORY USER FILE...: copies what only that user may read.
give() {
    directory=$1 user=$2
    shift 2
    install -d -m 0700 -o "$user" -g "$user" "$directory"
    for file in "$@"; do
        install -m 0400 -o "$user" -g "$user" "$file" "$directory/"
    done
}

make-certs.sh --out /authority broker broker-private
# shellcheck disable=SC2086 # one word each
for device in ${DEVICES:-}; do
    make-certs.sh --out /authority device "$device"
done

# The users of the images: Mosquitto, and `nonroot` of distroless.
cd /authority
give /tls/broker 1883 ca.crt ca.crl broker.crt broker.key
give /tls/bridge 65532 ca.crt ca.crl bridge.crt bridge.key
give /tls/device 1883 ca.crt device.crt device.key
for device in ${DEVICES:-}; do
    give "/tls/$device" 1883 ca.crt "$device.crt" "$device.key"
done

# Keys for the listener of mosquitto/psk: `name:key`, a line each.
if [ -n "${PSK_DEVICES:-}" ]; then
    touch psk
    for device in $PSK_DEVICES; do
        # Its name is its client id, too.
        case $device in
            bridge | bridge[._-]* | mqtt-lambda-bridge*)
                echo "PSK_DEVICES: \`$device\`: may be a client id of the bridge, whose session it would take; choose another name" >&2
                exit 1
                ;;
        esac
        grep -q "^$device:" psk || echo "$device:$(openssl rand -hex 32)" >>psk
    done
    give /tls/broker 1883 psk
fi
