//! The test suite that AWS publishes for Signature Version 4, by the names of its cases: requests, and the signatures
//! that they have as a header. Read from github.com/awslabs/aws-c-auth, `tests/aws-signing-test-suite/v4` (Apache-2.0).

use super::tests::{example, identity_with, second};
use super::*;

const HOST: (&str, &str) = ("host", "example.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20150830T123600Z");
const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
const LONG_TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflf\
KD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+\
xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
const BODY: &str = "Param1=value1";
/// SHA-256 of it.
const HASH: &str = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";

/// A path as it is signed, as it was written, and what the suite expects.
type OfPath = (&'static [&'static str], &'static str, &'static str);

/// GET, no header but the usual. Paths are signed as they are written; those that the suite has as `-normalized` are
/// given as they are when somebody has taken the dots and empty segments out, which the signer does not, as no path of
/// ours has any.
const PATHS: [OfPath; 11] = [
    (
        &[
            "get-vanilla",
            "get-vanilla-query",
            "get-relative-normalized",
            "get-relative-relative-normalized",
            "get-slash-dot-slash-normalized",
            "get-slash-normalized",
        ],
        "/",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        &["get-relative-relative-unnormalized"],
        "/example1/example2/../..",
        "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
    ),
    (&["get-relative-unnormalized"], "/example/..", "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"),
    (&["get-slash-dot-slash-unnormalized"], "/./", "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"),
    (
        &["get-slash-pointless-dot-normalized"],
        "/example",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    (
        &["get-slash-pointless-dot-unnormalized"],
        "/./example",
        "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff",
    ),
    (&["get-slash-unnormalized"], "//", "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"),
    (&["get-slashes-normalized"], "/example/", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    (&["get-slashes-unnormalized"], "//example//", "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"),
    (
        &["get-space-normalized", "get-space-unnormalized"],
        "/example space/",
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    (
        &["get-unreserved"],
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
];

/// Headers beside the usual, in the order in which they are signed; the values as the suite's canonical requests have
/// them.
type OfHeaders = (&'static [&'static str], &'static str, &'static [(&'static str, &'static str)], &'static str);

const HEADERS: [OfHeaders; 9] = [
    (
        &["get-header-key-duplicate"],
        "GET",
        &[HOST, ("my-header1", "value2,value2,value1"), DATE],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        &["get-header-value-multiline"],
        "GET",
        &[HOST, ("my-header1", "value1 value2 value3"), DATE],
        "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
    ),
    (
        &["get-header-value-order"],
        "GET",
        &[HOST, ("my-header1", "value4,value1,value3,value2"), DATE],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        &["get-header-value-trim"],
        "GET",
        &[HOST, ("my-header1", "value1"), ("my-header2", "\"a b c\""), DATE],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        &["post-vanilla", "post-header-key-case"],
        "POST",
        &[HOST, DATE],
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    (
        &["post-header-key-sort"],
        "POST",
        &[HOST, ("my-header1", "value1"), DATE],
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        &["post-header-value-case"],
        "POST",
        &[HOST, ("my-header1", "VALUE1"), DATE],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    (
        &["get-vanilla-with-session-token"],
        "GET",
        &[HOST, DATE, ("x-amz-security-token", TOKEN)],
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    (
        &["post-sts-header-before"],
        "POST",
        &[HOST, DATE, ("x-amz-security-token", LONG_TOKEN)],
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
];

/// POST with [`BODY`], by the type of its content.
const BODIES: [(&str, &str, &str); 2] = [
    (
        "post-x-www-form-urlencoded-parameters",
        "application/x-www-form-urlencoded; charset=utf-8",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
    (
        "post-x-www-form-urlencoded",
        "application/x-www-form-urlencoded",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
];

/// Cases that are not signed here, and why.
const NOT_SIGNED: [(&str, &str); 9] = [
    ("get-utf8", "below, since its path is encoded whole"),
    ("get-vanilla-empty-query-key", QUERY),
    ("get-vanilla-query-order-encoded", QUERY),
    ("get-vanilla-query-order-key-case", QUERY),
    ("get-vanilla-query-unreserved", QUERY),
    ("get-vanilla-utf8-query", QUERY),
    ("post-vanilla-empty-query-value", QUERY),
    ("post-vanilla-query", QUERY),
    ("post-sts-header-after", "a token that is not signed: for services other than Lambda alone"),
];
const QUERY: &str = "no request of the Invoke API has a query: the version of a function stands in its name";

/// How many cases the suite has.
const CASES: usize = 38;

/// The signature of a request whose first `fixed` headers are prepared, and the others change.
fn signature(method: &str, path: &str, headers: &[(&str, &str)], fixed: usize, body: &str) -> String {
    let signer = Signer::new("us-east-1", "service");
    let moment = signer.moment(&example(), second()).unwrap();
    let prepared = Prepared::new(method, path, &headers[..fixed]);
    let authorization = moment.authorization(&prepared, &headers[fixed..], body.as_bytes());
    authorization.rsplit('=').next().unwrap().to_owned()
}

/// Whatever is prepared: the signature is the same.
#[track_caller]
fn check(names: &[&str], method: &str, path: &str, headers: &[(&str, &str)], body: &str, expected: &str) {
    for fixed in 0..=headers.len() {
        assert_eq!(signature(method, path, headers, fixed, body), expected, "{names:?}, {fixed} headers prepared");
    }
}

#[test]
fn the_signatures_of_awss_own_test_suite() {
    for (names, path, expected) in PATHS {
        check(names, "GET", &canonical(path), &[HOST, DATE], "", expected);
    }
    let utf8 = format!("/{}", encoded("ሴ"));
    let of_utf8 = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85";
    check(&["get-utf8"], "GET", &utf8, &[HOST, DATE], "", of_utf8);
    for (names, method, headers, expected) in HEADERS {
        check(names, method, "/", headers, "", expected);
    }
    for (name, content_type, expected) in BODIES {
        let headers =
            [("content-length", "13"), ("content-type", content_type), HOST, ("x-amz-content-sha256", HASH), DATE];
        check(&[name], "POST", "/", &headers, BODY, expected);
    }
}

#[test]
fn every_case_of_the_suite_is_signed_or_has_a_reason() {
    let paths = PATHS.iter().flat_map(|(names, ..)| *names);
    let headers = HEADERS.iter().flat_map(|(names, ..)| *names);
    let mut all: Vec<_> = paths.chain(headers).copied().collect();
    all.extend(BODIES.iter().map(|(name, ..)| *name).chain(NOT_SIGNED.iter().map(|(name, _)| *name)));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), CASES, "{all:?}");
}

/// What the header says of a token is what was signed of it.
#[test]
fn a_token_is_the_one_of_the_credentials() {
    let signer = Signer::new("us-east-1", "service");
    let moment = signer.moment(&identity_with(LONG_TOKEN), second()).unwrap();
    assert_eq!(moment.token().unwrap().to_str().unwrap(), LONG_TOKEN);
    assert!(signer.moment(&identity_with("line\nend"), second()).is_none());
}
