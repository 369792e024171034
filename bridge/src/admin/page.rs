//! The status page: one document with its style and its script inside, which asks for nothing but `/status.json` and
//! `/history.json` of this endpoint. Its Content-Security-Policy allows this style and this script by their hashes, and
//! nothing else.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const DOCUMENT: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The document.
pub(super) static PAGE: LazyLock<String> =
    LazyLock::new(|| DOCUMENT.replace("/* style */", STYLE).replace("/* script */", SCRIPT));

/// Its policy.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        for part in [STYLE, SCRIPT] {
            assert!(PAGE.contains(part));
        }
        assert_eq!((PAGE.matches("<style>").count(), PAGE.matches("<script>").count()), (1, 1));
        for outside in ["//cdn", "https:", "@import", "url(", "src=", "innerHTML", "eval(", "style=\""] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        // The only address is the namespace of SVG, which is never fetched.
        assert_eq!(PAGE.matches("http:").count(), PAGE.matches("http://www.w3.org/2000/svg").count());
    }

    #[test]
    fn the_policy_names_the_hash_of_what_the_browser_sees() {
        let inside = |tag: &str| {
            let rest = PAGE.split(&format!("<{tag}>")).nth(1).unwrap();
            STANDARD.encode(Sha256::digest(rest.split(&format!("</{tag}>")).next().unwrap()))
        };
        for tag in ["style", "script"] {
            assert!(POLICY.contains(&format!("{tag}-src 'sha256-{}'", inside(tag))), "{tag}: {}", *POLICY);
        }
        assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'"));
    }
}
