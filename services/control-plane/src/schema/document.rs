//! The whole protocol as one JSON Schema document.

use serde_json::{Map, Value, json};

use super::Generators;
use crate::{gateway::VERSION, methods};

/// The whole protocol: `$defs` has every type, `methods` says who may call what, and which types it takes and gives.
pub fn document() -> Value {
    let (mut definitions, mut table) = (Map::new(), Map::new());
    let mut generators = Generators::default();
    for method in methods::served() {
        let shape = method.shape(&mut generators);
        let name = type_name(method.name());
        let mut define = |kind: &str, schema: Value| {
            let name = format!("{name}{kind}");
            let reference = json!({"$ref": format!("#/$defs/{name}")});
            definitions.insert(name, schema);
            reference
        };
        let params = define("Params", shape.params.to_value());
        let result = define("Result", shape.result.to_value());
        let role = if method.is_of_nodes() {
            "node"
        } else {
            "operator"
        };
        let scope = (!method.is_of_nodes()).then(|| method.scope().name());
        let line = json!({"role": role, "scope": scope, "params": params, "result": result});
        table.insert(method.name().to_owned(), line);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The gateway's WebSocket protocol",
        "version": VERSION,
        "protocols": [3, 4],
        "methods": table,
        "$defs": definitions,
    })
}

/// The name of a method as the name of a type: `chat.send` is `ChatSend`.
fn type_name(method: &str) -> String {
    let words = method.split(['.', '-', '_']);
    words
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_described_by_the_types_of_its_function() {
        let document = document();
        let send = &document["methods"]["chat.send"];
        assert_eq!(send["scope"], "operator.write");
        assert_eq!(send["params"]["$ref"], "#/$defs/ChatSendParams");
        let params = &document["$defs"]["ChatSendParams"];
        assert_eq!(
            params["required"],
            json!(["sessionKey", "message", "idempotencyKey"])
        );
        assert_eq!(params["properties"]["sessionKey"]["minLength"], 1);
        assert_eq!(
            document["$defs"]["ChatAbortParams"]["additionalProperties"],
            false
        );
        assert_eq!(document["$defs"]["HealthParams"], true);
    }

    #[test]
    fn no_two_methods_share_the_name_of_a_type() {
        let names: std::collections::BTreeSet<_> = methods::names().map(type_name).collect();
        assert_eq!(names.len(), methods::names().count());
        assert_eq!(
            type_name("node.pluginTools.update"),
            "NodePluginToolsUpdate"
        );
        assert_eq!(type_name("system-presence"), "SystemPresence");
    }
}
