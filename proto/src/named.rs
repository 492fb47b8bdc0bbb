//! Enums as JSON writes them: by name, in lower case.

use serde::Serializer;

use crate::v1::{ConnectionState, ConversationKind, IntentState, WalkEnd};

macro_rules! named {
    ($($function:ident $kind:ident $prefix:literal)*) => {$(
        pub(crate) fn $function<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
            let name = $kind::try_from(*number).unwrap_or_default().as_str_name();
            let name = name.strip_prefix($prefix).unwrap_or(name);
            to.serialize_str(&name.to_lowercase())
        }
    )*};
}

named! {
    connection_state ConnectionState "CONNECTION_STATE_"
    conversation_kind ConversationKind "CONVERSATION_KIND_"
    intent_state IntentState "INTENT_STATE_"
    walk_end WalkEnd "WALK_END_"
}

#[cfg(test)]
mod tests {
    use crate::v1::{Connection, ConnectionState};

    #[test]
    fn a_state_is_written_by_name_and_an_unknown_one_as_the_first() {
        let state = |state: i32| {
            let connection = Connection {
                state,
                ..Connection::default()
            };
            serde_json::to_value(&connection).unwrap()["state"].clone()
        };
        assert_eq!(
            state(ConnectionState::PermanentlyFailed.into()),
            "permanently_failed"
        );
        assert_eq!(state(77), "disconnected");
    }
}
