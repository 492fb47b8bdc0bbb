//! Reads fields of JSON whose shape nobody guarantees: what is odd reads as empty.

use serde_json::Value;

/// Longest display string (a name, a title) that is kept, in characters.
const MAX_NAME_CHARS: usize = 256;

/// A string field; "" where it is missing or something else.
pub(super) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// A name or title, cut to a length that suits a label.
pub(super) fn name(of: &Value, key: &str) -> String {
    text(of, key).chars().take(MAX_NAME_CHARS).collect()
}

/// An integer field; floats are cut, decimal strings read, anything else is 0.
pub(super) fn integer(of: &Value, key: &str) -> i64 {
    match &of[key] {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64))
            .unwrap_or_default(),
        Value::String(digits) => digits.parse().unwrap_or_default(),
        _ => 0,
    }
}

/// A length, size or duration: an integer that is never negative.
pub(super) fn size(of: &Value, key: &str) -> u64 {
    u64::try_from(integer(of, key)).unwrap_or_default()
}

/// The same for the narrow fields of an attachment.
pub(super) fn narrow(of: &Value, key: &str) -> u32 {
    u32::try_from(size(of, key)).unwrap_or(u32::MAX)
}

/// An identifier, number or string, in the form in which addresses carry it; "" where there is none.
pub(super) fn id(of: &Value, key: &str) -> String {
    printed(&of[key])
}

/// The same for a bare value, such as an element of a list of ids.
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}

/// A field that is an object.
pub(super) fn object<'a>(of: &'a Value, key: &str) -> Option<&'a Value> {
    of.get(key).filter(|value| value.is_object())
}

/// The elements of a list; none where it is missing.
pub(super) fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

/// Whether a flag is set.
pub(super) fn flag(of: &Value, key: &str) -> bool {
    of[key].as_bool().unwrap_or_default()
}

/// `text` cut to at most `max` bytes, at a character border.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn odd_values_read_as_empty() {
        let odd =
            json!({"date": "12", "size": -4, "id": null, "name": 7, "big": 1e300, "flag": "yes"});
        assert_eq!(integer(&odd, "date"), 12);
        assert_eq!(size(&odd, "size"), 0);
        assert_eq!(id(&odd, "id"), "");
        assert_eq!(name(&odd, "name"), "");
        assert_eq!(integer(&odd, "big"), i64::MAX);
        assert!(!flag(&odd, "flag"));
        assert_eq!(integer(&json!([1]), "date"), 0);
    }

    #[test]
    fn a_cut_keeps_characters_whole() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 99), "aé");
    }
}
