//! The table of contents of the protocol: every method, who may call it, and where it is.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use bus::trace::{self, Trace};
use futures_util::future::BoxFuture;
use proto::ws::Request;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    client::Client,
    gateway::Gateway,
    handshake::{Grant, Role},
    once,
    refusal::Refusal,
    schema::{self, Generators, Shape},
    scope::Scope,
};

mod agent;
mod agents;
mod channels;
mod chat;
mod commands;
mod config;
mod cron;
mod devices;
mod logs;
mod models;
mod nodes;
mod ops;
mod sessions;
mod system;
mod voice;
mod wake;

/// A method that is served.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    name: &'static str,
    scope: Scope,
    shape: fn(&mut Generators) -> Shape,
    /// Done once for an idempotency key.
    once: bool,
    run: fn(Call) -> BoxFuture<'static, Result<Answer, Refusal>>,
}

/// A line of a family's table: the name, the scope that it takes, and the function that does it, of the shape
/// `async fn(&Call, Params) -> Result<Answer, Refusal>`. `Params` derive `Deserialize` and `JsonSchema`, or are
/// `IgnoredAny`; what is answered derives `Serialize` and `JsonSchema`, or is a `Value`.
///
/// With `once` at its end, it is done once for an `idempotencyKey`, on all replicas and for a week: the same request
/// gets the same answer, another one under the same key is refused. The function must bear being done again by whoever
/// takes over from a replica that died of it, so its effects have ids that are made of the key.
macro_rules! method {
    ($name:literal, $scope:ident, $handler:path) => {
        $crate::methods::method!($name, $scope, $handler, false)
    };
    ($name:literal, $scope:ident, $handler:path, once) => {
        $crate::methods::method!($name, $scope, $handler, true)
    };
    ($name:literal, $scope:ident, $handler:path, $once:literal) => {
        $crate::methods::Method {
            name: $name,
            scope: $crate::scope::Scope::$scope,
            shape: |generators| generators.shape($handler),
            once: $once,
            run: |call| {
                Box::pin(async move {
                    let params = call.params()?;
                    $crate::methods::reply(&$handler(&call, params).await?)
                })
            },
        }
    };
}
use method;

pub(crate) use chat::history::told;

/// Every family of methods.
const FAMILIES: &[&[Method]] = &[
    agent::METHODS,
    agents::METHODS,
    channels::METHODS,
    chat::METHODS,
    commands::METHODS,
    config::METHODS,
    cron::METHODS,
    logs::METHODS,
    models::METHODS,
    devices::METHODS,
    nodes::METHODS,
    ops::METHODS,
    sessions::METHODS,
    system::METHODS,
    voice::METHODS,
    wake::METHODS,
];

/// Every method by its name.
static METHODS: LazyLock<BTreeMap<&'static str, &'static Method>> = LazyLock::new(|| {
    let all = FAMILIES.iter().copied().flatten();
    all.map(|method| (method.name, method)).collect()
});

/// Methods that only nodes call, served or not.
const NODE_METHODS: [&str; 11] = [
    "node.invoke.result",
    "node.invoke.progress",
    "node.event",
    "node.pending.pull",
    "node.pending.ack",
    "node.pending.drain",
    "node.skills.update",
    "node.pluginTools.update",
    "node.runnerInventory.update",
    "node.pluginSurface.refresh",
    "skills.bins",
];

/// An answer, serialised.
pub(crate) type Answer = Arc<RawValue>;

/// One request that may be done.
pub(crate) struct Call {
    gateway: Arc<Gateway>,
    client: Arc<Client>,
    method: &'static Method,
    /// The request's id.
    id: String,
    params: Option<Box<RawValue>>,
    trace: Trace,
}

impl Method {
    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The scope that it takes.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether only nodes call it.
    pub(crate) fn is_of_nodes(&self) -> bool {
        NODE_METHODS.contains(&self.name)
    }

    /// What it takes and gives.
    pub(crate) fn shape(&self, generators: &mut Generators) -> Shape {
        (self.shape)(generators)
    }
}

impl Call {
    /// The call of `method` by `client`.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        client: &Arc<Client>,
        method: &'static Method,
        request: &Request<'_>,
    ) -> Self {
        let trace = request
            .traceparent
            .as_deref()
            .and_then(|text| text.parse::<Trace>().ok());
        Self {
            gateway: gateway.clone(),
            client: client.clone(),
            method,
            id: request.id.to_string(),
            params: request.params.map(ToOwned::to_owned),
            trace: trace.map_or_else(Trace::begin, Trace::step),
        }
    }

    /// Who calls, for people and for the record: the device, or the program where it has none.
    pub(crate) fn who(&self) -> &str {
        let client = &self.client;
        client.grant.device.as_deref().unwrap_or(&client.program.id)
    }

    /// Name of the method.
    fn name(&self) -> &'static str {
        self.method.name
    }

    /// Answers for the first time; what the method returns is the last answer to the same request.
    fn answer_first(&self, answer: &impl Serialize) -> Result<(), Refusal> {
        self.client.answer(&self.id, Ok(&*reply(answer)?));
        Ok(())
    }

    fn params<P: DeserializeOwned>(&self) -> Result<P, Refusal> {
        schema::read(self.params.as_deref())
            .map_err(|why| Refusal::Invalid(format!("invalid {} params: {why}", self.name())))
    }
}

/// Names of the methods that are served.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.keys().copied()
}

/// The methods that are served, by name.
pub(crate) fn served() -> impl Iterator<Item = &'static Method> {
    METHODS.values().copied()
}

/// Whether who has `grant` may call `method`; the method where it is served.
///
/// # Errors
/// In the order of the reference: the role, then the scope, then whether there is such a method.
pub(crate) fn admit(method: &str, grant: &Grant) -> Result<&'static Method, Refusal> {
    if method == "connect" {
        let only_first = "connect is only valid as the first request";
        return Err(Refusal::Invalid(only_first.into()));
    }
    let served = METHODS.get(method).copied();
    let open = method == "health" && grant.protocol >= 4;
    let of_nodes = NODE_METHODS.contains(&method);
    match grant.role {
        Role::Operator if of_nodes => return Err(Refusal::WrongRole("operator")),
        Role::Node if !of_nodes && !open => return Err(Refusal::WrongRole("node")),
        _ => {}
    }
    let unknown = || Refusal::Invalid(format!("unknown method: {}", shown(method)));
    let Some(served) = served else {
        let may_know = grant.role == Role::Node || grant.scopes.allow(Scope::Admin);
        return Err(if may_know {
            unknown()
        } else {
            Refusal::Missing(Scope::Admin)
        });
    };
    // Scopes are for operators: what a node may call, every node may.
    if open || grant.role == Role::Node || grant.scopes.allow(served.scope) {
        Ok(served)
    } else {
        Err(Refusal::Missing(served.scope))
    }
}

/// Does what is asked.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn dispatch(call: Call) -> Result<Answer, Refusal> {
    let (trace, method) = (call.trace, call.method);
    if !method.once {
        return trace::scope(trace, (method.run)(call)).await;
    }
    let (bus, params) = (call.gateway.bus.clone(), call.params.clone());
    let work = trace::scope(trace, (method.run)(call));
    once::perform(&bus, method.name, params.as_deref(), work).await
}

fn reply(answer: &impl Serialize) -> Result<Answer, Refusal> {
    serde_json::value::to_raw_value(answer)
        .map(Arc::from)
        .map_err(|_| Refusal::Busy("the answer could not be written".into()))
}

/// A method's name, cut where it is absurdly long.
fn shown(method: &str) -> &str {
    &method[..method.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handshake::Proof, scope::Scopes};

    fn grant(protocol: u8, role: Role, scopes: &[&str]) -> Grant {
        Grant {
            protocol,
            role,
            scopes: Scopes::granted(scopes.iter().copied()),
            device: None,
            proof: Proof::Owner,
        }
    }

    #[test]
    fn no_name_is_served_twice() {
        let all = FAMILIES.iter().map(|family| family.len()).sum::<usize>();
        assert_eq!(METHODS.len(), all);
    }

    #[test]
    fn role_then_scope_then_existence() {
        let reader = grant(4, Role::Operator, &["operator.read"]);
        let admin = grant(4, Role::Operator, &["operator.admin"]);
        let node = grant(4, Role::Node, &[]);
        let unknown = |name: &str| Err(Refusal::Invalid(format!("unknown method: {name}")));
        let admit = |name: &str, grant: &Grant| super::admit(name, grant).map(|method| method.name);
        assert_eq!(admit("chat.history", &reader), Ok("chat.history"));
        assert_eq!(
            admit("chat.send", &reader),
            Err(Refusal::Missing(Scope::Write))
        );
        assert_eq!(
            admit("no.such.method", &reader),
            Err(Refusal::Missing(Scope::Admin))
        );
        assert_eq!(admit("no.such.method", &admin), unknown("no.such.method"));
        assert_eq!(
            admit("node.event", &admin),
            Err(Refusal::WrongRole("operator"))
        );
        assert_eq!(admit("chat.send", &node), Err(Refusal::WrongRole("node")));
        assert_eq!(admit("node.event", &node), Ok("node.event"));
    }

    #[test]
    fn health_is_open_in_protocol_4_and_takes_read_in_protocol_3() {
        let admit = |name: &str, grant: &Grant| super::admit(name, grant).map(|method| method.name);
        assert_eq!(
            admit("health", &grant(4, Role::Operator, &[])),
            Ok("health")
        );
        assert_eq!(admit("health", &grant(4, Role::Node, &[])), Ok("health"));
        let old = admit("health", &grant(3, Role::Operator, &[]));
        assert_eq!(old, Err(Refusal::Missing(Scope::Read)));
        assert_eq!(
            admit("health", &grant(3, Role::Node, &[])),
            Err(Refusal::WrongRole("node"))
        );
    }
}
