//! The objects of a bucket. Pure: does no I/O.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// An object of the bucket.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its whole key.
    pub key: String,
    /// Its bytes.
    pub body: Bytes,
    /// How many bytes a listing says it has.
    pub size: usize,
    /// How often it has been put.
    pub puts: u32,
    /// The SHA-256 that came with it, in base64.
    pub(super) sum: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Store(BTreeMap<String, Object>);

impl Store {
    pub(super) fn put(&mut self, key: String, body: Bytes, sum: Option<String>) {
        let puts = self.0.get(&key).map_or(0, |object| object.puts) + 1;
        self.0.insert(key.clone(), Object { key, size: body.len(), body, puts, sum });
    }

    /// An object of which nothing is kept but its size.
    pub(super) fn put_hollow(&mut self, key: String, size: usize) {
        let hollow = Object { key: key.clone(), body: Bytes::new(), size, puts: 1, sum: None };
        self.0.insert(key, hollow);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Object> {
        self.0.get(key)
    }

    /// To delete what is not there is no error.
    pub(super) fn delete(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn objects(&self) -> Vec<Object> {
        self.0.values().cloned().collect()
    }

    /// Up to `most` objects whose keys begin so and come after `after`, and whether there are more.
    pub(super) fn list(&self, prefix: &str, after: &str, most: usize) -> (Vec<&Object>, bool) {
        let behind = self.0.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut matching = behind.map(|(_, object)| object).filter(|object| object.key.starts_with(prefix));
        let page: Vec<_> = matching.by_ref().take(most).collect();
        (page, matching.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_in_order_and_comes_in_pages() {
        let mut store = Store::default();
        ["a/3", "b", "a/1", "a/2", "a/10"].iter().for_each(|key| store.put((*key).into(), Bytes::new(), None));
        let list = |after: &str, most| {
            let (page, more) = store.list("a/", after, most);
            (page.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), more)
        };
        assert_eq!(list("", 3), (vec!["a/1", "a/10", "a/2"], true));
        assert_eq!(list("a/2", 3), (vec!["a/3"], false));
        assert_eq!(list("a/3", 3), (vec![], false));
        assert!(!list("", 4).1);
    }

    #[test]
    fn what_is_put_again_is_one_object() {
        let mut store = Store::default();
        store.put("a".into(), "1".into(), None);
        store.put("a".into(), "2".into(), None);
        let object = store.get("a").unwrap();
        assert_eq!((object.puts, object.body.as_ref(), store.objects().len()), (2, &b"2"[..], 1));
        store.delete("a");
        store.delete("a");
        assert!(store.get("a").is_none());
    }
}
