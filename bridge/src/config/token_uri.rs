//! The URI of a private key in a token (RFC 7512): which token, which object in it, the module that speaks to the
//! token, and the file with the PIN. Holds no PIN, and loads no module.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::values::InvalidValue;

/// What such a URI begins with.
pub(super) const SCHEME: &str = "pkcs11:";

/// A key in a token. What the URI leaves out fits any token, or any object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenUri {
    /// The label of the token.
    pub token: Option<String>,
    /// The manufacturer of the token.
    pub manufacturer: Option<String>,
    /// The serial number of the token.
    pub serial: Option<String>,
    /// The model of the token.
    pub model: Option<String>,
    /// The number of the slot that the token is in.
    pub slot_id: Option<u64>,
    /// The label of the key (`CKA_LABEL`).
    pub object: Option<String>,
    /// The id of the key (`CKA_ID`).
    pub id: Option<Vec<u8>>,
    /// The PKCS #11 module: a shared library.
    pub module: PathBuf,
    /// The file with the PIN; without it nobody logs in.
    pub pin_file: Option<PathBuf>,
    shown: String,
}

impl TokenUri {
    /// The URI without its query, as errors and logs show it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn parse(text: &str) -> Result<Self, InvalidValue> {
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self { shown: format!("{SCHEME}{path}"), ..Self::default() };
        let mut seen = BTreeSet::new();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = pair(attribute, &mut seen)?;
            uri.take(name, value)?;
        }
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = pair(attribute, &mut seen)?;
            uri.ask(name, value)?;
        }
        if uri.module.as_os_str().is_empty() {
            return Err(InvalidValue::new(
                "names no module; end it with `?module-path=` and the path of the token's PKCS #11 library",
            ));
        }
        Ok(uri)
    }

    /// An attribute of the path (RFC 7512, 2.3).
    fn take(&mut self, name: &str, value: Vec<u8>) -> Result<(), InvalidValue> {
        match name {
            "token" => self.token = Some(text(name, value)?),
            "manufacturer" => self.manufacturer = Some(text(name, value)?),
            "serial" => self.serial = Some(text(name, value)?),
            "model" => self.model = Some(text(name, value)?),
            "object" => self.object = Some(text(name, value)?),
            "id" => self.id = Some(value),
            "slot-id" => {
                let number = text(name, value)?.parse();
                self.slot_id = Some(number.map_err(|_| InvalidValue::new("`slot-id` is not a whole number"))?);
            }
            "type" if value == b"private" => {}
            "type" => return Err(InvalidValue::new("`type` must be `private`: the bridge signs with it")),
            _ => {
                return Err(InvalidValue::new(
                    "has an attribute that is not known before the `?`; there are token, manufacturer, serial, model, slot-id, \
                     object, id and type",
                ));
            }
        }
        Ok(())
    }

    /// An attribute of the query (RFC 7512, 2.4).
    fn ask(&mut self, name: &str, value: Vec<u8>) -> Result<(), InvalidValue> {
        match name {
            "module-path" => self.module = absolute(name, text(name, value)?)?,
            "pin-source" => {
                let source = text(name, value)?;
                let path = source.strip_prefix("file://").or_else(|| source.strip_prefix("file:")).unwrap_or(&source);
                self.pin_file = Some(absolute(name, path.to_owned())?);
            }
            "pin-value" => {
                return Err(InvalidValue::new(
                    "a PIN in a configuration can be read by others; write it to a file of mode 0600, and \
                     `pin-source=file:` with its path here",
                ));
            }
            "module-name" => {
                return Err(InvalidValue::new(
                    "`module-name` leaves open which library is loaded; write `module-path`",
                ));
            }
            _ => {
                return Err(InvalidValue::new(
                    "has an attribute that is not known behind the `?`; there are module-path and pin-source",
                ));
            }
        }
        Ok(())
    }
}

/// Name and value of an attribute, which must not come twice.
fn pair<'a>(attribute: &'a str, seen: &mut BTreeSet<&'a str>) -> Result<(&'a str, Vec<u8>), InvalidValue> {
    let (name, value) = attribute
        .split_once('=')
        .ok_or_else(|| InvalidValue::new("not a PKCS #11 URI; write for example `pkcs11:token=bridge;object=tls?…`"))?;
    if !seen.insert(name) {
        return Err(InvalidValue::new("has an attribute twice; keep one of them"));
    }
    Ok((name, decoded(value)?))
}

/// Percent-decoding (RFC 3986, 2.1).
fn decoded(text: &str) -> Result<Vec<u8>, InvalidValue> {
    let wrong = || InvalidValue::new("a `%` is followed by two hexadecimal digits; `%` itself is written `%25`");
    let mut bytes = text.bytes();
    let mut found = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            found.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
        found.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    Ok(found)
}

fn text(name: &str, value: Vec<u8>) -> Result<String, InvalidValue> {
    let text = String::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control));
    text.ok_or_else(|| InvalidValue::new(format!("`{name}` is not a plain text")))
}

/// A relative path would mean something else for each directory that the bridge is started in.
fn absolute(name: &str, path: String) -> Result<PathBuf, InvalidValue> {
    if !Path::new(&path).is_absolute() {
        return Err(InvalidValue::new(format!("`{name}` must be a whole path, beginning with `/`")));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_finds_its_place() {
        let uri = TokenUri::parse(
            "pkcs11:token=The%20bridge;manufacturer=M;serial=12ab;model=S;slot-id=7;object=tls;id=%01%fF;type=private\
             ?module-path=/usr/lib/token.so&pin-source=file:/run/pin",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The bridge"));
        assert_eq!((uri.manufacturer.as_deref(), uri.serial.as_deref()), (Some("M"), Some("12ab")));
        assert_eq!((uri.model.as_deref(), uri.slot_id), (Some("S"), Some(7)));
        assert_eq!((uri.object.as_deref(), uri.id.as_deref()), (Some("tls"), Some(&[1, 255][..])));
        assert_eq!(uri.module, Path::new("/usr/lib/token.so"));
        assert_eq!(uri.pin_file.as_deref(), Some(Path::new("/run/pin")));
        assert!(uri.shown().starts_with("pkcs11:token=The%20bridge;") && !uri.shown().contains("/run/pin"));
    }

    #[test]
    fn a_pin_source_is_a_path_or_a_file_url() {
        for source in ["/run/pin", "file:/run/pin", "file:///run/pin"] {
            let uri = TokenUri::parse(&format!("pkcs11:?module-path=/m.so&pin-source={source}")).unwrap();
            assert_eq!(uri.pin_file.as_deref(), Some(Path::new("/run/pin")), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_way_out() {
        for (rest, words) in [
            ("token=t", "names no module"),
            ("token=t?module-path=m.so", "`module-path` must be a whole path"),
            ("token=t?module-path=/m.so&pin-source=pin", "`pin-source` must be a whole path"),
            ("token=t?module-path=/m.so&pin-source=%7Ccat", "`pin-source` must be a whole path"),
            ("token=t?module-path=/m.so&module-name=x", "write `module-path`"),
            ("token=t;token=u?module-path=/m.so", "twice"),
            ("token=t;type=cert?module-path=/m.so", "`type` must be `private`"),
            ("token=t;colour=red?module-path=/m.so", "not known before the `?`"),
            ("token=t?module-path=/m.so&x=y", "not known behind the `?`"),
            ("slot-id=x?module-path=/m.so", "`slot-id` is not a whole number"),
            ("token=%4?module-path=/m.so", "two hexadecimal digits"),
            ("token=%+1?module-path=/m.so", "two hexadecimal digits"),
            ("token=%00?module-path=/m.so", "`token` is not a plain text"),
            ("token?module-path=/m.so", "not a PKCS #11 URI"),
        ] {
            let refused = TokenUri::parse(&format!("pkcs11:{rest}")).unwrap_err().to_string();
            assert!(refused.contains(words), "{rest}: {refused}");
        }
    }

    #[test]
    fn a_pin_is_never_part_of_it_nor_shown() {
        let refused = TokenUri::parse("pkcs11:token=t?pin-value=hunter2&module-path=/m.so").unwrap_err().to_string();
        assert!(refused.contains("`pin-source=file:`") && !refused.contains("hunter2"), "{refused}");
    }
}
