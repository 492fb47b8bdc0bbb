//! Each serialised type against the bytes that are checked in under `fixtures`: what is on disk stays readable.
//!
//! A sample of each message, and of each arm of its `oneof`, is made from the descriptors: every field set, numbers
//! and texts that follow from the field's number and name. So a field that is new, renamed, renumbered or of another
//! type shows itself. `UPDATE_GOLDEN=1 cargo test -p proto golden` writes the files anew.

use std::{
    collections::BTreeSet,
    env,
    fmt::{Debug, Write as _},
    fs,
    path::{Path, PathBuf},
};

use prost::{DecodeError, Message};
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use crate::v1;

mod frames;

/// How many messages deep a sample is filled; each message has a sample of its own anyway.
const DEPTH: usize = 2;

/// Bytes that a line of a golden file shows.
const BYTES_PER_LINE: usize = 32;

/// Bytes encoded again, and the message in words.
type Again = Result<(Vec<u8>, String), DecodeError>;

/// A message as the services use it.
struct Used {
    name: &'static str,
    /// Decodes bytes, and returns them encoded again, with the decoded message in words.
    through: fn(&[u8]) -> Again,
}

macro_rules! every_message {
    ($($name:ident)*) => {
        const USED: &[Used] = &[$(Used { name: stringify!($name), through: through::<v1::$name> }),*];
    };
}
include!(concat!(env!("OUT_DIR"), "/messages.rs"));

fn through<M: Message + Default + Debug>(bytes: &[u8]) -> Again {
    let message = M::decode(bytes)?;
    Ok((message.encode_to_vec(), format!("{message:#?}")))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Fails unless the file `name` under `fixtures` holds `text`; writes it where that was asked for.
fn compare(name: &str, text: &str) {
    let path = fixtures().join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "proto/fixtures/{name} does not hold what is written today. What was written before must stay readable: \
         a new field is fine, a changed or renumbered one is not. If it is fine, run\n  \
         UPDATE_GOLDEN=1 cargo test -p proto golden\n--- golden\n{golden}\n--- today\n{text}"
    );
}

fn pool() -> DescriptorPool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = fs::read_dir(root.join("openclaw/gateway/v1")).unwrap();
    let files: BTreeSet<_> = folder.map(|entry| entry.unwrap().path()).collect();
    let set = protox::compile(files, [root]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
}

/// A sample of the message, or one for each arm of its `oneof`, each with its name.
fn samples(message: &MessageDescriptor) -> Vec<(String, DynamicMessage)> {
    let arms: Vec<_> = message
        .oneofs()
        .filter(|oneof| !oneof.is_synthetic())
        .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
        .collect();
    match arms.as_slice() {
        [] => vec![(message.name().to_owned(), filled(message, None, DEPTH))],
        arms => arms
            .iter()
            .map(|arm| {
                let name = format!("{}.{}", message.name(), arm.name());
                (name, filled(message, Some(arm), DEPTH))
            })
            .collect(),
    }
}

/// The message with all its fields set; of a `oneof`, `arm` or the first one.
fn filled(
    message: &MessageDescriptor,
    arm: Option<&FieldDescriptor>,
    depth: usize,
) -> DynamicMessage {
    let mut sample = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let other = field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
            .is_some_and(|oneof| {
                arm.cloned().or_else(|| oneof.fields().next()).as_ref() != Some(&field)
            });
        let deep = matches!(field.kind(), Kind::Message(_)) && depth == 0;
        if other || deep {
            continue;
        }
        let value = match () {
            () if field.is_map() => {
                let Kind::Message(entry) = field.kind() else {
                    unreachable!("a map is made of entries")
                };
                let key = MapKey::String(format!("{} key", field.name()));
                Value::Map([(key, one(&entry.map_entry_value_field(), 1, depth))].into())
            }
            () if field.is_list() => Value::List((1..=2).map(|n| one(&field, n, depth)).collect()),
            () => one(&field, 0, depth),
        };
        sample.set_field(&field, value);
    }
    sample
}

/// A value of the field; `n` counts those of a list from 1.
fn one(field: &FieldDescriptor, n: u32, depth: usize) -> Value {
    let number = field.number() + n;
    match field.kind() {
        Kind::String if n == 0 => Value::String(field.name().replace('_', " ")),
        Kind::String => Value::String(format!("{} {n}", field.name().replace('_', " "))),
        Kind::Bytes => Value::Bytes(vec![0, number as u8, 0xff].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::F64(f64::from(number) + 0.5),
        Kind::Float => Value::F32(number as f32 + 0.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-(number as i32)),
        // As large as times are.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(1_790_000_000_000 + i64::from(number))
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number),
        Kind::Uint64 | Kind::Fixed64 => Value::U64((1 << 40) + u64::from(number)),
        Kind::Enum(kind) => Value::EnumNumber(kind.values().nth(1).unwrap().number()),
        Kind::Message(message) => Value::Message(filled(&message, None, depth - 1)),
    }
}

/// A golden file: the bytes, and below them what they mean.
fn shown(bytes: &[u8], words: &str) -> String {
    let mut text = String::new();
    for line in bytes.chunks(BYTES_PER_LINE) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text + "\n" + words + "\n"
}

fn ours(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    let all = pool
        .all_messages()
        .filter(|message| message.package_name() == "openclaw.gateway.v1");
    all.filter(|message| !message.is_map_entry())
}

#[test]
fn each_message_is_written_and_read_as_its_golden_file_says() {
    let mut names = BTreeSet::new();
    for message in ours(&pool()) {
        let used = USED
            .iter()
            .find(|used| used.name == message.full_name().rsplit("v1.").next().unwrap());
        let used = used.unwrap_or_else(|| {
            panic!(
                "{} has no golden: name its file in proto/build.rs, and nest no message in another",
                message.full_name()
            )
        });
        for (name, sample) in samples(&message) {
            let bytes = sample.encode_to_vec();
            let (again, words) = (used.through)(&bytes).unwrap();
            let file = format!("messages/{name}.txt");
            let before = DynamicMessage::decode(message.clone(), &*golden_bytes(&file)).unwrap();
            assert!(
                is_part(&before, &sample),
                "proto/fixtures/{file} holds what was written before, and it would be read as something else now: \
                 give a field that changed a new number, and remove the file only if nobody has such a message"
            );
            compare(&file, &shown(&bytes, &words));
            assert_eq!(again, bytes, "{name} is written as it was read");
            let golden = golden_bytes(&file);
            let read = DynamicMessage::decode(message.clone(), golden.as_slice()).unwrap();
            assert_eq!(read, sample, "{name} is read as it was meant");
            assert_eq!(
                read.unknown_fields().count(),
                0,
                "{name} holds nothing that is not known"
            );
            names.insert(name + ".txt");
        }
    }
    let there = fs::read_dir(fixtures().join("messages")).unwrap();
    let there: BTreeSet<_> = there
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let left: Vec<_> = there.difference(&names).collect();
    assert!(
        left.is_empty(),
        "remove from proto/fixtures/messages what is no message any more: {left:?}"
    );
}

#[test]
fn a_field_with_another_number_or_meaning_is_found() {
    let message = pool()
        .get_message_by_name("openclaw.gateway.v1.Sent")
        .unwrap();
    let (_, today) = samples(&message).swap_remove(0);
    assert!(
        is_part(&DynamicMessage::new(message.clone()), &today),
        "a new field is fine"
    );
    assert!(is_part(&today, &today));
    let mut moved = DynamicMessage::new(message.clone());
    moved.set_field_by_number(1, Value::String("platform message id".into()));
    assert!(
        !is_part(&moved, &today),
        "a number that means something else"
    );
    let later = [today.encode_to_vec(), vec![0xc2, 0x3e, 1, b'x']].concat();
    let gone = DynamicMessage::decode(message, &*later).unwrap();
    assert!(
        !is_part(&gone, &today),
        "a field that is not known any more"
    );
}

#[test]
fn a_message_of_a_later_version_is_still_read() {
    for message in ours(&pool()) {
        let name = message.name().to_owned();
        let used = USED.iter().find(|used| used.name == name).unwrap();
        let (_, sample) = samples(&message).swap_remove(0);
        let known = (used.through)(&sample.encode_to_vec()).unwrap();
        // Field 1000, a text.
        let later = [sample.encode_to_vec(), vec![0xc2, 0x3e, 1, b'x']].concat();
        assert_eq!((used.through)(&later).unwrap(), known, "{name}");
    }
}

#[test]
fn names_and_numbers_stay_as_they_are() {
    let mut text = String::new();
    for kind in pool().all_enums() {
        for value in kind.values() {
            writeln!(
                text,
                "{} {} = {}",
                kind.name(),
                value.name(),
                value.number()
            )
            .unwrap();
        }
    }
    for service in pool().services() {
        for method in service.methods() {
            let name = format!("{}/{}", service.full_name(), method.name());
            let stream = |is| if is { "stream " } else { "" };
            let asked = format!(
                "{}{}",
                stream(method.is_client_streaming()),
                method.input().name()
            );
            let answer = format!(
                "{}{}",
                stream(method.is_server_streaming()),
                method.output().name()
            );
            writeln!(text, "{name} ({asked}) -> {answer}").unwrap();
        }
    }
    compare("names.txt", &text);
}

/// Whether all that stands in `before` stands in `today` too, field by field.
fn is_part(before: &DynamicMessage, today: &DynamicMessage) -> bool {
    let same = |before: &Value, today: &Value| match (before, today) {
        (Value::Message(before), Value::Message(today)) => is_part(before, today),
        (before, today) => before == today,
    };
    before.unknown_fields().next().is_none()
        && before.fields().all(|(field, before)| {
            today.has_field(&field)
                && match (before, &*today.get_field(&field)) {
                    (Value::List(before), Value::List(today)) => {
                        before.len() == today.len()
                            && before
                                .iter()
                                .zip(today)
                                .all(|(before, today)| same(before, today))
                    }
                    (before, today) => same(before, today),
                }
        })
}

/// The bytes that a golden file holds; none where there is no file yet.
fn golden_bytes(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(fixtures().join(name)).unwrap_or_default();
    let (hex, _) = text.split_once("\n\n").unwrap_or_default();
    let digits: String = hex.split_whitespace().collect();
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
