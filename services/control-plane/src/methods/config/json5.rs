//! Reads JSON5, as people write it into the settings page: comments, names without quotes, a comma too many.

use serde_json::{Map, Number, Value};

/// Values nested deeper than this are refused.
const DEPTH: usize = 64;

/// Reads `text`. JSON is JSON5 too.
///
/// # Errors
/// Where it goes wrong and what is expected there; never what stands there.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(DEPTH)?;
    reader.blank()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let there = self.text[self.at..].starts_with(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    fn wrong(&self, wanted: &str) -> String {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!("line {line}, column {column}: expected {wanted}")
    }

    /// Passes over blanks and comments.
    fn blank(&mut self) -> Result<(), String> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.find(|c: char| !c.is_whitespace() && c != '\u{feff}');
            self.at += blank.unwrap_or(rest.len());
            if self.take("//") {
                let rest = &self.text[self.at..];
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if self.take("/*") {
                let end = self.text[self.at..].find("*/");
                self.at += end.ok_or_else(|| self.wrong("`*/` after it"))? + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.blank()?;
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(self.wrong("nothing nested deeper"));
        };
        match self.peek() {
            Some('{') => self.object(deeper),
            Some('[') => self.array(deeper),
            Some('"' | '\'') => self.text().map(Value::from),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            Some(_) => match self.name().as_str() {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                "null" => Ok(Value::Null),
                _ => Err(self.wrong("a value before it")),
            },
            None => Err(self.wrong("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = Map::new();
        self.next();
        loop {
            self.blank()?;
            if self.take("}") {
                return Ok(fields.into());
            }
            let key = match self.peek() {
                Some('"' | '\'') => self.text()?,
                _ => self.name(),
            };
            if key.is_empty() {
                return Err(self.wrong("a name or `}`"));
            }
            self.blank()?;
            if !self.take(":") {
                return Err(self.wrong("`:`"));
            }
            let value = self.value(depth)?;
            fields.insert(key, value);
            self.blank()?;
            if !self.take(",") && self.peek() != Some('}') {
                return Err(self.wrong("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.next();
        loop {
            self.blank()?;
            if self.take("]") {
                return Ok(items.into());
            }
            items.push(self.value(depth)?);
            self.blank()?;
            if !self.take(",") && self.peek() != Some(']') {
                return Err(self.wrong("`,` or `]`"));
            }
        }
    }

    fn name(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$'));
        let name = rest[..end.unwrap_or(rest.len())].to_owned();
        self.at += name.len();
        name
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
        let word = &rest[..end.unwrap_or(rest.len())];
        let bare = word.strip_prefix('+').unwrap_or(word);
        let hex = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X"));
        let number = match hex {
            Some(hex) => i64::from_str_radix(hex, 16).ok().map(Number::from),
            None => bare
                .parse::<i64>()
                .map(Number::from)
                .ok()
                .or_else(|| bare.parse::<u64>().map(Number::from).ok())
                .or_else(|| {
                    let digits =
                        bare.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
                    digits
                        .then(|| bare.parse().ok().and_then(Number::from_f64))
                        .flatten()
                }),
        };
        let number = number.ok_or_else(|| self.wrong("a number"))?;
        self.at += word.len();
        Ok(number.into())
    }

    fn text(&mut self) -> Result<String, String> {
        let (quote, mut text) = (self.next(), String::new());
        loop {
            match self.next() {
                None | Some('\n') => return Err(self.wrong("the end of the text before it")),
                end if end == quote => return Ok(text),
                Some('\\') => self.escape(&mut text)?,
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let escaped = self.next().ok_or_else(|| self.wrong("what is escaped"))?;
        text.push(match escaped {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' => '\0',
            'x' => char::from_u32(self.hex(2)?).unwrap_or(char::REPLACEMENT_CHARACTER),
            'u' => self.unicode()?,
            // A line goes on.
            '\n' => return Ok(()),
            '\r' => {
                self.take("\n");
                return Ok(());
            }
            other => other,
        });
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, String> {
        let high = self.hex(4)?;
        if (0xd800..0xdc00).contains(&high) && self.take("\\u") {
            let low = self.hex(4)?;
            let pair = 0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
            return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, String> {
        let word = self.text[self.at..].get(..digits);
        let code = word.filter(|word| word.chars().all(|c| c.is_ascii_hexdigit()));
        let code = code.and_then(|word| u32::from_str_radix(word, 16).ok());
        let code = code.ok_or_else(|| self.wrong("hexadecimal digits"))?;
        self.at += digits;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_write_it_their_own_way() {
        let text = "// mine\n{ gateway: {port: 0x50, bind: '::1', /* none */ token: \"a\\u00e9\\x41\\\n b\", },\n\
                    $list: [+1, -.5, 2., 1e3, true, null,], 'it\\'s': \"\\ud83d\\ude00\" }\n";
        assert_eq!(
            read(text).unwrap(),
            json!({"gateway": {"port": 80, "bind": "::1", "token": "aéA b"},
                   "$list": [1, -0.5, 2.0, 1000.0, true, null], "it's": "😀"})
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_never_shown() {
        for (text, why) in [
            ("{", "line 1, column 2: expected a name or `}`"),
            (
                "{a:\n canary}",
                "line 2, column 8: expected a value before it",
            ),
            (
                "{a: \"canary\n\"}",
                "line 2, column 1: expected the end of the text before it",
            ),
            ("{a: 1} canary", "line 1, column 8: expected the end"),
            ("{a 1}", "line 1, column 4: expected `:`"),
            ("[1 2]", "line 1, column 4: expected `,` or `]`"),
            ("{a: 1x}", "line 1, column 5: expected a number"),
            ("/* canary", "line 1, column 3: expected `*/` after it"),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
        assert!(
            read(&"[".repeat(100_000))
                .unwrap_err()
                .contains("nested deeper")
        );
    }

    proptest::proptest! {
        #[test]
        fn json_is_read_as_json_is(text in "[\\[\\]{}:,\" a1.e\\\\u-]{0,24}", word in "\\PC{0,16}", number in proptest::num::f64::NORMAL) {
            if let Ok(json) = serde_json::from_str::<Value>(&text) {
                proptest::prop_assert_eq!(read(&text), Ok(json));
            } else {
                let _ = read(&text);
            }
            let whole = json!({"k": [word, number, {"n": null}]});
            proptest::prop_assert_eq!(read(&whole.to_string()), Ok(whole));
        }
    }
}
