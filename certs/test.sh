#!/bin/sh
# Tests make-certs.sh in a directory of its own, against OpenSSL's strict checks. Leaves nothing behind.

set -eu

here=$(cd "$(dirname -- "$0")" && pwd)
world=$(mktemp -d)
trap 'rm -rf "$world"' EXIT
trap 'exit 1' HUP INT TERM
out=$world/out
passed=0

make_certs() { "$here/make-certs.sh" "$@" --out "$out" >"$world/stdout" 2>"$world/stderr"; }

pass() {
    passed=$((passed + 1))
    printf 'ok    %s\n' "$1"
}

fail() {
    printf 'FAILED %s\n' "$1"
    cat "$world/stdout" "$world/stderr"
    exit 1
}

# check WHAT COMMAND...: the command succeeds.
check() {
    what=$1
    shift
    if "$@" >"$world/check" 2>&1; then pass "$what"; else
        cat "$world/check"
        fail "$what"
    fi
}

# refused CODE WORDS WHAT ARGUMENT...: make-certs.sh exits with the code and complains in those words.
refused() {
    code=0
    what=$3
    expected=$1
    words=$2
    shift 3
    make_certs "$@" || code=$?
    [ "$code" = "$expected" ] || fail "$what: exit code $code"
    grep -q -- "$words" "$world/stderr" || fail "$what: does not say \`$words\`"
    pass "$what"
}

# verifies NAME server|client: as a peer would, with every check that OpenSSL has.
verifies() {
    openssl verify -x509_strict -check_ss_sig -crl_check -purpose "ssl$2" -CAfile "$out/ca.crt" \
        -CRLfile "$out/ca.crl" "$out/$1.crt"
}

not() { ! "$@"; }

has() { openssl x509 -in "$out/$1.crt" -noout -ext "$2" | grep -q -- "$3"; }

valid_for() { openssl x509 -in "$out/broker.crt" -noout "$1" "$2" | grep -q 'does match'; }

matches() {
    [ "$(openssl pkey -in "$out/$1.key" -pubout)" = "$(openssl x509 -in "$out/$1.crt" -noout -pubkey)" ]
}

mode() { [ "$(find "$out/$1" -prune -perm "$2")" = "$out/$1" ]; }

# What all that must stay as it is looks like.
fingerprint() { (cd "$out" && cksum "$@"); }

revocations() { openssl crl -in "$out/ca.crl" -noout -text | grep -c 'Serial Number:'; }

serial() { openssl x509 -in "$out/$1.crt" -noout -serial; }

same() { [ "$1" = "$2" ]; }

# ---- a new world ------------------------------------------------------------

make_certs broker.example.net 192.0.2.7 2001:db8::7 || fail 'makes a world'
for pair in broker:server bridge:client device:client; do
    name=${pair%:*}
    check "$name verifies strictly, for its ${pair#*:}" verifies "$name" "${pair#*:}"
    check "$name has the key of its certificate" matches "$name"
    check "$name is no authority" has "$name" basicConstraints 'CA:FALSE'
    check "$name may sign and nothing else" has "$name" keyUsage '^ *Digital Signature$'
    check "$name has a subject key identifier" has "$name" subjectKeyIdentifier '[0-9A-F]:'
    check "$name names its authority's key" has "$name" authorityKeyIdentifier '[0-9A-F]:'
    check "$name.key is its owner's alone" mode "$name.key" 600
    check "$name has its name as common name" \
        same "$(openssl x509 -in "$out/$name.crt" -noout -subject -nameopt RFC2253)" "subject=CN=$name"
    check "$name is X.509 version 3 on P-256" \
        same "$(openssl x509 -in "$out/$name.crt" -noout -text | grep -c -e 'Version: 3 ' -e 'prime256v1')" 2
done
check 'the broker is no client' not verifies broker client
check 'the bridge is no server' not verifies bridge server
check 'the device is no server' not verifies device server
for host in localhost broker.example.net; do check "the broker is $host" valid_for -checkhost "$host"; done
for address in 127.0.0.1 ::1 192.0.2.7 2001:db8::7; do check "the broker is $address" valid_for -checkip "$address"; done
check 'the broker is no other host' not valid_for -checkhost example.net
check 'the authority signs certificates and lists' has ca keyUsage '^ *Certificate Sign, CRL Sign$'
check 'the authority has no authority below it' has ca basicConstraints 'CA:TRUE, pathlen:0'
check 'ca.key is its owner'\''s alone' mode ca.key 600
check 'the directory is its owner'\''s alone' mode . 700
check 'the list is empty' \
    sh -c "openssl crl -in '$out/ca.crl' -CAfile '$out/ca.crt' -noout -text | grep -q 'No Revoked Certificates'"
check 'the list names its authority'\''s key and has a number' \
    same "$(openssl crl -in "$out/ca.crl" -noout -text | grep -c -e 'Authority Key Identifier' -e 'CRL Number')" 2
check 'no two serial numbers are alike' \
    same "$(for name in ca broker bridge device; do serial "$name"; done | sort -u | grep -Ec '=[0-9A-F]{24,}$')" 4

# ---- again ------------------------------------------------------------------

everything='ca.crt ca.key ca.crl broker.crt broker.key bridge.crt bridge.key device.crt device.key'
# shellcheck disable=SC2086 # a list of words
before=$(fingerprint $everything)
make_certs || fail 'runs again'
# shellcheck disable=SC2086
check 'a second run changes nothing' same "$before" "$(fingerprint $everything)"
check 'and leaves nothing unfinished behind' same "$(find "$out" -name '.*' ! -path "$out")" ''

before=$(fingerprint ca.crt ca.key broker.key broker.crt)
rm "$out/bridge.key"
chmod 0644 "$out/device.key"
chmod 0755 "$out"
make_certs || fail 'repairs'
check 'a missing key is made again, with its certificate' matches bridge
check 'an open key is closed' mode device.key 600
check 'an open directory is closed' mode . 700
check 'what was not missing stays' same "$before" "$(fingerprint ca.crt ca.key broker.key broker.crt)"

cp "$out/device.key" "$out/bridge.key"
make_certs || fail 'repairs a mixed-up pair'
check 'a key of another certificate is made again' matches bridge

make_certs other.example.net || fail 'adds a name'
check 'a new name is added' valid_for -checkhost other.example.net
check 'the old names stay' valid_for -checkip 2001:db8::7
before=$(serial broker)
make_certs --days 500 --renew-days 400 --ca-days 3650 --crl-days 450 || fail 'renews'
check 'what ends within the days to renew is made again' not same "$before" "$(serial broker)"
check 'with all its names' valid_for -checkhost other.example.net
check 'and verifies' verifies broker server

# ---- devices and revocation -------------------------------------------------

make_certs device C-Client-01 || fail 'makes a device'
check 'a device of its own verifies' verifies C-Client-01 client
before=$(serial C-Client-01)
cp "$out/C-Client-01.crt" "$world/first.crt"
make_certs device C-Client-01 || fail 'keeps a device'
check 'a device is kept' same "$before" "$(serial C-Client-01)"
rm "$out/C-Client-01.crt"
make_certs device C-Client-01 || fail 'makes a device again'
make_certs revoke C-Client-01 || fail 'revokes a device'
check 'a revoked device is refused' not verifies C-Client-01 client
cp "$world/first.crt" "$out/first.crt"
check 'and so is its earlier certificate' not verifies first client
check 'because they are revoked' same "$(revocations)" 2
check 'the others are not' verifies device client
make_certs revoke C-Client-01 || fail 'revokes twice'
make_certs --days 40 device 'C-Client-02' || fail 'takes options before the command'
check 'options may stand before the command' verifies C-Client-02 client
check 'the broker got no name of it' not valid_for -checkhost device
make_certs device C-Client-01 || fail 'makes a revoked device again'
check 'a revoked device gets a new certificate' verifies C-Client-01 client
make_certs revoke bridge || fail 'revokes the bridge'
check 'a revoked bridge is refused' not verifies bridge client
make_certs || fail 'makes the bridge again'
check 'the next run makes a new one' verifies bridge client

before=$(openssl crl -in "$out/ca.crl" -noout -crlnumber)
revoked=$(revocations)
make_certs crl --crl-days 100 || fail 'renews the list'
check 'crl renews the list' not same "$before" "$(openssl crl -in "$out/ca.crl" -noout -crlnumber)"
check 'and forgets nobody' same "$revoked" "$(revocations)"
before=$(fingerprint ca.crl)
make_certs || fail 'keeps the list'
check 'a list that lasts is kept' same "$before" "$(fingerprint ca.crl)"
make_certs --renew-days 120 --crl-days 150 || fail 'renews a list that ends'
check 'a list that ends within the days to renew is made again' not same "$before" "$(fingerprint ca.crl)"

# ---- refusals ---------------------------------------------------------------

check 'a device may be called after a town' make_certs device bridgeport-7
before=$(find "$world" | sort)
for name in ../evil /evil -evil .evil 'a b' 'a
b' 'a/CN=b' "$(printf '%065d' 0)"; do
    refused 2 "${name%%
*}" "the device name \`$name\` is refused" device "$name"
done
for name in ca CA broker issuing; do refused 2 'is taken' "the device name $name is refused" device "$name"; done
refused 2 'needs a name' 'a device needs a name' device
for name in bridge Bridge bridge-sensor-data bridge-mqtt-lambda-0-sensor-data bridge.x bridge_x mqtt-lambda-bridge \
    mqtt-lambda-bridge-sensor-data; do
    refused 2 'client id of the bridge' "a device is not named $name, like a client of the bridge" device "$name"
done
refused 2 'not a host name' 'a host name with a comma is refused' 'a,b'
refused 2 'not an IPv6 address' 'a second name by stealth is refused' 'a,DNS:b'
refused 2 'not a host name' 'a lone wildcard is refused' '*'
refused 2 'not an IPv4 address' 'half an address is refused' 192.0.2
refused 2 'no such option' 'an unknown option is refused' --force
refused 2 'not a number of days' 'days in words are refused' --days ten
refused 2 'more than --renew-days' 'a certificate to renew at once is refused' --days 30
refused 1 'has no certificate' 'revoking a stranger is refused' revoke stranger
refused 1 'would outlive' 'a certificate longer than its authority is refused' device long --days 3700 --ca-days 4000
check 'nothing was made of all that' same "$before" "$(find "$world" | sort)"

mkdir "$out/.lock"
refused 1 'another make-certs.sh' 'two at once are refused' revoke device
rmdir "$out/.lock"

before=$(fingerprint ca.crt)
mv "$out/ca.key" "$world/ca.key"
refused 1 'ca.key: missing' 'an authority without its key is not replaced' make
check 'and stays' same "$before" "$(fingerprint ca.crt)"
cp "$out/bridge.key" "$out/ca.key"
refused 1 'not the key of ca.crt' 'a wrong key is not used' make
mv "$world/ca.key" "$out/ca.key"

# ---- a new authority --------------------------------------------------------

before=$(fingerprint ca.crt)
cp "$out/ca.crt" "$world/old-ca.crt"
# A clock that stands still: all that follows happens within one second.
mkdir "$world/still"
cat >"$world/still/date" <<'EOF'
#!/bin/sh
case $* in
    *%Y*) echo 20270101T000000Z ;;
    *) command -p date "$@" ;;
esac
EOF
chmod +x "$world/still/date"
within_a_second() { PATH=$world/still:$PATH make_certs "$@"; }

within_a_second --new-ca || fail 'starts a new authority'
check 'asked for, there is a new authority' not same "$before" "$(fingerprint ca.crt)"
check 'the new broker verifies' verifies broker server
check 'and keeps its names' valid_for -checkhost other.example.net
check 'the old authority is put aside' sh -c "cmp '$world/old-ca.crt' '$out'/old-*/ca.crt"
check 'the two have different names' not same \
    "$(openssl x509 -in "$out/ca.crt" -noout -subject)" "$(openssl x509 -in "$world/old-ca.crt" -noout -subject)"
# ---- an issuing authority ---------------------------------------------------

refused 1 'signs by itself' 'an authority that signs by itself gets none below it' --issuing
refused 2 'goes with make only' '--issuing is for a new authority' device x --issuing

# Who trusts the root alone, and is shown the rest, as broker and bridge show each other.
chain_verifies() {
    openssl verify -x509_strict -crl_check_all -purpose "ssl$2" -CAfile "$out/ca.crt" -untrusted "$out/$1.crt" \
        -CRLfile "$out/ca.crl" "$out/$1.crt"
}

within_a_second --new-ca --issuing || fail 'makes an issuing authority'
check 'two within a second are put aside apart' same "$(cd "$out" && echo old-*)" 'old-20270101T000000Z old-20270101T000000Z-2'
for pair in broker:server bridge:client device:client; do
    check "${pair%:*} shows its chain, which verifies" chain_verifies "${pair%:*}" "${pair#*:}"
done
check 'the root has one authority below it' has ca basicConstraints 'CA:TRUE, pathlen:1'
check 'which has none' has issuing basicConstraints 'CA:TRUE, pathlen:0'
check 'and has signed the rest' same "$(openssl x509 -in "$out/device.crt" -noout -issuer | sed 's/^issuer=//')" \
    "$(openssl x509 -in "$out/issuing.crt" -noout -subject | sed 's/^subject=//')"
check 'both have a list' same "$(grep -c 'BEGIN X509 CRL' "$out/ca.crl")" 2
mv "$out/ca.key" "$world/ca.key"
before=$(fingerprint ca.crt issuing.crt issuing.key broker.crt bridge.crt device.crt ca.crl)
make_certs || fail 'runs without the root'\''s key'
check 'without the root'\''s key all stays' \
    same "$before" "$(fingerprint ca.crt issuing.crt issuing.key broker.crt bridge.crt device.crt ca.crl)"
make_certs device C-Client-03 || fail 'makes a device without the root'\''s key'
check 'a device is made without it' chain_verifies C-Client-03 client
make_certs revoke C-Client-03 || fail 'revokes a device without the root'\''s key'
check 'and revoked' not chain_verifies C-Client-03 client
check 'the others are not' chain_verifies device client
make_certs crl --days 500 --renew-days 401 --crl-days 450 || fail 'renews the list without the root'\''s key'
check 'it is told when the root'\''s key is needed' grep -q 'bring ca.key back' "$world/stderr"
mv "$world/ca.key" "$out/ca.key"
make_certs crl --days 500 --renew-days 390 --crl-days 450 || fail 'renews both lists'
check 'and not when it was' not grep -q 'bring ca.key back' "$world/stderr"
check 'both lists still verify' chain_verifies bridge client
mv "$out/issuing.key" "$world/issuing.key"
refused 1 'not the key of issuing.crt' 'an issuing authority without its key signs nothing' make
mv "$world/issuing.key" "$out/issuing.key"

check '--help teaches' sh -c "'$here/make-certs.sh' --help | grep -q 'make-certs.sh device C-Client-01'"

printf '%s passed\n' "$passed"
