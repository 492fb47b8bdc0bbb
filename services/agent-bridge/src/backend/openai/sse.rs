//! Reads server-sent events from bytes, however they are cut.
//!
//! Source: WHATWG HTML, "Server-sent events", interpretation of an event stream, read 2026-11-20. Only `data` is kept:
//! models name the kind of an event inside it.

/// Longest event in bytes; a longer one is no piece of an answer.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// An event, or a line of one, is longer than a mebibyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Reads events from pieces of a stream.
#[derive(Debug, Default)]
pub(super) struct Parser {
    // The line that has not ended yet.
    line: Vec<u8>,
    // The `data` lines of the event that has not ended yet; none seen differs from an empty one.
    data: Option<Vec<u8>>,
    // The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    // The first line is over, so that no byte order mark can follow.
    begun: bool,
}

impl Parser {
    /// Takes the next bytes and returns the data of each event that ends in them.
    ///
    /// # Errors
    /// When an event is too long. The rest of the stream is then of no use.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            let held = self.data.as_ref().map_or(0, Vec::len);
            if self.line.len() + line.len() + held > MAX_EVENT_BYTES {
                return Err(TooLong);
            }
            self.line.extend_from_slice(line);
            rest = after;
            if let Some((ending, after)) = rest.split_first() {
                self.after_cr = *ending == b'\r';
                rest = after;
                events.extend(self.end_line());
            }
        }
        Ok(events)
    }

    /// The event that the stream broke off in, for servers that leave out the last empty line.
    pub(super) fn finish(&mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event()
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        // A line that begins with a colon is a comment: its name is empty.
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }

    fn end_event(&mut self) -> Option<String> {
        let data = self.data.take()?;
        Some(match String::from_utf8(data) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events: Vec<String> = pieces
            .iter()
            .flat_map(|piece| parser.feed(piece).unwrap())
            .collect();
        events.extend(parser.finish());
        events
    }

    #[test]
    fn all_line_endings_end_a_line() {
        let stream = b"data: a\r\n\r\ndata: b\n\ndata: c\r\r";
        assert_eq!(read(&[stream]), ["a", "b", "c"]);
    }

    #[test]
    fn a_carriage_return_and_its_newline_may_come_apart() {
        assert_eq!(
            read(&[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]),
            ["a\nb"]
        );
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        let stream = b": keep-alive\n\nevent: x\nid: 7\nretry: 1\ndata: a\ndatum: b\nbare\n\n";
        assert_eq!(read(&[stream]), ["a"]);
    }

    #[test]
    fn data_of_many_lines_is_joined_and_may_be_empty() {
        assert_eq!(
            read(&[b"data: a\ndata\ndata:b\ndata:  c\n\n"]),
            ["a\n\nb\n c"]
        );
        assert_eq!(read(&[b"data\n\n"]), [""]);
    }

    #[test]
    fn a_byte_order_mark_and_a_missing_last_line_do_no_harm() {
        assert_eq!(
            read(&[b"\xef\xbb\xbfdata: a\n\ndata: [DONE]"]),
            ["a", "[DONE]"]
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        assert_eq!(read(&[b"data: a\xff\n\n"]), ["a\u{fffd}"]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 300_000], b"\n"].concat();
        let fed = (0..10).find_map(|_| parser.feed(&line).err());
        assert_eq!(fed, Some(TooLong));
        assert_eq!(
            Parser::default().feed(&vec![b'x'; MAX_EVENT_BYTES + 1]),
            Err(TooLong)
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_a_stream_is_cut(
            texts in prop::collection::vec("[^\r\n]{0,20}", 0..8),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: String = texts
                .iter()
                .map(|text| format!(": ä{ending}data: {text}{ending}{ending}"))
                .collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|cut| &stream.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&pieces), texts);
        }

        #[test]
        fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut parser = Parser::default();
            for piece in &pieces {
                parser.feed(piece).unwrap();
            }
            parser.finish();
        }
    }
}
