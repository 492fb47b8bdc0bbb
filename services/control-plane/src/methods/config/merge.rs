//! Merging a patch into settings, and finding what differs between two: pure.

use serde_json::{Map, Value};

/// `said` with `patch` merged into it (RFC 7396): objects are merged, `null` removes, all else replaces. What stands at
/// one of the dotted paths `whole` is replaced as it is.
pub(super) fn merged(said: Value, patch: Value, whole: &[&str]) -> Value {
    merge(said, patch, whole, "")
}

fn merge(said: Value, patch: Value, whole: &[&str], path: &str) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut merged = match said {
        Value::Object(said) if !whole.contains(&path) => said,
        _ => Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(&key);
            continue;
        }
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{key}");
        let said = merged.remove(&key).unwrap_or_default();
        merged.insert(key, merge(said, value, whole, &path));
    }
    merged.into()
}

/// The dotted paths at which two settings differ, deepest ones only.
pub(super) fn changed(before: &Value, after: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    differ(before, after, "", &mut paths);
    paths
}

fn differ(before: &Value, after: &Value, path: &str, into: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            into.push(path.to_owned());
        }
        return;
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    for key in gone.chain(new.keys()) {
        let dot = if path.is_empty() { "" } else { "." };
        let at = format!("{path}{dot}{key}");
        let side = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or_default();
        differ(&side(old), &side(new), &at, into);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_removes_and_replaces() {
        let said = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": {"x": 1}});
        let patch = json!({"a": {"b": null, "n": {"y": null, "z": 3}}, "d": [3], "e": {"k": 5}});
        assert_eq!(
            merged(said, patch, &["e"]),
            json!({"a": {"c": 2, "n": {"z": 3}}, "d": [3], "e": {"k": 5}})
        );
    }

    #[test]
    fn what_differs_is_named_by_its_path() {
        let before = json!({"a": {"b": 1, "c": 2}, "gone": {"x": 1}});
        let after = json!({"a": {"b": 1, "c": 3}, "new": true});
        assert_eq!(changed(&before, &after), ["gone", "a.c", "new"]);
        assert!(changed(&before, &before).is_empty());
    }
}
