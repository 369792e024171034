#!/bin/sh
# Makes the keys and certificates of one MQTT world: an authority, the broker, the bridge and the devices.
# Keeps what is still good, never replaces an authority unasked, and sends nothing anywhere. See README.md.

set -eu
umask 077

usage() {
    cat <<'EOF'
make-certs.sh makes the keys and certificates that MQTT over mutual TLS needs.

Usage:
  make-certs.sh [OPTION...] [make] [NAME-OR-ADDRESS...]
      Make what is missing or about to expire, keep the rest: the authority, the certificates `broker`, `bridge`
      and `device`, and the revocation list. Each NAME-OR-ADDRESS is one more way in which clients reach the broker;
      localhost, 127.0.0.1 and ::1, and what an earlier certificate holds, are always there.
  make-certs.sh [OPTION...] device NAME
      Make the client certificate of one more device; NAME becomes its common name, and so its MQTT user and client id.
      Names of the bridge's clients are refused: bridge, bridge-…, mqtt-lambda-bridge….
  make-certs.sh [OPTION...] revoke NAME
      Revoke every certificate ever made for NAME (`broker` and `bridge`, too), and renew the revocation list.
      The next `make`, or `device NAME`, makes a new one.
  make-certs.sh [OPTION...] crl
      Renew the revocation list. Clients that enforce its date refuse everyone once it has expired: run `make` or
      this from a timer.
  Options may stand anywhere.

Options:
  --out DIR         where everything is kept [certs/out, beside this script]
  --days N          how long a broker, bridge or device certificate is valid [365]
  --ca-days N       how long a new authority is valid [3650]
  --crl-days N      how long a revocation list is valid [90]
  --renew-days N    what ends within so many days is made again [30]
  --new-ca          with make: put everything aside, in DIR/old-TIME, and start with a new authority
  --issuing         with make, for a new authority: it signs an issuing authority, which signs all else, so that
                    DIR/ca.key can be kept where no network is; it is needed again once a year, for its own list
  -h, --help        this text

Exit codes: 0 done, 1 failed, 2 wrong usage.

Examples:
  make-certs.sh                                     # for a broker on this machine
  make-certs.sh broker.example.net 192.0.2.7        # for one that is reached by that name and that address
  make-certs.sh device C-Client-01
  openssl x509 -in certs/out/broker.crt -noout -text
EOF
}

# How long the root says that the issuing authority is good.
readonly ROOT_CRL_DAYS=400

# ---- words ------------------------------------------------------------------

say() { printf '%s\n' "$*"; }

fail() {
    printf 'make-certs.sh: %s\n' "$*" >&2
    exit 1
}

misused() {
    printf 'make-certs.sh: %s; --help says more\n' "$*" >&2
    exit 2
}

# ---- what may be asked for --------------------------------------------------

check_days() {
    case $2 in
        '' | *[!0-9]* | 0* | ??????*) misused "$1 \`$2\`: not a number of days from 1 to 99999" ;;
    esac
}

# A name is part of a file name, of a distinguished name and of the broker's access list.
check_name() {
    case $1 in
        '') misused 'name: empty' ;;
        [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*)
            misused "name \`$1\`: must start with a letter or digit, and hold only those, dot, dash and underscore"
            ;;
    esac
    # The upper bound of a common name, RFC 5280 appendix A.1.
    [ "${#1}" -le 64 ] || misused "name \`$1\`: longer than 64 characters"
}

# A device's name is its client id (`use_username_as_clientid`), and a bridge has a client id for each mapping, which begins
# with its `client_id`: with such a name a device would take the session of the bridge, and all that waits in it.
# Compared in lower case, because file systems exist in which CA.key is ca.key.
check_device() {
    check_name "$1"
    case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in
        ca | issuing | broker) misused "device \`$1\`: the name is taken by the bridge's own world" ;;
        bridge | bridge[._-]* | mqtt-lambda-bridge*)
            misused "device \`$1\`: the name may be a client id of the bridge, whose session it would take; choose another"
            ;;
    esac
}

# Prints how a certificate spells a name or an address. Nothing that has a meaning in OpenSSL's files gets through.
alternative_name() {
    case $1 in
        '') misused 'broker name: empty' ;;
        *:*)
            case $1 in *[!0-9A-Fa-f:.]*) misused "broker address \`$1\`: not an IPv6 address" ;; esac
            say "IP:$1"
            ;;
        *[!0-9.]*)
            case ${1#\*.} in
                *[!A-Za-z0-9.-]* | -* | .* | *. | *- | *..* | *.-* | *-.*)
                    misused "broker name \`$1\`: not a host name"
                    ;;
            esac
            say "DNS:$1"
            ;;
        *)
            say "$1" | grep -Eq '^([0-9]{1,3}\.){3}[0-9]{1,3}$' || misused "broker address \`$1\`: not an IPv4 address"
            say "IP:$1"
            ;;
    esac
}

# ---- OpenSSL ----------------------------------------------------------------

require_openssl() {
    case $(openssl version 2>&1 || true) in
        'OpenSSL '[3-9].*) ;;
        *) fail 'openssl: OpenSSL 3 or later is needed, and must come first in PATH' ;;
    esac
}

# Our own configuration, so that the system's has no say. Paths are relative because $out may hold anything.
configure() {
    below=0
    [ "$issuer" = ca ] || below=1
    cat >"$scratch/openssl.cnf" <<EOF
[req]
distinguished_name = subject
prompt = no
[subject]
[authority]
basicConstraints = critical, CA:true, pathlen:$below
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = ${names:-DNS:localhost}
[client]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[ca]
default_ca = register
[register]
database = register/index.txt
crlnumber = register/crlnumber
certificate = $issuer.crt
private_key = $issuer.key
default_md = sha256
unique_subject = no
crl_extensions = list
[root]
database = register/root.txt
crlnumber = register/root.crlnumber
certificate = ca.crt
private_key = ca.key
default_md = sha256
crl_extensions = list
[list]
authorityKeyIdentifier = keyid:always
EOF
    OPENSSL_CONF=$scratch/openssl.cnf
    export OPENSSL_CONF
}

# Runs openssl, which speaks only if it fails.
quietly() {
    openssl "$@" >"$scratch/log" 2>&1 || {
        cat "$scratch/log" >&2
        fail "openssl $1: failed, see above"
    }
}

new_key() { quietly genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

new_serial() { printf '0x%s' "$(openssl rand -hex 16)"; }

serial_of() { openssl x509 -in "$1" -noout -serial | sed 's/^serial=//'; }

# Takes a pair from the scratch directory into its place. The certificate comes last: what reads the pair in between
# finds a key that does not match, and keeps what it has.
install_pair() {
    chmod 0600 "$scratch/key"
    chmod 0644 "$scratch/crt"
    mv -f "$scratch/key" "$1.key"
    mv -f "$scratch/crt" "$1.crt"
}

# ---- the authority ----------------------------------------------------------

ensure_ca() {
    if [ -e issuing.crt ] || [ -e issuing.key ]; then
        sign_with issuing
        check_issuing
        return
    fi
    case $([ -e ca.crt ] && echo crt)$([ -e ca.key ] && echo key) in
        crtkey) check_ca ;;
        crt) fail 'ca.key: missing, though ca.crt is there: bring it back, or start over with --new-ca' ;;
        key) fail 'ca.crt: missing, though ca.key is there: bring it back, or start over with --new-ca' ;;
        *) make_ca ;;
    esac
}

# Who signs from now on: `ca` itself, or `issuing`.
sign_with() {
    issuer=$1
    above=
    [ "$issuer" = ca ] || above='-untrusted issuing.crt'
    configure
}

check_ca() {
    [ -z "$with_issuing" ] || fail '--issuing: the authority that is there signs by itself; start over with --new-ca --issuing'
    check_dates_of ca
    matches ca || fail 'ca.key: not the key of ca.crt: bring the right one back, or start over with --new-ca'
    check_register
    tell_kept ca
}

# The root's key may be away.
check_issuing() {
    [ -e ca.crt ] || fail 'ca.crt: missing, though issuing.crt is there: bring it back, or start over with --new-ca'
    check_dates_of ca
    check_dates_of issuing
    matches issuing || fail 'issuing.key: missing, or not the key of issuing.crt: bring the right one back, or start over with --new-ca'
    check_register
    tell_kept ca
    tell_kept issuing
}

check_dates_of() {
    openssl x509 -in "$1.crt" -noout -checkend 0 >/dev/null ||
        fail "$1.crt: expired or unreadable: start over with --new-ca"
}

check_register() {
    [ -e register/crlnumber ] ||
        fail 'register: missing, so nobody knows what was revoked: bring it back, or start over with --new-ca'
}

tell_kept() {
    if lasts "$1"; then
        say "kept  $1.crt  $(until_when "$1")"
    else
        say "kept  $1.crt  $(until_when "$1"), which is soon: README.md says how to change to a new one" >&2
    fi
}

make_ca() {
    [ -z "$with_issuing" ] || sign_with issuing
    # The name is new each time: an old and a new authority have to be told apart while both are trusted.
    number=$(openssl rand -hex 4)
    new_key "$scratch/key"
    quietly req -new -x509 -sha256 -key "$scratch/key" -out "$scratch/crt" -days "$ca_days" \
        -set_serial "$(new_serial)" -extensions authority -subj "/CN=mqtt-lambda-bridge CA $number"
    mkdir -p register
    : >register/index.txt
    echo 01 >register/crlnumber
    rm -f ca.crl
    install_pair ca
    say "made  ca.crt  $(until_when ca)"
    [ -z "$with_issuing" ] || make_issuing
}

make_issuing() {
    new_key "$scratch/key"
    quietly req -new -sha256 -key "$scratch/key" -subj "/CN=mqtt-lambda-bridge issuing CA $number" -out "$scratch/csr"
    # A day less, because nothing may outlive what signs it.
    quietly x509 -req -sha256 -in "$scratch/csr" -CA ca.crt -CAkey ca.key -set_serial "$(new_serial)" \
        -days $((ca_days - 1)) -extfile "$scratch/openssl.cnf" -extensions issuing -out "$scratch/crt"
    : >register/root.txt
    echo 01 >register/root.crlnumber
    install_pair issuing
    say "made  issuing.crt  $(until_when issuing)"
}

put_aside() {
    [ -e ca.crt ] || [ -e ca.key ] || return 0
    second=old-$(date -u +%Y%m%dT%H%M%SZ)
    # Two authorities may follow each other within a second; each keeps a directory of its own.
    aside=$second count=1
    while [ -e "$aside" ]; do
        count=$((count + 1)) aside=$second-$count
    done
    mkdir "$aside" || fail "$aside: cannot be made"
    for entry in *; do
        case $entry in
            old-*) ;;
            *) [ ! -e "$entry" ] || mv "$entry" "$aside/" ;;
        esac
    done
    say "old   everything is in $aside; devices need new certificates from the new authority"
}

# ---- certificates -----------------------------------------------------------

lasts() { openssl x509 -in "$1.crt" -noout -checkend $((renew_days * 86400)) >/dev/null 2>&1; }

until_when() { openssl x509 -in "$1.crt" -noout -enddate | sed 's/^notAfter=/until /'; }

matches() {
    [ "$(openssl pkey -in "$1.key" -pubout 2>/dev/null)" = "$(openssl x509 -in "$1.crt" -noout -pubkey 2>/dev/null)" ]
}

# In the register a revoked certificate is a line `R<tab>end<tab>when<tab>serial<tab>…`.
is_revoked() { awk -F '\t' -v serial="$1" '$1 == "R" && $4 == serial { found = 1 } END { exit !found }' register/index.txt; }

# Whether a pair can stay: present, matching, ours, for this use, neither revoked nor about to end.
is_good() {
    [ -e "$1.crt" ] && [ -e "$1.key" ] && matches "$1" && lasts "$1" &&
        openssl_verify -x509_strict -purpose "ssl$2" "$1.crt" &&
        ! is_revoked "$(serial_of "$1.crt")"
}

# shellcheck disable=SC2086 # no word, or two
openssl_verify() { openssl verify $above -CAfile ca.crt "$@" >/dev/null 2>&1; }

# ensure NAME server|client
ensure() {
    if is_good "$1" "$2"; then
        chmod 0600 "$1.key"
        say "kept  $1.crt  $(until_when "$1")"
    else
        issue "$1" "$2"
        say "made  $1.crt  $(until_when "$1")"
    fi
}

issue() {
    openssl x509 -in "$issuer.crt" -noout -checkend $((days * 86400)) >/dev/null ||
        fail "$1.crt: would outlive $issuer.crt by its $days days: ask for fewer with --days, or start over with --new-ca"
    new_key "$scratch/key"
    quietly req -new -sha256 -key "$scratch/key" -subj "/CN=$1" -out "$scratch/csr"
    quietly x509 -req -sha256 -in "$scratch/csr" -CA "$issuer.crt" -CAkey "$issuer.key" -set_serial "$(new_serial)" -days "$days" \
        -extfile "$scratch/openssl.cnf" -extensions "$2" -out "$scratch/crt"
    # Registered before it is used, so that whatever is out there can be revoked.
    mkdir -p "register/$1"
    cp "$scratch/crt" "register/$1/$(serial_of "$scratch/crt").crt"
    # Who trusts the root alone has to be shown what is between.
    [ "$issuer" = ca ] || cat issuing.crt >>"$scratch/crt"
    install_pair "$1"
}

# Sets $names to what the broker's certificate shall hold: all it holds, and what was asked for beyond.
broker_names() {
    names=
    if [ -e broker.crt ]; then
        names=$(openssl x509 -in broker.crt -noout -ext subjectAltName 2>/dev/null |
            sed -n '/DNS:/s/IP Address:/IP:/g; s/ //g; /DNS:/p')
    fi
    lacking=
    for wanted in DNS:localhost IP:127.0.0.1 IP:::1 $asked; do
        has_name "$wanted" || {
            names=${names:+$names,}$wanted
            lacking=yes
        }
    done
}

has_name() {
    [ -e broker.crt ] || return 1
    case $1 in
        IP:*) openssl x509 -in broker.crt -noout -checkip "${1#IP:}" ;;
        DNS:*) openssl x509 -in broker.crt -noout -checkhost "${1#DNS:}" ;;
    esac 2>/dev/null | grep -q 'does match'
}

# ---- the revocation list ----------------------------------------------------

make_crl() {
    quietly ca -gencrl -crldays "$crl_days" -out "$scratch/crl"
    if [ "$issuer" != ca ]; then
        make_root_crl
        cat register/root.crl >>"$scratch/crl"
    fi
    chmod 0644 "$scratch/crl"
    mv -f "$scratch/crl" ca.crl
    say "made  ca.crl  $(crl_until)"
}

# The root's own list, which says that the issuing authority is good: for a year, as its key has to be fetched for it.
make_root_crl() {
    if [ -e ca.key ]; then
        quietly ca -name root -gencrl -crldays "$ROOT_CRL_DAYS" -out "$scratch/root.crl"
        mv -f "$scratch/root.crl" register/root.crl
    elif [ ! -e register/root.crl ]; then
        fail 'register/root.crl: missing: bring it back, or ca.key, which signs it'
    else
        soon=$(($(date +%s) + renew_days * 86400))
        openssl verify -crl_check -attime "$soon" -CAfile ca.crt -CRLfile register/root.crl issuing.crt >/dev/null 2>&1 ||
            say "ca.crl: the root's part ends within $renew_days days: bring ca.key back for one run" >&2
    fi
}

crl_until() { openssl crl -in ca.crl -noout -nextupdate | sed 's/^nextUpdate=/until /'; }

# ensure_crl NAME: renews the list unless it will still do, for that good certificate, when renewal is due.
ensure_crl() {
    then=$(($(date +%s) + renew_days * 86400 - 60))
    if [ -e ca.crl ] &&
        openssl_verify -crl_check_all -attime "$then" -CRLfile ca.crl "$1.crt"; then
        say "kept  ca.crl  $(crl_until)"
    else
        make_crl
    fi
}

# ---- commands ---------------------------------------------------------------

run_make() {
    broker_names
    if [ -n "$new_ca" ]; then
        put_aside
        sign_with ca
    fi
    ensure_ca
    configure
    if [ -n "$lacking" ]; then
        issue broker server
        say "made  broker.crt  $(until_when broker)"
    else
        ensure broker server
    fi
    ensure bridge client
    ensure device client
    ensure_crl bridge
    if [ "$issuer" != ca ] && [ -e ca.key ]; then
        say 'now take ca.key away, to where no network is; README.md says when it is needed again'
    fi
}

run_device() {
    ensure_ca
    ensure "$1" client
    ensure_crl "$1"
}

run_revoke() {
    [ -e ca.crt ] || fail 'ca.crt: missing, so there is nothing to revoke'
    ensure_ca
    [ -d "register/$1" ] || fail "$1: has no certificate of this authority; the directories in register/ are the names"
    for crt in "register/$1"/*.crt; do
        serial=$(serial_of "$crt")
        if ! is_revoked "$serial"; then
            quietly ca -revoke "$crt"
            say "revoked $1 $serial"
        fi
    done
    make_crl
    say 'now have the broker and the bridge read ca.crl: README.md says how'
}

run_crl() {
    [ -e ca.crt ] || fail "ca.crt: missing, so no list can be signed; \`make-certs.sh make\` starts an authority"
    ensure_ca
    make_crl
}

enter_out() {
    [ -d "$out" ] || mkdir -p "$out" || fail "$out: cannot be made"
    cd "$out" || fail "$out: cannot be entered"
    # A directory that others may write to, such as /tmp, is no place for keys; one of ours is closed again.
    if [ -e ca.key ] || [ -e issuing.key ] || [ -z "$(ls -A .)" ]; then
        chmod 0700 .
    fi
    # One at a time: of two that write the register at once, one would forget what the other revoked.
    mkdir .lock 2>/dev/null ||
        fail "$out/.lock: there, so another make-certs.sh is at work; remove it if there is none"
    trap 'rm -rf .lock' EXIT
    trap 'exit 1' HUP INT TERM
    scratch=.lock
    names=
    sign_with ca
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --new-ca) new_ca=yes ;;
            --issuing) with_issuing=yes ;;
            --out | --days | --ca-days | --crl-days | --renew-days)
                [ $# -ge 2 ] || misused "$1: needs a value"
                set_option "$1" "$2"
                shift
                ;;
            -*) misused "$1: no such option" ;;
            *) take "$1" ;;
        esac
        shift
    done
    command=${command:-make}
}

set_option() {
    case $1 in
        --out)
            case $2 in
                '') misused '--out: empty' ;;
                # What cd would take for an option, or for the previous directory.
                -*) out=./$2 ;;
                *) out=$2 ;;
            esac
            ;;
        --days) check_days "$1" "$2" && days=$2 ;;
        --ca-days) check_days "$1" "$2" && ca_days=$2 ;;
        --crl-days) check_days "$1" "$2" && crl_days=$2 ;;
        --renew-days) check_days "$1" "$2" && renew_days=$2 ;;
    esac
}

# The first word that is no option is the command, if it is one.
take() {
    case $command:$1 in
        :make | :device | :revoke | :crl)
            command=$1
            return
            ;;
    esac
    command=${command:-make}
    case $command in
        make)
            one=$(alternative_name "$1") || exit 2
            asked="$asked $one"
            ;;
        crl) misused "crl: takes no name, but \`$1\` was given" ;;
        *)
            [ -z "$subject" ] || misused "$command: takes one name, but \`$1\` was given as well"
            check_name "$1"
            subject=$1
            ;;
    esac
}

check_request() {
    case $command in
        device | revoke) [ -n "$subject" ] || misused "$command: needs a name" ;;
    esac
    [ "$command" != device ] || check_device "$subject"
    [ -z "$new_ca" ] || [ "$command" = make ] || misused "$command: --new-ca goes with make only"
    [ -z "$with_issuing" ] || [ "$command" = make ] || misused "$command: --issuing goes with make only"
    [ "$days" -gt "$renew_days" ] || misused "--days $days: must be more than --renew-days, which is $renew_days"
    [ "$crl_days" -gt "$renew_days" ] || misused "--crl-days $crl_days: must be more than --renew-days, which is $renew_days"
    [ "$ca_days" -gt "$days" ] || misused "--ca-days $ca_days: must be more than --days, which is $days"
}

command=
out=$(dirname -- "$0")/out
days=365
ca_days=3650
crl_days=90
renew_days=30
new_ca=
with_issuing=
subject=
asked=

parse "$@"
check_request
require_openssl
enter_out
case $command in
    make) run_make ;;
    device) run_device "$subject" ;;
    revoke) run_revoke "$subject" ;;
    crl) run_crl ;;
esac
