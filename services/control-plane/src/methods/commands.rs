//! What people can say that the gateway itself does: the commands, and the skills, of which there are none.

use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::refusal::Refusal;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("commands.list", Read, list),
    method!("skills.status", Read, skills),
];

/// A command: its other name, what it does, its kind in the words of the protocol, and what may follow it.
struct Command {
    name: &'static str,
    alias: Option<&'static str>,
    about: &'static str,
    category: &'static str,
    argument: Option<(&'static str, &'static str)>,
}

/// The commands that the router answers.
const COMMANDS: [Command; 7] = [
    Command {
        name: "start",
        alias: None,
        about: "Say hello",
        category: "status",
        argument: None,
    },
    Command {
        name: "help",
        alias: None,
        about: "Show what can be said",
        category: "status",
        argument: None,
    },
    Command {
        name: "status",
        alias: None,
        about: "Show how the conversation stands",
        category: "status",
        argument: None,
    },
    Command {
        name: "new",
        alias: Some("reset"),
        about: "Begin a new conversation",
        category: "session",
        argument: None,
    },
    Command {
        name: "stop",
        alias: Some("abort"),
        about: "Stop the answer that is being written",
        category: "session",
        argument: None,
    },
    Command {
        name: "model",
        alias: None,
        about: "Show or choose the model that answers",
        category: "options",
        argument: Some(("name", "A model's name; `default` goes back")),
    },
    Command {
        name: "language",
        alias: None,
        about: "Show or choose the language of answers",
        category: "options",
        argument: Some(("name", "A language; `default` goes back")),
    },
];

/// Which commands. Open: an agent or a provider has none of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct List {
    include_args: Option<bool>,
}

async fn list(_: &Call, asked: List) -> Result<Value, Refusal> {
    let args = asked.include_args != Some(false);
    Ok(json!({"commands": COMMANDS.iter().map(|it| it.told(args)).collect::<Vec<_>>()}))
}

impl Command {
    fn told(&self, with_arguments: bool) -> Value {
        let names = [Some(self.name), self.alias];
        let aliases: Vec<_> = names
            .iter()
            .flatten()
            .map(|name| format!("/{name}"))
            .collect();
        let mut told = json!({
            "name": self.name, "nativeName": self.name, "textAliases": aliases, "description": self.about,
            "category": self.category, "source": "native", "scope": "both",
            "acceptsArgs": self.argument.is_some(),
        });
        if let (Some((name, about)), true) = (self.argument, with_arguments) {
            told["args"] = json!([{"name": name, "description": about, "type": "string"}]);
        }
        told
    }
}

/// There are no skills, and no folders for them.
async fn skills(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"workspaceDir": "", "managedSkillsDir": "", "skills": []}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto::priority;

    use super::*;

    #[test]
    fn every_command_of_the_router_is_listed_and_no_other() {
        let listed = COMMANDS.iter().flat_map(|it| [Some(it.name), it.alias]);
        let listed: BTreeSet<_> = listed.flatten().collect();
        assert_eq!(listed, BTreeSet::from(priority::COMMANDS));
    }

    #[test]
    fn arguments_are_left_out_where_they_are_not_wanted() {
        let model = COMMANDS.iter().find(|it| it.name == "model").unwrap();
        assert_eq!(model.told(true)["args"][0]["name"], "name");
        assert!(model.told(false).get("args").is_none());
        assert_eq!(model.told(false)["acceptsArgs"], true);
    }
}
