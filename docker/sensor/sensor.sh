#!/bin/sh
# A simulated sensor: a reading now and then every INTERVAL seconds, over one connection that libmosquitto, in C, makes
# again whenever it breaks. On SIGINT or SIGTERM it waits until the broker has confirmed what is under way, and ends.

set -eu
: "${DEVICE:=C-Client-01}" "${TOPIC:=sensor/data}" "${INTERVAL:=30}" "${BROKER:=broker}" "${PORT:=8883}" "${TLS:=/tls}"

pipe=$(mktemp -d)
mkfifo "$pipe/readings"
publisher=
nap=
stopping=

stop() {
    stopping=yes
    [ -z "$nap" ] || kill "$nap" 2>/dev/null || true
}
trap stop INT TERM
# A publisher that has ended is started again; writing to it must not end us.
trap '' PIPE

connect() {
    mosquitto_pub -h "$BROKER" -p "$PORT" -V mqttv5 -q 1 -t "$TOPIC" -l \
        --cafile "$TLS/ca.crt" --cert "$TLS/$DEVICE.crt" --key "$TLS/$DEVICE.key" <"$pipe/readings" &
    publisher=$!
    exec 3>"$pipe/readings"
}

# 20.0 to 29.9 °C.
reading() {
    tenths=$(($(od -An -N2 -tu2 /dev/urandom) % 100))
    printf '{"device_id": "%s", "temperature": 2%s.%s, "status": "OK"}' "$DEVICE" $((tenths / 10)) $((tenths % 10))
}

rest() {
    sleep "$1" &
    nap=$!
    wait "$nap" || true
    nap=
}

connect
echo "sensor $DEVICE: publishes to $TOPIC every $INTERVAL s"
while [ -z "$stopping" ]; do
    if ! kill -0 "$publisher" 2>/dev/null; then
        echo "sensor $DEVICE: not connected, tries again" >&2
        exec 3>&-
        connect
    fi
    text=$(reading)
    if printf '%s\n' "$text" >&3 2>/dev/null; then
        echo "$text"
        rest "$INTERVAL"
    else
        rest 2
    fi
done

# The end of its input is the publisher's sign to wait for the last confirmation and to say good-bye. Without a broker none
# comes, so its time is limited.
exec 3>&-
{ sleep 5 && kill "$publisher"; } 2>/dev/null &
limit=$!
wait "$publisher" || true
kill "$limit" 2>/dev/null || true
rm -r "$pipe"
echo "sensor $DEVICE: ended"
